"""`lb status`: the backends, who checks them, and the processes that serve.

With names, what is known of each one's health besides (`lb.cli.health_report`).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, print_json
from lb.cli.operating import complete_names
from lb.cli.printing import ago, plain, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.config import Settings
    from lb.shm import BackendState, SharedFile

NONE_UP = 1
"""Exit status: no backend can be used."""

Report = dict[str, Any]


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_names)
@json_option
def status(*, names: tuple[str, ...], as_json: bool) -> None:
    """Print the backends with verdict, since when and why, from the shared file.

    What was changed at run time, and so differs from the settings, is marked. With
    names, only those, and of each why it is as it is: what would bring it back and
    when, its last ten probes, and what traffic saw.

    Exits with 1 when no backend (of those) can be used.
    """
    from lb.config import load
    from lb.operating import find

    settings = load()
    with open_file(settings) as file:
        report = report_of(file, settings)
        if names:
            wanted = {row.id for row in find(file.rows(), names)}
            report["backends"] = [b for b in report["backends"] if b["id"] in wanted]
            _add_health(file, settings, report)
    if as_json:
        print_json(report)
    else:
        _print_status(report)
    usable = [b for b in report["backends"] if b["is_served"]]
    sys.exit(0 if usable else NONE_UP)


def _add_health(file: SharedFile, settings: Settings, report: Report) -> None:
    from lb.cli.health_report import health_report
    from lb.config import health_by_set

    states = {state.id: state for state in file.backends()}
    by_set = health_by_set(settings)
    for backend in report["backends"]:
        state = states.get(backend["id"])
        if state is not None:
            health = by_set.get(state.backend.group, settings.health)
            backend["health"] = health_report(file, state, health)


def _sets(states: Sequence[BackendState], settings: Settings) -> list[Report]:
    """Each set's line-up: who gets requests, and whether it is panic."""
    from lb.config import health_by_set
    from lb.health.outlook import line_up_of

    members: dict[str, list[BackendState]] = {}
    for state in states:
        members.setdefault(state.backend.group, []).append(state)
    sets = []
    for name, health in health_by_set(settings).items():
        found = line_up_of(members.get(name, []), health.panic)
        sets.append(
            {
                "name": name,
                "is_panic": found.is_panic,
                "available": found.available,
                "judged": found.judged,
                "served": [viewed.state.id for viewed in found.members],
            }
        )
    return sets


def report_of(file: SharedFile, settings: Settings) -> Report:
    """All that the file says of now, as plain values; times are unix seconds."""
    from lb.shm import leader_pid

    now = time.time()
    states = file.backends()
    sets = _sets(states, settings)
    served = {row_id for each in sets for row_id in each["served"]}
    in_flight, totals = file.in_flight_reader().all(), file.totals()
    backends = []
    for state in states:
        counted = totals.get(state.id)
        figures = {
            "is_served": state.id in served,
            "in_flight": in_flight[state.row],
            "requests": counted.attempts if counted else 0,
            "retries": counted.retries if counted else 0,
            "retries_refused": counted.refused_retries if counted else 0,
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
        "sets": sets,
        "backends": backends,
        "removed": [
            {"name": row.backend.name, "address": str(row.backend.address)}
            for row in file.removed()
        ],
    }


def _backend(state: BackendState) -> Report:
    from lb.health.outlook import Viewed

    probe, standing, memory = state.last_probe, state.standing, state.memory
    return {
        "id": state.id,
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
        "available": Viewed(state).is_available,
        "share": standing.share,
        "is_gone": standing.is_gone,
        "ejected": None
        if not standing.is_ejected
        else {
            "times": memory.ejections,
            "at": memory.ejected_at,
            "until": memory.ejected_until,
            "why": memory.why,
        },
        "held_until": memory.held_until or None,
        "changes": memory.changes,
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
        "verdict": _verdict(backend),
        "wish": _wish(backend, now),
        "set": backend["set"],
        "weight": _weight(backend),
        "max": str(backend["max_in_flight"] or "-"),
        "since": ago(now, _since(backend)),
        "why": _why(backend, now),
        "probe": f"{probe['detail']}, {ago(now, probe['at'])}" if probe else "-",
        "now": str(backend["in_flight"]),
        "requests": str(backend["requests"]),
        "changed": "; ".join(backend["changed"]) or "-",
    }


def _is_ejected(backend: Report) -> bool:
    """Whether that is what counts: who is DOWN, is."""
    return bool(backend["ejected"]) and backend["verdict"] != "down"


def _verdict(backend: Report) -> str:
    return "EJECTED" if _is_ejected(backend) else str(backend["verdict"].upper())


def _weight(backend: Report) -> str:
    share = "" if backend["share"] == 100 else f" at {backend['share']} %"
    return f"{backend['weight']}{share}{' backup' if backend['backup'] else ''}"


def _since(backend: Report) -> float | None:
    ejected = backend["ejected"]
    at: float | None = ejected["at"] if _is_ejected(backend) else backend["since"]
    return at


def _why(backend: Report, now: float) -> str:
    if not _is_ejected(backend):
        return backend["reason"] or "-"
    ejected = backend["ejected"]
    left_s = max(0.0, ejected["until"] - now)
    return f"{ejected['why']}; time {ejected['times']} lately, {left_s:.0f} s left"


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
    for each in report["sets"]:
        if each["is_panic"]:
            available = f"{each['available']} of {each['judged']}"
            click.echo(
                f"set {each['name']} is in PANIC: {available} that can be connected to"
                " are available, so all of these get requests"
            )
    for gone in report["removed"]:
        click.echo(plain(f"removed at run time: {gone['name']} ({gone['address']})"))
    for backend in report["backends"]:
        if "health" in backend:
            from lb.cli.health_report import print_health

            click.echo()
            click.echo(plain(f"{backend['name']} ({backend['address']})"))
            print_health(backend["health"])
    workers = report["workers"]
    agreed = {w["generation_seen"] for w in workers}
    checker = report["checker_pid"] or "none"
    click.echo(
        f"workers: {len(workers)}, generations seen: {len(agreed)}, "
        f"checker: {checker}, state: {report['state_path']}"
    )
