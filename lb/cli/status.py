"""`lb status`: the backends, who checks them, and the processes that serve.

With names, what is known of each one's health besides (`lb.cli.health_report`).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, print_json
from lb.cli.printing import ago, plain, table
from lb.cli.where import complete_names, on_balancer

if TYPE_CHECKING:
    from lb.cli.reach.operator import Operator
    from lb.report import Report

NONE_UP = 1
"""Exit status: no backend can be used."""


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_names)
@on_balancer
@json_option
def status(*, operator: Operator, names: tuple[str, ...], as_json: bool) -> None:
    """Print the backends with verdict, since when and why.

    What was changed at run time, and so differs from the settings, is marked. With
    names, only those, and of each why it is as it is: what would bring it back and
    when, its last ten probes, and what traffic saw.

    Exits with 1 when no backend (of those) can be used.
    """
    report = operator.status(names)
    if as_json:
        print_json(report)
    else:
        _print_status(report)
    usable = [b for b in report["backends"] if b["is_served"]]
    sys.exit(0 if usable else NONE_UP)


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
