"""Power of two: of two candidates drawn by weight, the one that is less busy.

Two looks at exact counts, whatever the number of candidates, and nearly as even as
looking at all (Mitzenmacher, 2001): no process need know what is least, so no two of
them rush at the same one. Envoy's `LEAST_REQUEST` does this by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.balance.draw import Draw, others
from lb.balance.policy import C, Loads, Policy
from lb.balance.rank import rank

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from lb.balance.ask import Ask


class PowerOfTwo(Policy[C]):
    """See the module. Of two that rank the same, the one drawn first is taken."""

    def __init__(self, loads: Loads[C], chance: Random) -> None:
        self._in_flight = loads.in_flight
        self._position = chance.random
        self._draw: Draw[C] = Draw(())

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`."""
        self._draw = Draw(candidates)

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. O(log n), two looks at the counts at most."""
        return self._better(self._draw)

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; the better of two that are left."""
        left = others(self._draw.candidates, without)
        return self._better(Draw(left)) if left else None

    def inputs(self, ask: Ask, candidate: C) -> str:
        """See `Policy.inputs`."""
        return f"weight={candidate.weight} in_flight={self._in_flight(candidate)}"

    def _better(self, draw: Draw[C]) -> C:
        if len(draw.candidates) < 2:
            return draw.candidates[0]
        first, second = draw.two_at(self._position(), self._position())
        busy = self._in_flight(first)
        if not busy:
            return first  # none can rank before it
        other = rank(self._in_flight(second), second.weight)
        return second if other < rank(busy, first.weight) else first
