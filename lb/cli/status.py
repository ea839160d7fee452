"""`lb status`: the backends, who checks them, and the processes that serve."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, print_json
from lb.cli.printing import ago, plain, table

if TYPE_CHECKING:
    from lb.shm import BackendState, SharedFile

NONE_UP = 1
"""Exit status: no backend can be used."""

Report = dict[str, Any]


@cli.command()
@json_option
def status(*, as_json: bool) -> None:
    """Print the backends with verdict, since when and why, from the shared file.

    What was changed at run time, and so differs from the settings, is marked.

    Exits with 1 when no backend can be used.
    """
    with open_file() as file:
        report = report_of(file)
    if as_json:
        print_json(report)
    else:
        _print_status(report)
    usable = [b for b in report["backends"] if b["available"]]
    sys.exit(0 if usable else NONE_UP)


def report_of(file: SharedFile) -> Report:
    """All that the file says of now, as plain values; times are unix seconds."""
    from lb.shm import leader_pid

    now = time.time()
    in_flight, totals = file.in_flight_reader().all(), file.totals()
    backends = []
    for state in file.backends():
        counted = totals.get(state.id)
        figures = {
            "in_flight": in_flight[state.row],
            "requests": counted.attempts if counted else 0,
        }
        backends.append(_backend(state) | figures)
    return {
        "state_path": str(file.path),
        "generation": file.generation(),
        "settings_generation": file.settings_generation(),
        "checker_pid": leader_pid(file),
        "workers": [
            {
                "slot": slot.index,
                "pid": slot.pid,
                "heartbeat_age_s": round(now - slot.heartbeat, 3),
                "generation_seen": slot.generation_seen,
                "settings_seen": slot.settings_seen,
                "is_leaving": slot.is_leaving,
                "connections": slot.connections,
                "accepted": slot.accepted,
            }
            for slot in file.slots()
            if slot.alive
        ],
        "backends": backends,
        "removed": [
            {"name": row.backend.name, "address": str(row.backend.address)}
            for row in file.removed()
        ],
    }


def _backend(state: BackendState) -> Report:
    from lb.model import Verdict, Wish

    probe = state.last_probe
    return {
        "name": state.backend.name,
        "address": str(state.backend.address),
        "set": state.backend.group,
        "weight": state.backend.weight,
        "max_in_flight": state.backend.max_in_flight,
        "backup": state.backend.backup,
        "changed": changes_of(state),
        "verdict": state.verdict.name.lower(),
        "wish": state.wish.name.lower(),
        "cut_at": state.cut_at or None,
        "available": state.verdict is not Verdict.DOWN and state.wish is Wish.READY,
        "since": state.since or None,
        "reason": state.reason,
        "last_probe": probe
        and {
            "at": probe.at,
            "ok": probe.ok,
            "duration_s": round(probe.duration_s, 6),
            "detail": probe.detail,
        },
    }


def changes_of(state: BackendState) -> list[str]:
    """What was changed at run time, each in a few words."""
    settings_weight = state.settings_weight
    if settings_weight is None:
        return ["added"]
    if settings_weight != state.backend.weight:
        return [f"weight, {settings_weight} in the settings"]
    return []


HEAD = {
    "backend": "backend",
    "verdict": "verdict",
    "wish": "wish",
    "set": "set",
    "weight": "weight",
    "max": "max",
    "since": "since",
    "why": "why",
    "probe": "last probe",
    "now": "now",
    "requests": "requests",
    "changed": "changed at run time",
}
"""Columns by what they are called in `_row`."""

SOMETIMES = {"set": "default", "max": "-", "changed": "-"}
"""Columns that are left out where all of their cells are like this."""


def _row(backend: Report, now: float) -> dict[str, str]:
    probe = backend["last_probe"]
    return {
        "backend": backend["name"],
        "verdict": backend["verdict"].upper(),
        "wish": _wish(backend, now),
        "set": backend["set"],
        "weight": f"{backend['weight']}{' backup' if backend['backup'] else ''}",
        "max": str(backend["max_in_flight"] or "-"),
        "since": ago(now, backend["since"]),
        "why": backend["reason"] or "-",
        "probe": f"{probe['detail']}, {ago(now, probe['at'])}" if probe else "-",
        "now": str(backend["in_flight"]),
        "requests": str(backend["requests"]),
        "changed": "; ".join(backend["changed"]) or "-",
    }


def _wish(backend: Report, now: float) -> str:
    wish: str = backend["wish"]
    if backend["cut_at"] and backend["cut_at"] > now:
        return f"{wish}, cuts in {backend['cut_at'] - now:.0f} s"
    return wish


def _print_status(report: Report) -> None:
    now = time.time()
    rows = [_row(backend, now) for backend in report["backends"]]
    shown = [
        key
        for key in HEAD
        if key not in SOMETIMES or any(row[key] != SOMETIMES[key] for row in rows)
    ]
    table([HEAD[key] for key in shown], [[row[key] for key in shown] for row in rows])
    for gone in report["removed"]:
        click.echo(plain(f"removed at run time: {gone['name']} ({gone['address']})"))
    workers = report["workers"]
    agreed = {w["generation_seen"] for w in workers}
    checker = report["checker_pid"] or "none"
    click.echo(
        f"workers: {len(workers)}, generations seen: {len(agreed)}, "
        f"checker: {checker}, state: {report['state_path']}"
    )
