"""`lb status NAME` for people: what next, the last probes, and what traffic saw."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from lb.cli.printing import ago, milliseconds, plain, stamp, table

if TYPE_CHECKING:
    from lb.report import Report


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
