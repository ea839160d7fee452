"""Flap damping: a backend that goes down again and again is held down for longer.

    a fall to DOWN                                     holds it down for
    the `changes`-th change within `window_s`, or more  `hold_s`
    within `window_s` after a hold ended                twice as long, to a cap
    any other                                           not at all; begins anew

Held down, it is probed all the same; the first passing probe after the hold brings it
back, if `rise` have passed by then.  Pure: unix times are handed in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lb.shm import Memory


@dataclass(frozen=True, slots=True)
class FlapRules:
    """See the module; `changes` 0: never hold."""

    changes: int = 6
    window_s: float = 60.0
    hold_s: float = 10.0
    hold_max_s: float = 160.0


class Flapping:
    """One backend's changes of late, and until when it is held down."""

    __slots__ = ("_at", "_rules", "holds", "until")

    def __init__(self, rules: FlapRules) -> None:
        self._rules = rules
        self._at: deque[float] = deque(maxlen=max(1, rules.changes))
        self.holds = 0
        """How many falls in a row were so close that it was held down."""
        self.until = 0.0
        """When the last hold ends or ended; 0.0 if there was none lately."""

    def __repr__(self) -> str:
        return f"<Flapping {len(self._at)} changes, held {self.holds} times>"

    def resume(self, memory: Memory, now: float) -> None:
        """Go on from what an earlier leader has stored; its changes count as of now."""
        self.holds, self.until = memory.holds, memory.held_until
        self._at.extend([now] * memory.changes)

    def changes(self, now: float) -> int:
        """How many changes there were within the window, up to those that matter."""
        while self._at and not 0 <= now - self._at[0] <= self._rules.window_s:
            self._at.popleft()
        return len(self._at)

    def fell(self, now: float) -> bool:
        """Take in a fall to DOWN; whether the backend is held there."""
        rules = self._rules
        self._at.append(now)
        is_again = self.holds > 0 and now - self.until <= rules.window_s
        is_close = self.changes(now) >= rules.changes
        if not rules.changes or not (is_again or is_close):
            self.holds, self.until = 0, 0.0
            return False
        self.holds += 1
        hold_s = rules.hold_s * 2.0 ** min(self.holds - 1, 30)
        self.until = now + min(hold_s, rules.hold_max_s)
        return True

    def rose(self, now: float) -> None:
        """Take in a rise to UP."""
        self._at.append(now)

    def is_held(self, now: float) -> bool:
        """Whether it must not come up yet; a clock that was set back holds nobody."""
        return 0 < self.until - now <= self._rules.hold_max_s
