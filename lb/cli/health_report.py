"""`lb status NAME`: why is it down, what did probes and traffic see, what next?"""

from __future__ import annotations

import time
from collections import Counter
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import click

from lb.cli.printing import ago, milliseconds, plain, stamp, table

if TYPE_CHECKING:
    from lb.health.settings import HealthSettings
    from lb.shm import BackendState, ProbeRecord, RequestRecord, SharedFile

RECENT_S: Final = 60.0
"""How far back requests are looked at, as far as the flight recorders reach."""

FAILED_SHOWN: Final = 5

Report = dict[str, Any]


def health_report(
    file: SharedFile, state: BackendState, settings: HealthSettings
) -> Report:
    """What is known of one backend's health, as plain values; times are unix."""
    from lb.health.outlook import outlook

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


def print_health(report: Report) -> None:
    """Print it for people."""
    now = time.time()
    click.echo("what next:")
    for told in report["outlook"] or ["nothing is held against it"]:
        click.echo(f"  {plain(told)}")
    click.echo("last probes, the newest first (times in ms):")
    table(
        ["when", "passed", "connect", "head", "total", "what happened"],
        [
            [
                ago(now, probe["at"]),
                "yes" if probe["ok"] else "no",
                milliseconds(probe["connect_s"]),
                milliseconds(probe["head_s"]),
                milliseconds(probe["duration_s"]),
                probe["detail"],
            ]
            for probe in report["probes"]
        ],
    )
    _print_traffic(report["traffic"])


def _print_traffic(traffic: Report) -> None:
    labels = traffic["failures"].items()
    ever = ", ".join(f"{count} {label}" for label, count in labels) or "none"
    click.echo(f"traffic, over all workers: {traffic['attempts']} attempts, failed:")
    click.echo(f"  {ever}")
    recent, failed = traffic["recent"], traffic["recent_failed"]
    click.echo(
        f"of the last {traffic['recent_s']:.0f} s, {recent} requests are recorded,"
        f" {failed} failed there"
    )
    for record in traffic["last_failed"]:
        what = record["label"] or "tried elsewhere"
        line = f"{stamp(record['ended'])} {record['method']} {record['target']}"
        click.echo(plain(f"  {line}: {record['status'] or '-'} {what}"))
