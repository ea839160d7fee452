"""`lb recent`: the last requests, from every worker's flight recorder.

They are in the shared file, so those of a worker that was killed are there too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, print_json
from lb.cli.operating import complete_names
from lb.cli.printing import milliseconds, recorded, stamp, table

if TYPE_CHECKING:
    from lb.shm import RequestRecord

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
@json_option
def recent(
    *,
    slow_s: float | None,
    failed: bool,
    backend: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the last requests of all workers, also of workers that were killed.

    Each worker keeps 1,024. Phases are in milliseconds: the wait for a backend, to
    connect, to the response head in the last attempt, and in all; "-" where a
    request did not come to it. The end is empty where all went well.
    """
    from lb.report import request_report, select

    with open_file() as file:
        listed = select(
            file, slow_s=slow_s, failed=failed, backend=backend, limit=limit
        )
    if as_json:
        print_json([request_report(record) for record in listed])
    else:
        table(HEAD, [_row(record) for record in listed], shorten="target")


def _row(record: RequestRecord) -> tuple[str, ...]:
    from lb.report.requests import backend_name

    return (
        stamp(record.ended),
        recorded(record.request_id),
        recorded(record.client),
        recorded(record.method),
        recorded(record.target),
        backend_name(record.backend_id, record.backend),
        str(record.attempts),
        str(record.status or "-"),
        *map(milliseconds, (record.queued_s, record.connect_s, record.to_head_s)),
        milliseconds(record.total_s),
        str(record.bytes_in),
        str(record.bytes_out),
        record.label,
    )
