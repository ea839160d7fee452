"""One backend's health: why is it down, what did probes and traffic see, what next?"""

from __future__ import annotations

import time
from collections import Counter
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from lb.config import health_by_set
from lb.health.outlook import outlook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lb.config import Settings
    from lb.health.settings import HealthSettings
    from lb.shm import BackendState, ProbeRecord, RequestRecord, SharedFile

    Report = dict[str, Any]

RECENT_S: Final = 60.0
"""How far back requests are looked at, as far as the flight recorders reach."""

FAILED_SHOWN: Final = 5


def health_report(
    file: SharedFile, state: BackendState, settings: HealthSettings
) -> Report:
    """What is known of one backend's health, as plain values; times are unix."""
    now = time.time()
    counted = file.totals().get(state.id)
    recent = _recent(file, state, now)
    failed = [record for record in recent if _blames(record, state)]
    return {
        "outlook": outlook(state, settings, now),
        "probes": [_probe(probe) for probe in reversed(state.probes)],
        "traffic": {
            "attempts": counted.attempts if counted else 0,
            "connect_failures": counted.connect_failures if counted else 0,
            "failures": counted.failures if counted else {},
            "recent_s": RECENT_S,
            "recent": len(recent),
            "recent_failed": len(failed),
            "recent_labels": dict(Counter(r.label or str(r.status) for r in failed)),
            "last_failed": [_failed(record) for record in failed[:FAILED_SHOWN]],
        },
    }


def _recent(file: SharedFile, state: BackendState, now: float) -> list[RequestRecord]:
    young = takewhile(lambda r: r.ended >= now - RECENT_S, file.recent())
    return [r for r in young if state.id == r.backend_id or state.id in r.tried]


def _blames(record: RequestRecord, state: BackendState) -> bool:
    """Whether it failed there, though it may have gone well elsewhere."""
    if state.id in record.tried:
        return True
    return bool(record.label) or not record.status or record.status >= 500


def _failed(record: RequestRecord) -> Report:
    return {
        "ended": record.ended,
        "id": record.request_id,
        "method": record.method,
        "target": record.target,
        "status": record.status,
        "label": record.label,
    }


def _probe(probe: ProbeRecord) -> Report:
    return {
        "at": probe.at,
        "ok": probe.ok,
        "connect_s": round(probe.connect_s, 6) if probe.connect_s >= 0 else None,
        "head_s": round(probe.head_s, 6) if probe.head_s >= 0 else None,
        "duration_s": round(probe.duration_s, 6),
        "detail": probe.detail,
    }


def add_health(
    file: SharedFile, settings: Settings, reports: Iterable[dict[str, Any]]
) -> None:
    """Give each of these reports of backends its `health`."""
    states = {state.id: state for state in file.backends()}
    by_set = health_by_set(settings)
    for report in reports:
        state = states.get(report["id"])
        if state is not None:
            health = by_set.get(state.backend.group, settings.health)
            report["health"] = health_report(file, state, health)
