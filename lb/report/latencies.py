"""Latencies of the last minute, from histograms that only ever rise.

Quantiles of a while are those of a difference: the histograms of some moments ago are
kept, and taken from those of now. What was not counted in since
is the same object (`lb.shm.FigureReader`), and costs nothing.
"""

from __future__ import annotations

from collections import deque
from operator import add, sub
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb.shm import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lb.shm import Latencies

KEEP_EVERY_S: Final = 10.0
WINDOW_S: Final = 60.0
SHARES: Final = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}

Quantiles = dict[str, float]


class Looked(NamedTuple):
    """What a window shows: how long it is, quantiles by backend's id, and of all.

    None where no request ended in it.
    """

    seconds: float
    by_backend: dict[int, Quantiles | None]
    of_all: Quantiles | None


class _Moment(NamedTuple):
    """The whole times of requests, by backend, as they were counted then."""

    at: float
    born: int
    times: dict[int, Histogram]


class Window:
    """The latencies since a minute ago, or since the first look."""

    def __init__(self) -> None:
        self._kept: deque[_Moment] = deque()

    def look(self, born: int, latencies: Mapping[int, Latencies], now: float) -> Looked:
        """What was new since the window's beginning; `born` tells files apart.

        25 us for each backend that had requests in it.
        """
        times = {key: found.total for key, found in latencies.items()}
        before = self._keep(_Moment(now, born, times))
        new = {
            key: within(found, before.times.get(key)) for key, found in times.items()
        }
        return Looked(
            now - before.at,
            {key: quantiles(found) for key, found in new.items()},
            quantiles(together(new.values())),
        )

    def keep(self, born: int, latencies: Mapping[int, Latencies], now: float) -> None:
        """Remember what is there now, so that later looks reach back to it."""
        times = {key: found.total for key, found in latencies.items()}
        self._keep(_Moment(now, born, times))

    def _keep(self, moment: _Moment) -> _Moment:
        """The moment at which the window begins."""
        now = moment.at
        kept = self._kept
        if kept and (kept[-1].born != moment.born or kept[-1].at < now - 2 * WINDOW_S):
            kept.clear()  # another file, or nobody looked for long
        while len(kept) > 1 and kept[1].at <= now - WINDOW_S:
            kept.popleft()
        if not kept or kept[-1].at <= now - KEEP_EVERY_S:
            kept.append(moment)
        return kept[0]


def within(now: Histogram, before: Histogram | None) -> Histogram | None:
    """What was counted between two readings of one histogram, None if nothing was."""
    if now is before:
        return None
    if before is None:
        return now
    return Histogram(list(map(sub, now.counts, before.counts)))


def together(several: Iterable[Histogram | None]) -> Histogram:
    """All of them as one; 6 us each."""
    counts: Any = None
    for found in several:
        if found is not None:
            counts = found.counts if counts is None else map(add, counts, found.counts)
            counts = list(counts)
    return Histogram(counts) if counts else Histogram()


def quantiles(found: Histogram | None) -> Quantiles | None:
    """The three that people ask for, None of nothing."""
    if found is None or not found.count:
        return None
    return {name: round(found.quantile(share), 6) for name, share in SHARES.items()}
