"""`lb drain`, `ready`, `maint`, `weight`, `add` and `remove`: change what runs.

Each is a store into the shared file by `lb.operating`, here or by the admin process of
a URL, in force in every worker at its next request. Here are only options, words and
exit statuses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, say
from lb.cli.where import complete_names, on_balancer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.cli.reach.operator import Operator
    from lb.model import Wish
    from lb.operating import Outcome
    from lb.report import Report

CUT_STATUSES = """\b
Exit status: 0 it is done (with --wait: nothing is in flight any more);
1 the deadline passed, and what was still in flight was cut;
2 nothing was done: a backend is unknown, or something cannot be used;
130 Ctrl-C while waiting: what was changed stays in force."""

SEEN_STATUSES = """\b
Exit status: 0 it is done; 1 not within the seconds of --wait;
2 nothing was done: a backend is unknown, or something cannot be used."""


def on_backends(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the names of backends, or --all."""
    command = click.option("--all", "every", is_flag=True, help="Every backend.")(
        command
    )
    return click.argument(
        "names", nargs=-1, metavar="NAME...", shell_complete=complete_names
    )(command)


def wait_for(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command --wait; `what` is waited for."""
    return click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(min=0, max=86400),
        metavar="SECONDS",
        help=f"Wait for at most so long until {what}.",
    )


def chosen(names: tuple[str, ...], *, every: bool) -> tuple[str, ...] | None:
    """The names that were given, or None for every backend.

    Raises:
        click.UsageError: neither was asked for, or both.
    """
    if every == bool(names):
        raise click.UsageError("give names of backends, or --all")
    return None if every else names


@cli.command(epilog=CUT_STATUSES)
@on_backends
@wait_for("nothing is in flight; then cut what is")
@on_balancer
@json_option
def drain(*, operator: Operator, **asked: Any) -> None:
    """Send backends nothing new; what is under way goes on.

    Their idle connections are closed at once. With --wait, what is in flight over
    all workers is shown until nothing is; what still runs at the deadline (requests,
    and tunnels such as WebSockets) is cut. Without --wait nothing is ever cut.
    """
    from lb.model import Wish

    _take_out(operator, Wish.DRAIN, **asked)


@cli.command(epilog=CUT_STATUSES)
@on_backends
@wait_for("nothing is in flight; then cut what is")
@on_balancer
@json_option
def maint(*, operator: Operator, **asked: Any) -> None:
    """Drain backends, and probe them no more: they may go away."""
    from lb.model import Wish

    _take_out(operator, Wish.MAINT, **asked)


@cli.command(epilog=CUT_STATUSES)
@on_backends
@wait_for("nothing is in flight; then cut what is, and remove")
@on_balancer
@json_option
def remove(*, operator: Operator, **asked: Any) -> None:
    """Take backends out of the table.

    It is as if the settings did not name them. With --wait they are drained first, as
    by `drain`. Without it they are gone at once, and what is under way there goes on
    to its end. They stay away until `lb add NAME`, or until the balancer is stopped
    and started.
    """
    from lb.model import Wish

    _take_out(operator, Wish.DRAIN, **asked, removes=True)


def _take_out(
    operator: Operator,
    wish: Wish,
    *,
    names: tuple[str, ...],
    every: bool,
    wait_s: float | None,
    as_json: bool,
    removes: bool = False,
) -> None:
    from lb.cli.outcome import Teller

    cut_at = 0.0 if wait_s is None else time.time() + wait_s
    made = operator.set_wish(chosen(names, every=every), wish, wait_s=wait_s)
    word = "removed" if removes else wish.name.lower()
    teller = Teller(made, word, as_json=as_json)
    teller.tell_done()
    _warn_of_empty_sets(operator.status())
    outcome: Outcome | None = None
    if wait_s is None:
        teller.tell_in_flight()
    else:
        outcome = teller.wait_drained(cut_at=cut_at)
    if removes:
        made.remove()
    waited = f" in {outcome.waited_s:.1f} s" if outcome else ""
    teller.end(outcome, f"Drained{waited}: nothing is in flight at {teller.names}.")


def _warn_of_empty_sets(report: Report) -> None:
    """Say it where a set's last backend was taken out: no message, no service."""
    sets: dict[str, bool] = {}
    for each in report["backends"]:
        usable = each["wish"] == "ready" and each["verdict"] != "down"
        sets[each["set"]] = sets.get(each["set"], False) or usable
    for name, has_any in sets.items():
        if not has_any:
            say(f"no backend of the set {name} is up and ready: it answers 503")


@cli.command(epilog=SEEN_STATUSES)
@on_backends
@wait_for("they are UP")
@on_balancer
@json_option
def ready(
    *,
    operator: Operator,
    names: tuple[str, ...],
    every: bool,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Undo drain and maint: requests again, while they are UP."""
    from lb.cli.outcome import Teller
    from lb.model import Wish
    from lb.operating import wait_up

    made = operator.set_wish(chosen(names, every=every), Wish.READY, wait_s=None)
    teller = Teller(made, "ready", as_json=as_json)
    teller.tell_done()
    outcome = None if wait_s is None else wait_up(made, timeout_s=wait_s)
    teller.end(outcome, "UP, and seen by all workers.")


@cli.command(epilog=SEEN_STATUSES)
@on_backends
@click.argument("weight", type=click.IntRange(1, 256))
@wait_for("every worker has seen it")
@on_balancer
@json_option
def weight(
    *,
    operator: Operator,
    names: tuple[str, ...],
    every: bool,
    weight: int,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Give backends another weight: their share of the requests.

    From 1 to 256; with 2 a backend gets twice as many as one with 1.

    \b
        lb weight web1 3
        lb weight web1 web2 10
    """
    from lb.cli.outcome import Teller
    from lb.operating import wait_seen

    made = operator.set_weight(chosen(names, every=every), weight)
    teller = Teller(made, f"weight {weight}", as_json=as_json)
    teller.tell_done()
    outcome = None if wait_s is None else wait_seen(made, timeout_s=wait_s)
    teller.end(outcome, "Seen by all workers.")


@cli.command(epilog=SEEN_STATUSES)
@click.argument("backends", nargs=-1, required=True, metavar="NAME=ADDRESS...")
@click.option("--weight", type=click.IntRange(1, 256), help="Its share; else 1.")
@click.option("--set", "group", help="The set that it belongs to; else `default`.")
@click.option(
    "--max-in-flight", type=click.IntRange(0), help="Over all workers; 0: no limit."
)
@click.option(
    "--backup", is_flag=True, default=None, help="Only while no other of its set can."
)
@wait_for("they are UP")
@on_balancer
@json_option
def add(
    *,
    operator: Operator,
    backends: tuple[str, ...],
    weight: int | None,
    group: str | None,
    max_in_flight: int | None,
    backup: bool | None,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Add backends: they get requests at once.

    They are written as in the settings.

    \b
        lb add web3=10.0.0.3:80
        lb add web4=unix:/run/web4.sock --weight 3 --wait 10
        lb add web1          (one that was removed: as the settings say)
    """
    from lb.cli.outcome import Teller
    from lb.cli.reach.operator import Wanted
    from lb.operating import wait_up

    made = operator.add(
        [Wanted(each, weight, group, max_in_flight, backup) for each in backends]
    )
    teller = Teller(made, "added", as_json=as_json)
    teller.tell_done(had_state=False)
    outcome = None if wait_s is None else wait_up(made, timeout_s=wait_s)
    teller.end(outcome, "UP, and seen by all workers.")
