"""Clients shared out among sets by weight, so that each stays in its set.

Weighted rendezvous: a key draws a number for each set, from the set's name and the
key alone, and goes where `-ln(number) / weight` is least. The least of exponential
times is each one's with the probability of its weight, so shares are exact but for
chance. When a weight grows, only that set's times become shorter: keys move to it and
none between others. Nothing is kept, so every process agrees, also after a restart.

Looking at each set is O(n), but n is 16 at most and 2 mostly, at 1 us each. A table
of intervals would be O(log n), and a new weight would move keys between neighbours
that it has nothing to do with.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Split:
    """Which of several targets a key belongs to. At least one has some weight.

    `shares` are names, targets and weights; the names decide, the targets are what
    `of` returns.
    """

    __slots__ = ("_shares",)

    def __init__(self, shares: Iterable[tuple[str, int, int]]) -> None:
        self._shares = [
            (hashlib.blake2b(name.encode(), digest_size=16).digest(), target, weight)
            for name, target, weight in shares
            if weight
        ]

    def of(self, key: bytes) -> int:
        """The target for a key. 1 us for each target with weight."""
        best, soonest = self._shares[0][1], math.inf
        for name, target, weight in self._shares:
            draw = hashlib.blake2b(name + key, digest_size=8).digest()
            # From above 0, which has no logarithm, to 1.
            number = (int.from_bytes(draw) + 1) / 18446744073709551616
            time = -math.log(number) / weight
            if time < soonest:
                best, soonest = target, time
        return best
