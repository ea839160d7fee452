"""How often something that looks at every candidate may be done again.

Not sooner than some milliseconds, and never so often that it takes more than a
twentieth of a process's time, whatever the number of candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_S: Final = 0.005
"""With 1,000 requests a second some 5 of them come and go in it."""

SHARE: Final = 20


class Pace:
    """Says when it is time again, by the clock that is handed in (seconds)."""

    __slots__ = ("_begun", "_clock", "_due")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = 0.0
        self._due = float("-inf")

    def begin(self) -> bool:
        """Whether it is time; if so, `end` is to be called when it was done."""
        self._begun = self._clock()
        return self._begun >= self._due

    def end(self) -> None:
        """It was done; what it cost decides when it may be done next."""
        now = self._clock()
        self._due = now + max(INTERVAL_S, SHARE * (now - self._begun))
