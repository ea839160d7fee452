"""65,536 buckets for keys, shared out among candidates by weighted rendezvous.

Each candidate visits buckets in an order that follows from its name alone, as fast as
its weight says; a bucket belongs to whoever came first. So a candidate that leaves
gives each of its buckets to whoever came second there, one that arrives takes its
share of each other's, and nothing else moves. Names decide, not places in a list and
not Python's salted `hash`: every process, and every later run, shares alike.

Where the visits end, one bucket in twenty is still empty; its keys go to the next
bucket of their own sequence. More visits would fill it and cost more: the table is
made anew for each change of the candidates or their weights, in 50 ms whatever their
number. As fewer candidates visit a little longer each, some empty buckets fill when
one leaves: up to 13 % more keys move than those of the one that left.

Shares are as even as those of 65,536 keys by true rendezvous, which looks at every
candidate for each key: off by 1 % of a share for ten candidates, 3 % for a hundred,
12 % for 2,000. Maglev's table of that size is more even, but when one of 2,000 leaves
it moves seven times as many keys as it must; a ring of 160 points a candidate is off
by 8 %, however few there are.
"""

from __future__ import annotations

import hashlib
import math
import sys
from array import array
from typing import TYPE_CHECKING, Final, Generic
from zlib import crc32

from lb.balance.policy import C

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUCKETS: Final = 1 << 16
"""What 16 bits tell apart; see the module for what it means for shares."""

_VISITS: Final = 3
"""Visits to a bucket by all candidates together: e^-3 of them stay empty."""

_TICK: Final = 1 << 24
"""Time between the visits of a candidate of weight 1."""

_NEVER: Final = 1 << 62
_MASK: Final = (1 << 32) - 1


def digest_of(key: bytes) -> int:
    """32 bits of a key, the same everywhere. 0.2 us; blake2b would take 0.6.

    Whoever may choose keys can aim at one backend with any hash: by one key.
    """
    return crc32(key)


def next_digest(digest: int) -> int:
    """What comes after it in its sequence; also spreads the bits of the first."""
    return (digest * 0x9E3779B1 + 0x7F4A7C15) & _MASK


class Buckets(Generic[C]):
    """Whose each bucket is. Made at once, 50 ms; then only read."""

    __slots__ = ("candidates", "owners")

    def __init__(self, candidates: Sequence[C]) -> None:
        self.candidates = candidates
        self.owners: list[C | None] = _share_out(candidates)

    def first(self, digest: int) -> C:
        """The candidate for a key's digest. 0.3 us; at least one candidate."""
        # What walk gives first; a generator would take as long again.
        digest = next_digest(digest)
        owner = self.owners[digest >> 16]
        while owner is None:
            digest = next_digest(digest)
            owner = self.owners[digest >> 16]
        return owner

    def walk(self, digest: int) -> Iterator[C]:
        """Candidates for a key, the best first, the same one perhaps many times.

        Endless as long as there are candidates. One whose share is less than a bucket
        may own none and never come.
        """
        owners = self.owners
        while self.candidates:
            digest = next_digest(digest)
            owner = owners[digest >> 16]
            if owner is not None:
                yield owner

    def moved(self, later: Buckets[C]) -> float:
        """The share of buckets, 0 to 1, whose owner has another name in `later`."""
        before = [owner and owner.name for owner in self.owners]
        after = [owner and owner.name for owner in later.owners]
        differ = sum(a != b for a, b in zip(before, after, strict=True))
        return differ / BUCKETS


def _share_out(candidates: Sequence[C]) -> list[C | None]:
    owners: list[C | None] = [None] * BUCKETS
    came = [_NEVER] * BUCKETS
    total = sum(c.weight for c in candidates)
    # Where two come at the same time, the one that is looked at first stays.
    for candidate in sorted(candidates, key=lambda c: c.name):
        visits = math.ceil(_VISITS * BUCKETS * candidate.weight / total)
        order = _order(candidate.name, visits)
        step = _TICK // candidate.weight
        time = order.pop(0) * step >> 16
        for bucket in order:  # 200,000 turns in all: 0.15 us each
            if time < came[bucket]:
                came[bucket] = time
                owners[bucket] = candidate
            time += step
    return owners


def _order(name: str, visits: int) -> array[int]:
    """16 bits for when a candidate sets out, then the buckets it visits.

    However many visits are asked for, they begin alike.
    """
    order = array("H")
    order.frombytes(hashlib.shake_128(name.encode()).digest(2 * visits + 2))
    if sys.byteorder == "big":
        order.byteswap()
    return order
