"""`lb events`: what happened to backends and processes, and what happens now."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

import click

from lb.cli.group import INTERRUPTED, cli, print_json, say
from lb.cli.printing import plain, stamp
from lb.cli.where import complete_names, on_balancer

if TYPE_CHECKING:
    from lb.cli.reach.operator import News, Operator
    from lb.report import Report

MOST: Final = 1024
"""As many are kept."""

WORDS: Final[dict[str, str]] = {
    "verdict": "{AFTER} (was {before})",
    "wish": "{after} (was {before})",
    "weight": "weight {after} (was {before})",
    "added": "added, weight {after}",
    "removed": "removed",
    "checker": "process {after} checks health from now on",
    "worker_came": "worker {after} came",
    "worker_went": "worker {before} went",
    "settings": "settings number {after} are in force",
    "ejected": "EJECTED",
    "readmitted": "readmitted",
    "panic": "{panic}",
    "demo": "by the demo's controls",
}
"""An event by its kind; one that this version does not know is told by its kind."""


@cli.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as they happen.")
@click.option(
    "--backend",
    metavar="NAME",
    shell_complete=complete_names,
    help="Only those about that backend.",
)
@click.option(
    "--limit",
    type=click.IntRange(0, MOST),
    default=20,
    show_default=True,
    help="How many of those that were before, at most.",
)
@on_balancer
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; with --follow a line for each."
)
def events(
    *, operator: Operator, follow: bool, backend: str | None, limit: int, as_json: bool
) -> None:
    """Print what happened to backends and workers, and by whom.

    Verdicts, ejections, changes by operators, settings, workers; the oldest first,
    with when and why. The last 512 of backends and settings are kept, and the last 512
    of health and workers. With --follow it goes on until Ctrl-C (exit status 130);
    what it missed, and when it cannot look, it says on standard error.
    """
    happened = operator.events(backend, limit)
    if as_json and not follow:
        print_json(happened.events)
        return
    for event in happened.events:
        _print(event, as_json=as_json)
    if not follow:
        return
    try:
        _follow(operator, happened.cursor, backend, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _follow(
    operator: Operator, cursor: str, backend: str | None, *, as_json: bool
) -> None:
    trouble = ""
    for news in operator.follow(cursor):
        if news.trouble and news.trouble != trouble:
            say(plain(news.trouble))
        trouble = news.trouble
        if news.lost:
            _tell_lost(news, as_json=as_json)
        elif news.told and backend in (None, news.told["backend"]):
            _print(news.told, as_json=as_json)


def _tell_lost(news: News, *, as_json: bool) -> None:
    say(f"{news.lost} events were overwritten before they could be read")
    if as_json:
        click.echo(json.dumps({"lost": news.lost}))


def _print(event: Report, *, as_json: bool) -> None:
    click.echo(json.dumps(event) if as_json else told(event))


def told(event: Report) -> str:
    """An event in a line for people."""
    before, after = event["before"], event["after"]
    words = WORDS.get(str(event["kind"]), "{kind}").format(
        kind=event["kind"],
        before=before,
        after=after,
        AFTER=str(after).upper(),
        panic="PANIC" if after else "no more panic",
    )
    about = f"{event['backend']}: " if event["backend"] else ""
    why = f": {event['reason']}" if event["reason"] else ""
    who = f" [{event['who']}]" if event["who"] else ""
    return plain(f"{stamp(event['at'])} {about}{words}{why}{who}")
