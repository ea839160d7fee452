"""Round robin: each candidate in its turn, weighted ones in proportion and spread.

Equal weights rotate by a counter, 0.1 us a choice. Unequal ones rotate within
groups of one weight, and the groups are merged by earliest deadline first: a group
of m candidates of weight w emits at the times (k + 1/2) / (m w), and the earliest
is taken from a heap. So each group is evenly spaced over a cycle, and so is each of
its members, O(log g) for g distinct weights (at most 256). With a heap of single
candidates, all of them in phase, the light ones would crowd the cycle's end: a a a
a b c, not a b a a c a; nginx's smooth weighted round robin spreads too, in O(n).

Times are computed, not added up: a cycle is the same the millionth time.

The counter belongs to the process, as users of pre-forked servers expect; workers
start at different offsets, so that their first requests do not all hit the first
backend.

A second choice (`choose_without`) takes no turn of the rotation: with two backends,
every request would else begin at the one that fails. Nor does it go to the next in
the ring, which would carry the whole share of a failing or full neighbour besides
its own. Second choices have a rotation of their own over those that are left.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Final, Generic

from lb.balance.draw import Draw, others
from lb.balance.policy import C, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lb.balance.ask import Ask

_GOLDEN: Final = 0.6180339887498949
"""Its multiples, modulo 1, are the most evenly spread positions for any count."""


class RoundRobin(Policy[C]):
    """See the module. `offset` is how many turns to be ahead at the start."""

    def __init__(self, offset: int = 0) -> None:
        self._turn = offset
        self._second_turn = offset
        self._candidates: Sequence[C] = ()
        self._merge: _Merge[C] | None = None

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`; the rotation goes on from where it stood."""
        is_weighted = len({c.weight for c in candidates}) > 1
        self._candidates = candidates
        self._merge = _Merge(candidates, self._turn) if is_weighted else None

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`; 0.1 us, or 0.6 with unequal weights."""
        turn = self._turn
        self._turn = turn + 1
        merge = self._merge
        if merge is not None:
            return merge.next()
        candidates = self._candidates  # read once: a thread may update meanwhile
        return candidates[turn % len(candidates)]

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; in their turn and by weight, see the module."""
        left = others(self._candidates, without)
        if not left:
            return None
        self._second_turn += 1
        return Draw(left).at(self._second_turn * _GOLDEN % 1.0)


class _Merge(Generic[C]):
    """Groups of equal weight, merged by when each is due; begins at `turn`."""

    def __init__(self, candidates: Sequence[C], turn: int) -> None:
        by_weight: dict[int, list[C]] = {}
        for candidate in candidates:
            by_weight.setdefault(candidate.weight, []).append(candidate)
        self._groups = list(by_weight.values())
        self._rates = [weight * len(group) for weight, group in by_weight.items()]
        total = sum(self._rates)
        # How many turns each group has had at that point of the cycle: each one's
        # share, rounded, so this costs nothing however long a cycle is.
        part = turn % total
        counts = [(2 * part * rate + total) // (2 * total) for rate in self._rates]
        self._heap = [
            ((count + 0.5) / rate, i, count)
            for i, (count, rate) in enumerate(zip(counts, self._rates, strict=True))
        ]
        heapq.heapify(self._heap)
        # Looking and replacing are two steps; a thread between them would make a
        # group vanish. 0.05 us.
        self._lock = threading.Lock()

    def next(self) -> C:
        """The candidate that is due."""
        with self._lock:
            _, i, count = self._heap[0]
            due = (count + 1.5) / self._rates[i]
            heapq.heapreplace(self._heap, (due, i, count + 1))
        group = self._groups[i]
        return group[count % len(group)]
