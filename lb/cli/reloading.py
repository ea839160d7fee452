"""`lb plan`: what edited settings would change; `lb reload`: put them in force."""

from __future__ import annotations

import sys
from typing import Final

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, print_json, say
from lb.cli.printing import plain

DIFFERS: Final = 1
"""Exit status of `plan`: a reload would change something. As with diff."""

NOT_ALL: Final = 1
"""Exit status of `reload`: not every worker goes by the new settings."""


@cli.command()
@json_option
def plan(*, as_json: bool) -> None:
    """Say what a reload would change in the balancer that runs.

    A line for each: + and - for backends that come and go, ~ for what changes, ! for
    what waits for a restart, = for what operators changed and what stays so.

    Exits with 0 if nothing would change, 1 if something, 2 if it cannot tell.
    """
    from lb.reloading import propose

    path, found = propose()
    if as_json:
        print_json({"state_path": str(path)} | found.report())
    else:
        for text in found.lines():
            click.echo(plain(text))
        if found.is_empty:
            click.echo("Nothing would change.")
    sys.exit(0 if found.is_empty else DIFFERS)


@cli.command()
@click.option(
    "--wait",
    "timeout_s",
    type=click.FloatRange(0.1, 3600.0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the workers.",
)
def reload(*, timeout_s: float) -> None:
    """Put the settings in force as they are now, in every worker.

    Exits with 0 when all go by them, 1 if some do not in time, and 2 if the settings
    are not good: then nothing has changed.
    """
    from lb.reloading import propose
    from lb.reloading import reload as ask

    path, found = propose()
    for text in found.lines():
        click.echo(plain(text))
    done = ask(path, timeout_s=timeout_s)
    if done.is_good:
        click.echo(f"In force in {done.workers} workers after {done.took_s:.2f} s.")
        return
    if done.generation:
        say(f"not in force in process {', '.join(map(str, done.behind))}; see its log")
    else:
        say("the arbiter has not reloaded; see its log")
    sys.exit(NOT_ALL)
