"""How much a candidate may have in flight before its keys go to another.

Its share of everything that is in flight, this request included, times a factor, and
rounded up: so one that is idle always has room, and some candidate always has. This
is "consistent hashing with bounded loads" (Mirrokni, Thorup and Zadimoghaddam, 2018),
and HAProxy's `hash-balance-factor`.

Up to 16 candidates everything in flight is counted for each request; of more, it is
counted every few milliseconds, and what this process gave since is added.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Generic

from lb.balance.pace import Pace
from lb.balance.policy import C, Loads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEW: Final = 16


class Bound(Generic[C]):
    """See the module; `factor` above 1, or 0 for no bound at all."""

    def __init__(
        self,
        candidates: Sequence[C],
        loads: Loads[C],
        factor: float,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._candidates = candidates
        self._loads = loads
        self._per_weight = factor / max(1, sum(c.weight for c in candidates))
        self._pace = Pace(clock)
        self._counted = 0
        self._given = 0

    def has_room(self, candidate: C) -> bool:
        """Whether it may take one more request, which it is then taken to have got."""
        if not self._per_weight:
            return True
        load = self._loads.in_flight(candidate)
        if load and load >= self.limit(candidate):
            return False
        self._given += 1
        return True

    def limit(self, candidate: C) -> int:
        """How many it may have in flight now, one more request included."""
        return math.ceil(self._per_weight * candidate.weight * (self._total() + 1))

    def _total(self) -> int:
        if len(self._candidates) <= FEW:
            return sum(self._loads.in_flight_of(self._candidates))
        if self._pace.begin():
            self._counted = sum(self._loads.in_flight_of(self._candidates))
            self._given = 0
            self._pace.end()
        return self._counted + self._given
