"""A snapshot: the state of now with totals, from which a watcher makes rates.

What a watcher cannot make of totals are latencies: those of the last minute are handed
in (`lb.report.latencies`), as who makes snapshots again and again keeps them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from lb.report.state import state_report

if TYPE_CHECKING:
    from lb.config import Settings
    from lb.report.latencies import Looked
    from lb.shm import BackendTotals, SharedFile
    from lb.shm.figures import Figures

CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


def snapshot(
    file: SharedFile, settings: Settings, figures: Figures, looked: Looked
) -> dict[str, Any]:
    """Everything that is now, with totals and latencies; `at` is unix time."""
    now, all_totals = time.time(), file.worker_totals()
    totals = figures.totals
    told = state_report(file, settings)
    for backend in told["backends"]:
        key = backend["id"]
        backend["latency"] = looked.by_backend.get(key)
        backend["totals"] = _totals(totals[key]) if key in totals else None
    return {
        "at": now,
        "latency_window_s": round(looked.seconds, 3),
        "latency": looked.of_all,
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
