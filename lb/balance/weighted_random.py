"""Random: each choice by the dice, weighted, whatever was chosen before.

Needs no counter and no counts, and many processes cannot march in step. Its shares
come near the weights only over many requests: after N of them a share p is off by
about sqrt(p (1 - p) / N).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.balance.draw import Draw, others
from lb.balance.policy import C, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from lb.balance.ask import Ask


class WeightedRandom(Policy[C]):
    """See the module; `chance` is where the dice come from."""

    def __init__(self, chance: Random) -> None:
        self._position = chance.random
        self._draw: Draw[C] = Draw(())

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`."""
        self._draw = Draw(candidates)

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. O(log n)."""
        return self._draw.at(self._position())

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; by the dice among those that are left."""
        left = others(self._draw.candidates, without)
        return Draw(left).at(self._position()) if left else None
