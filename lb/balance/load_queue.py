"""Many candidates in the order of their loads, without looking at each every time.

All of them are looked at every few milliseconds (`lb.balance.pace`) and put into a
heap. In between, what this process gave is counted in, and the candidate on top is
looked at before it is taken: if others have given it work meanwhile, it sinks. What
is not noticed at once is that another has *less* to do than some milliseconds ago.

A key is one integer: the rank of `lb.balance.rank` in units of 1 / (2^24 n), so that
room is left below for a position, from 0 to n - 1, which says whose key it is and
which of equals comes first. Positions are turned by chance each time, so that not
all processes take equals in the same order. Heaping 2,000 integers takes 0.2 ms.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Final, Generic

from lb.balance.pace import Pace
from lb.balance.policy import C, Loads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_UNIT: Final = 1 << 24
"""One request in flight at weight 1; at 256 still 65,536, so ranks are exact."""

_LOOKS: Final = 64
"""How often the top may sink before what is then on top is taken unseen.

One sinks for each request that another process gave since all were looked at: with
four workers three for each of our own, and some dozens at most in a few ms.
"""


class LoadQueue(Generic[C]):
    """See the module. Takes a lock, as threads may choose at the same time."""

    def __init__(
        self,
        candidates: Sequence[C],
        loads: Loads[C],
        *,
        clock: Callable[[], float],
        chance: Random,
    ) -> None:
        self._candidates = candidates
        self._loads = loads
        self._chance = chance
        self._pace = Pace(clock)
        count = len(candidates)
        self._steps = [_UNIT // c.weight * count for c in candidates]
        self._turned = 0
        self._heap: list[int] = []
        self._lock = threading.Lock()

    def take(self) -> C:
        """The candidate that is least busy, as far as is known; O(log n) amortised."""
        with self._lock:
            if self._pace.begin():
                self._look_at_all()
                self._pace.end()
            return self._take()

    def _look_at_all(self) -> None:
        count = len(self._candidates)
        loads = self._loads.in_flight_of(self._candidates)
        self._turned = turned = int(self._chance.random() * count)
        positions = [*range(turned, count), *range(turned)]
        self._heap = [
            (load + 1) * step + position if load else position
            for load, step, position in zip(loads, self._steps, positions, strict=True)
        ]
        heapq.heapify(self._heap)

    def _take(self) -> C:
        heap, candidates = self._heap, self._candidates
        count = len(candidates)
        for _ in range(_LOOKS):
            known = heap[0]
            index = (known % count - self._turned) % count
            load = self._loads.in_flight(candidates[index])
            seen = known % count + ((load + 1) * self._steps[index] if load else 0)
            if seen <= known:
                heapq.heapreplace(heap, self._one_more(seen, index))
                return candidates[index]
            heapq.heapreplace(heap, seen)
        known = heap[0]
        index = (known % count - self._turned) % count
        heapq.heapreplace(heap, self._one_more(known, index))
        return candidates[index]

    def _one_more(self, key: int, index: int) -> int:
        """The key of a candidate that has just been given one more request."""
        steps = 1 if key >= len(self._candidates) else 2
        return key + steps * self._steps[index]
