"""Which serving processes came and went since the last look, as events.

The leader looks once a second.  One that came and went between two looks is not told,
and one whose slot another took at once went without a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.shm import EventKind, Happening

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


class Attendance:
    """Who serves, as last seen; `present` are pids by slot, and so later."""

    def __init__(self, present: Mapping[int, int]) -> None:
        self._known = dict(present)

    def __repr__(self) -> str:
        return f"<Attendance {sorted(self._known.values())}>"

    def look(
        self, present: Mapping[int, int], dead: Collection[int]
    ) -> Iterator[Happening]:
        """What is to be told, those who went first; `dead` are the swept ones' pids."""
        before, self._known = self._known, dict(present)
        came = set(present.values()) - set(before.values())
        went = set(before.values()) - set(present.values())
        for pid in sorted(went):
            reason = "it died" if pid in dead else "it ended, or was replaced"
            yield Happening(EventKind.WORKER_WENT, before=pid, reason=reason)
        for pid in sorted(came):
            yield Happening(EventKind.WORKER_CAME, after=pid)
