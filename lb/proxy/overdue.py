"""Cut what still runs at backends whose time to drain is over.

Who asks for a drain says until when requests and tunnels may go on; it stands in the
backend's row. Each process looks there with its heartbeat, ends what is late, and
looks again until nothing is, as a connect that was under way may come through after.

A request that is cut fares as if its backend had broken off: it goes to another one
if its method is idempotent and nothing was answered yet, else it is answered 502; a
response or a tunnel on its way breaks off.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from lb.shm.layout import Counter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lb.shm import SharedFile
    from lb.upstream.backend import LiveBackend

WHY: Final = "its time to drain is over"
CUT: Final = int(Counter.CUT)


class Log(Protocol):
    """What is needed of a logger."""

    def warning(self, msg: str, /, *args: object) -> None:
        """Log something that people should look at."""


def cut_overdue(
    file: SharedFile, backends: Iterable[LiveBackend], log: Log, *, now: float
) -> float:
    """Cut what is overdue at unix time `now`; how many seconds until more will be.

    One thread of a process may call it. 2 us while no backend drains with a deadline,
    in a table of 64 rows.
    """
    cuts = file.cuts()
    if not cuts:
        return inf
    next_s = inf
    for backend in backends:
        left_s = cuts.get(backend.id, inf) - now
        if left_s > 0:
            next_s = min(next_s, left_s)
        elif under_way := backend.under_way():
            # Counted first: whoever sees that nothing is in flight sees why.
            file.cells[backend.cells.block + CUT] += len(under_way)
            log.warning(
                "backend %s: %d in flight are cut, %s",
                backend.name,
                len(under_way),
                WHY,
            )
            for connection in under_way:
                connection.cut(WHY)
    return next_s
