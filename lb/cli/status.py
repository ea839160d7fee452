"""`lb status`: the backends, who checks them, and the processes that serve."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, print_json
from lb.cli.printing import ago, plain, table

if TYPE_CHECKING:
    from lb.report import Report

NONE_UP = 1
"""Exit status: no backend can be used."""


@cli.command()
@json_option
def status(*, as_json: bool) -> None:
    """Print the backends with verdict, since when and why, from the shared file.

    What was changed at run time, and so differs from the settings, is marked.

    Exits with 1 when no backend can be used.
    """
    from lb.report import state_report

    with open_file() as file:
        report = state_report(file)
    if as_json:
        print_json(report)
    else:
        _print_status(report)
    usable = [b for b in report["backends"] if b["available"]]
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
