"""Least requests: to whoever has the least under way for its weight.

Counts are those of all worker processes, so that workers agree on who is busy. One
candidate is drawn by weight, and if it is idle it is taken, as none can rank before it
(`lb.balance.rank`): where there is little to do, this is all that happens. Else a few
are all compared, and many are kept in a `LoadQueue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.balance.draw import Draw, others
from lb.balance.load_queue import LoadQueue
from lb.balance.policy import C, Loads, Policy
from lb.balance.rank import least_ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random

    from lb.balance.ask import Ask

FEW: Final = 16
"""Up to so many are compared one by one: 3 us for 16, what the queue takes too."""


class LeastRequests(Policy[C]):
    """See the module; `clock` gives seconds and never goes back."""

    def __init__(
        self, loads: Loads[C], *, clock: Callable[[], float], chance: Random
    ) -> None:
        self._loads = loads
        self._clock = clock
        self._chance = chance
        self._now: tuple[Draw[C], LoadQueue[C] | None] = (Draw(()), None)

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`."""
        queue = None
        if len(candidates) > FEW:
            queue = LoadQueue(
                candidates, self._loads, clock=self._clock, chance=self._chance
            )
        self._now = (Draw(candidates), queue)

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. O(log n)."""
        draw, queue = self._now
        candidate = draw.at(self._chance.random())
        if not self._loads.in_flight(candidate):
            return candidate
        return queue.take() if queue else self._least(draw.candidates)

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; the least busy of those that are left."""
        left = others(self._now[0].candidates, without)
        return self._least(left) if left else None

    def inputs(self, ask: Ask, candidate: C) -> str:
        """See `Policy.inputs`."""
        in_flight = self._loads.in_flight(candidate)
        return f"weight={candidate.weight} in_flight={in_flight}"

    def _least(self, candidates: Sequence[C]) -> C:
        loads = self._loads.in_flight_of(candidates)
        # `rank` written out: a call for each takes twice as long.
        ranks = [
            (load + 1) / c.weight if load else 0.0
            for load, c in zip(loads, candidates, strict=True)
        ]
        return least_ranked(candidates, ranks, self._chance)
