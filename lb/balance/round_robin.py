"""Round robin: each candidate in its turn, weighted ones in proportion and spread.

Equal weights rotate by a counter, 0.1 us a choice. Unequal ones go by earliest
deadline first: each candidate's next turn stands 1/weight after its last, and the
earliest is taken from a heap, O(log n). That spreads a heavy one's turns between
the others' (a a b a a c, not a a a a b c), as Envoy and Traefik do; nginx's smooth
weighted round robin gives the same order in O(n).

The counter belongs to the process, as users of pre-forked servers expect; workers
start at different offsets, so that their first requests do not all hit the first
backend.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic

from lb.balance.policy import C

if TYPE_CHECKING:
    from collections.abc import Sequence


class RoundRobin(Generic[C]):
    """See the module. `offset` is how many turns to be ahead at the start."""

    def __init__(self, offset: int = 0) -> None:
        self._turn = offset
        self._candidates: Sequence[C] = ()
        self._heap: list[tuple[float, int]] = []

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`; the rotation goes on from where it stood."""
        self._candidates = candidates
        self._heap = []
        if len({c.weight for c in candidates}) > 1:
            self._heap = [(1 / c.weight, i) for i, c in enumerate(candidates)]
            heapq.heapify(self._heap)
            for _ in range(self._turn % sum(c.weight for c in candidates)):
                self._next_by_weight()

    def choose(self) -> C:
        """See `Policy.choose`."""
        turn = self._turn
        self._turn = turn + 1
        if self._heap:
            return self._next_by_weight()
        return self._candidates[turn % len(self._candidates)]

    def _next_by_weight(self) -> C:
        due, index = self._heap[0]
        candidate = self._candidates[index]
        heapq.heapreplace(self._heap, (due + 1 / candidate.weight, index))
        return candidate
