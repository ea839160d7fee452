"""`lb plan`: what edited settings would change; `lb reload`: put them in force."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, print_json, say
from lb.cli.printing import plain
from lb.cli.where import on_balancer

if TYPE_CHECKING:
    from lb.cli.reach.operator import Operator
    from lb.report import Report

DIFFERS: Final = 1
"""Exit status of `plan`: a reload would change something. As with diff."""

NOT_ALL: Final = 1
"""Exit status of `reload`: not every worker goes by the new settings."""


@cli.command()
@on_balancer
@json_option
def plan(*, operator: Operator, as_json: bool) -> None:
    """Say what a reload would change.

    A line for each: + and - for backends that come and go, ~ for what changes, ! for
    what waits for a restart, = for what operators changed and what stays so.

    Exits with 0 if nothing would change, 1 if something, 2 if it cannot tell.
    """
    found = operator.plan()
    if as_json:
        print_json(found)
    else:
        _print_plan(found)
        if found["is_empty"]:
            click.echo("Nothing would change.")
    sys.exit(0 if found["is_empty"] else DIFFERS)


def _print_plan(told: Report) -> None:
    from lb.cli.planned import plan_of

    for text in plan_of(told).lines():
        click.echo(plain(text))


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
@on_balancer
@json_option
def reload(*, operator: Operator, timeout_s: float, as_json: bool) -> None:
    """Put edited settings in force, in every worker.

    Exits with 0 when all go by them, 1 if some do not in time, and 2 if the settings
    are not good: then nothing has changed.
    """
    if not as_json:
        _print_plan(operator.plan())
    done = operator.reload(timeout_s)
    if as_json:
        print_json(done)
    elif done["in_force"]:
        workers, took_s = done["workers"], done["took_s"]
        click.echo(f"In force in {workers} workers after {took_s:.2f} s.")
    elif done["generation"]:
        behind = ", ".join(map(str, done["behind"]))
        say(f"not in force in process {behind}; see its log")
    else:
        say("the arbiter has not reloaded; see its log")
    sys.exit(0 if done["in_force"] else NOT_ALL)
