"""Latencies as counts in fixed buckets that are a tenth of an octave wide.

From 2**-14 s (61 us) to 2**7 s (128 s) each octave is cut into ten buckets of equal
width (log-linear, as HdrHistogram's), one bucket lies below and one above.  Any time
in range is known to within 4.8 % by its bucket alone, because a bucket answers with
the value that errs as little from its lower bound as from its upper one.  Fixed
buckets mean that histograms of many processes and backends add up cell by cell, and
that nothing is ever resized.

The bucket is found by `bisect` in the table of bounds: 95 ns, against 160 ns for
`math.frexp` with the arithmetic that it needs, and a value on a bound is in the
bucket above it by definition, not by rounding.  Nothing here knows of cells or files.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import ceil
from operator import add
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOWEST_OCTAVE: Final = -14
OCTAVES: Final = 21
PER_OCTAVE: Final = 10

BOUNDS: Final = [
    *(
        2.0**octave * (1 + step / PER_OCTAVE)
        for octave in range(LOWEST_OCTAVE, LOWEST_OCTAVE + OCTAVES)
        for step in range(PER_OCTAVE)
    ),
    2.0 ** (LOWEST_OCTAVE + OCTAVES),
]
"""Bucket n holds the seconds from `BOUNDS[n - 1]` up to, not including, `BOUNDS[n]`.

A list, as `bisect` is 10 ns faster in it than in a tuple; nobody may change it.
"""

BUCKETS: Final = len(BOUNDS) + 1
"""212: with the one below the first bound and the one from the last on."""

MAX_ERROR: Final = 1 / (2 * PER_OCTAVE + 1)
"""How far, of a time in range, its bucket's `value` may be from it: 4.8 %."""


def bucket_of(seconds: float) -> int:
    """The bucket of a time; the hot path has the same `bisect_right` inline."""
    return bisect_right(BOUNDS, seconds)


def bounds_of(bucket: int) -> tuple[float, float]:
    """The seconds from which on, and below which, a time is in the bucket."""
    low = BOUNDS[bucket - 1] if bucket else 0.0
    return low, BOUNDS[bucket] if bucket < len(BOUNDS) else float("inf")


def value_of(bucket: int) -> float:
    """The seconds that stand for all times in the bucket.

    For times out of range it is the nearest bound.
    """
    low, high = bounds_of(bucket)
    if bucket == 0:
        return high
    if bucket == BUCKETS - 1:
        return low
    return 2 * low * high / (low + high)


VALUES: Final = [value_of(bucket) for bucket in range(BUCKETS)]


@lru_cache(maxsize=16)
def _cuts(upper_bounds: tuple[float, ...]) -> tuple[int, ...]:
    """For each upper bound, how many buckets have a value up to it."""
    return tuple(bisect_right(VALUES, bound) for bound in upper_bounds)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, and the sum of the times themselves in seconds."""

    counts: Sequence[int] = (0,) * BUCKETS
    sum_s: float = 0.0

    @classmethod
    def of(cls, times: Iterable[float]) -> Histogram:
        """The histogram of these seconds."""
        counts, sum_s = [0] * BUCKETS, 0.0
        for seconds in times:
            counts[bucket_of(seconds)] += 1
            sum_s += seconds
        return cls(counts, sum_s)

    @property
    def count(self) -> int:
        """How many times were counted. O(buckets)."""
        return sum(self.counts)

    def __add__(self, other: Histogram) -> Histogram:
        """Both together."""
        return Histogram(
            list(map(add, self.counts, other.counts)), self.sum_s + other.sum_s
        )

    def quantile(self, share: float) -> float:
        """The seconds within which a `share` (0 to 1) of the times lie; 0.0 of none.

        Within `MAX_ERROR` of the exact one (of n sorted times the one at
        ceil(share * n)) where that is in range. O(buckets).
        """
        running = list(accumulate(self.counts))
        if not running[-1]:
            return 0.0
        rank = min(max(1, ceil(share * running[-1])), running[-1])
        return VALUES[bisect_left(running, rank)]

    def cumulative(self, upper_bounds: tuple[float, ...]) -> list[int]:
        """For each upper bound in seconds, rising, how many times were up to it.

        For the classic buckets of Prometheus.  A bucket counts whole, by its value,
        so a time within `MAX_ERROR` of a bound may be counted on its other side.
        Infinity as the last bound gives `count`.  5 us for 14 bounds.
        """
        running = [0, *accumulate(self.counts)]
        return [running[cut] for cut in _cuts(upper_bounds)]
