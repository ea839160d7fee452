"""A snapshot: the state of now, the totals, and the latencies of the last minute.

For who watches a balancer: from two snapshots rates are made. What cannot be made of
totals are the latencies, so the histograms of some moments ago are kept, while somebody
watches.
"""

from __future__ import annotations

import time
from collections import deque
from operator import sub
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb.report.state import state_report
from lb.shm import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lb.config import Settings
    from lb.shm import BackendTotals, FigureReader, Latencies, SharedFile

KEEP_EVERY_S: Final = 10.0
WINDOW_S: Final = 60.0
SHARES: Final = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}
CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


class _Moment(NamedTuple):
    """The whole times of requests, by backend, as they were counted then."""

    at: float
    born: int
    times: dict[int, Histogram]


class Window:
    """The latencies since a minute ago, or since somebody began to watch."""

    def __init__(self) -> None:
        self._kept: deque[_Moment] = deque()

    def look(
        self, born: int, latencies: Mapping[int, Latencies], now: float
    ) -> tuple[float, dict[int, Any]]:
        """How long the window is in seconds, and the quantiles in it by backend's id.

        None where a backend had no request in it. `born` tells files apart.
        """
        times = {key: found.total for key, found in latencies.items()}
        moment = _Moment(now, born, times)
        kept = self._kept
        if kept and (kept[-1].born != moment.born or kept[-1].at < now - 2 * WINDOW_S):
            kept.clear()  # another file, or nobody watched for long
        while len(kept) > 1 and kept[1].at <= now - WINDOW_S:
            kept.popleft()
        if not kept or kept[-1].at <= now - KEEP_EVERY_S:
            kept.append(moment)
        before = kept[0]
        return now - before.at, {
            key: _quantiles(found, before.times.get(key))
            for key, found in times.items()
        }


def _quantiles(now: Histogram, before: Histogram | None) -> dict[str, float] | None:
    counts = now.counts
    if now is before:
        return None
    if before is not None:
        counts = list(map(sub, counts, before.counts))
    new = Histogram(counts)
    if not new.count:
        return None
    return {name: round(new.quantile(share), 6) for name, share in SHARES.items()}


class SnapshotMaker:
    """Makes snapshots, one after another; what it keeps between them is a `Window`."""

    def __init__(self, figures: FigureReader) -> None:
        self._figures = figures
        self._window = Window()

    def make(self, file: SharedFile, settings: Settings) -> dict[str, Any]:
        """Everything that is now, with totals and latencies."""
        now = time.time()
        figures, all_totals = self._figures.read(file), file.worker_totals()
        totals = figures.totals
        window_s, latencies = self._window.look(
            figures.born, figures.latencies, time.monotonic()
        )
        told = state_report(file, settings)
        for backend in told["backends"]:
            key = backend["id"]
            backend["latency"] = latencies.get(key)
            backend["totals"] = _totals(totals[key]) if key in totals else None
        return {
            "at": now,
            "latency_window_s": round(window_s, 3),
            **told,
            "totals": {
                "responses": by_class(all_totals.statuses),
                "endings": all_totals.endings,
                "connections": all_totals.connections,
                "accepted": all_totals.accepted,
            },
        }


def _totals(counted: BackendTotals) -> dict[str, Any]:
    return {
        "attempts": counted.attempts,
        "retries": counted.retries,
        "bytes_in": counted.bytes_in,
        "bytes_out": counted.bytes_out,
        "responses": by_class(counted.responses),
        "failures": counted.failures,
    }


def by_class(counts: tuple[int, ...]) -> dict[str, int]:
    """Counts by hundreds of the status, those there are; "none" got no answer."""
    told = dict(zip(CLASSES, counts, strict=False))
    if more := sum(counts[len(CLASSES) :]):
        told["other"] = more
    return told
