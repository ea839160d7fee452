"""`lb recent`: the last requests, from every worker's flight recorder.

They are in the shared file, so those of a worker that was killed are there too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, print_json
from lb.cli.printing import milliseconds, recorded, stamp, table
from lb.cli.where import complete_names, on_balancer

if TYPE_CHECKING:
    from lb.cli.reach.operator import Operator
    from lb.report import Report

HEAD = (
    "ended", "id", "client", "method", "target", "backend", "tries", "status",
    "queue", "connect", "head", "total ms", "in", "out", "end",
)  # fmt: skip
"""Times are milliseconds, in and out are bytes of bodies."""


@cli.command()
@click.option(
    "--slow",
    "slow_s",
    is_flag=False,
    flag_value=0.0,
    type=click.FloatRange(min=0),
    metavar="[SECONDS]",
    help="The slowest first; with a number, those that took at least so long.",
)
@click.option(
    "--failed", is_flag=True, help="Only those that did not end well, or got a 5xx."
)
@click.option(
    "--backend",
    metavar="NAME",
    shell_complete=complete_names,
    help="Only those that were sent there, if only for a failed attempt.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many at most.",
)
@on_balancer
@json_option
def recent(
    *,
    operator: Operator,
    slow_s: float | None,
    failed: bool,
    backend: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the last requests of all workers.

    Each worker keeps 1,024; those of workers that were killed are there too. Phases
    are in milliseconds: the wait for a backend, to connect, to the response head in
    the last attempt, and in all; "-" where a request did not come to it. The end is
    empty where all went well.
    """
    from lb.cli.reach.operator import Which

    listed = operator.requests(Which(slow_s, failed, backend, limit))
    if as_json:
        print_json(listed)
    else:
        table(HEAD, [_row(record) for record in listed], shorten="target")


def _row(record: Report) -> tuple[str, ...]:
    from lb.report.requests import backend_name

    phases = ("queued_s", "connect_s", "to_head_s", "total_s")
    return (
        stamp(record["ended"]),
        *(recorded(record[key]) for key in ("request_id", "client", "method")),
        recorded(record["target"]),
        backend_name(record["backend_id"], record["backend"]),
        str(record["attempts"]),
        str(record["status"] or "-"),
        *(milliseconds(record[key]) for key in phases),
        str(record["bytes_in"]),
        str(record["bytes_out"]),
        record["label"],
    )
