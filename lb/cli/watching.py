"""`lb top`: the backends live in a terminal, or their figures once."""

from __future__ import annotations

import sys
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING, NoReturn

import click

from lb.cli.group import cli, print_json
from lb.cli.printing import table
from lb.cli.where import with_reach

if TYPE_CHECKING:
    from lb.cli.reach import Reach
    from lb.cli.top.board import Row
    from lb.cli.top.columns import Order

NONE_UP = 1
"""Exit status of `--once`: no backend can be used; as of `lb status`."""

SORTS = (
    "name", "state", "set", "weight", "requests", "share", "errors", "p50", "p95",
    "p99", "in_flight", "since", "probes", "why",
)  # fmt: skip


@cli.command()
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="name",
    show_default=True,
    metavar="COLUMN",
    help=f"One of: {', '.join(SORTS)}.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--filter", "wanted", default="", help="Only rows with these words.")
@click.option("--once", is_flag=True, help="Print the figures of a second, and end.")
@with_reach
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def top(
    *, reach: Reach, sort: str, reverse: bool, wanted: str, once: bool, as_json: bool
) -> None:
    """Show the backends live: rates, latencies, verdicts, probes.

    Keys sort, filter, drain and bring back; ? tells them. Rates are those of the last
    second, latencies of the last minute. Old figures are never shown as those of now.

    Exits with 0 by q and 130 by Ctrl-C; with --once or --json as `lb status`, with 1
    when no backend can be used.
    """
    from lb.cli.top.columns import Order

    order = Order(sort, reverse)
    if once or as_json:
        _once(reach, order, wanted, as_json=as_json)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("not a terminal; use --once or --json")
    sys.exit(_live(reach, order, wanted))


def _once(reach: Reach, order: Order, wanted: str, *, as_json: bool) -> NoReturn:
    """Print the figures between two snapshots."""
    from lb.cli.top.board import Board
    from lb.cli.top.columns import arranged
    from lb.cli.top.feed import next_of
    from lb.cli.top.words import headline, processes

    board = Board()
    with reach.opened() as operator:
        news = operator.snapshots(Event())
        while board.sum is None or board.sum.requests_s is None:
            board.take(next_of(news))
    rows = arranged(board.rows, order, wanted)
    if as_json:
        print_json(asdict(board.sum) | {"backends": [asdict(row) for row in rows]})
    else:
        click.echo(headline(board.sum, reach.url or board.sum.state_path))
        click.echo(processes(board.sum))
        _print(rows)
    sys.exit(0 if any(row.is_served for row in rows) else NONE_UP)


def _print(rows: list[Row]) -> None:
    from lb.cli.top.columns import layout

    shown = [column for column, _ in layout(rows, 1000)]
    table(
        [column.title for column in shown],
        [[column.text(row) for column in shown] for row in rows],
    )


def _live(reach: Reach, order: Order, wanted: str) -> int:
    """The screen, until it is left; its exit status.

    What cannot be reached is told before the terminal is taken.
    """
    from lb.cli.top.board import Board
    from lb.cli.top.feed import Feed

    with reach.opened() as operator:
        feed = Feed(operator, is_far=bool(reach.url))
        feed.begin()
        from lb.cli.top.screen import Top

        app = Top(reach, feed, Board(), order, wanted=wanted)
        try:
            status = app.run()
        finally:
            feed.end()
    return (app.return_code or 0) if status is None else status
