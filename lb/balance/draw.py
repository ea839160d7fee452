"""Candidates laid end to end, each as long as its weight, and drawn by position.

A uniform position draws each with the probability of its share, by bisection: 0.3 us
among 2 as among 2,000. An alias table would be O(1) and no faster here, and it could
not draw two different ones without trying again.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING, Generic

from lb.balance.policy import C

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Draw(Generic[C]):
    """See the module. At least one candidate; positions are in [0, 1)."""

    __slots__ = ("_ends", "_last", "candidates", "total")

    def __init__(self, candidates: Sequence[C]) -> None:
        self.candidates = candidates
        self._ends = list(accumulate(c.weight for c in candidates))
        self._last = len(candidates) - 1
        self.total = self._ends[-1] if candidates else 0

    def at(self, position: float) -> C:
        """The candidate at that position."""
        index = bisect(self._ends, position * self.total, 0, self._last)
        return self.candidates[index]

    def two_at(self, position: float, other: float) -> tuple[C, C]:
        """Two different candidates; the second from what the first leaves over.

        There must be two.
        """
        ends, last = self._ends, self._last
        first = bisect(ends, position * self.total, 0, last)
        begin = ends[first - 1] if first else 0
        length = ends[first] - begin
        # The first one's stretch is cut out, and what lies behind it moves up.
        at = other * (self.total - length)
        second = bisect(ends, at + length if at >= begin else at, 0, last)
        return self.candidates[first], self.candidates[second]


def others(candidates: Sequence[C], without: Collection[C]) -> list[C]:
    """The candidates that are not in `without`, in their order. O(n)."""
    return [c for c in candidates if c not in without]
