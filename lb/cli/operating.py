"""`lb drain`, `ready`, `maint`, `weight`, `add` and `remove`: change what runs.

Each is a store into the shared file by `lb.operating`, in force in every worker at
its next request; here are only options, words and exit statuses.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.model import Backend, Wish
    from lb.operating import Outcome
    from lb.shm import SharedFile

CUT_STATUSES = """\b
Exit status: 0 it is done (with --wait: nothing is in flight any more);
1 the deadline passed, and what was still in flight was cut;
2 nothing was done: a backend is unknown, or something cannot be used;
130 Ctrl-C while waiting: what was changed stays in force."""

SEEN_STATUSES = """\b
Exit status: 0 it is done; 1 not within the seconds of --wait;
2 nothing was done: a backend is unknown, or something cannot be used."""


def complete_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The backends' names that begin so, for the shell; none where nothing runs."""
    from lb.errors import LbError

    with contextlib.suppress(LbError), open_file() as file:
        names = [row.backend.name for row in file.rows()]
        return [name for name in names if name.startswith(incomplete)]
    return []


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


def who() -> str:
    """Who makes the change, as events tell it."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        name = f"user {os.getuid()}"
    return f"{name}, by command"


@cli.command(epilog=CUT_STATUSES)
@on_backends
@wait_for("nothing is in flight; then cut what is")
@json_option
def drain(
    *, names: tuple[str, ...], every: bool, wait_s: float | None, as_json: bool
) -> None:
    """Send backends nothing new; what is under way there may go on.

    Their idle connections are closed at once. With --wait, what is in flight over
    all workers is shown until nothing is; what still runs at the deadline (requests,
    and tunnels such as WebSockets) is cut. Without --wait nothing is ever cut.
    """
    from lb.model import Wish

    _take_out(chosen(names, every=every), Wish.DRAIN, wait_s, as_json=as_json)


@cli.command(epilog=CUT_STATUSES)
@on_backends
@wait_for("nothing is in flight; then cut what is")
@json_option
def maint(
    *, names: tuple[str, ...], every: bool, wait_s: float | None, as_json: bool
) -> None:
    """Drain backends, and probe them no more: they may go away."""
    from lb.model import Wish

    _take_out(chosen(names, every=every), Wish.MAINT, wait_s, as_json=as_json)


@cli.command(epilog=CUT_STATUSES)
@on_backends
@wait_for("nothing is in flight; then cut what is, and remove")
@json_option
def remove(
    *, names: tuple[str, ...], every: bool, wait_s: float | None, as_json: bool
) -> None:
    """Take backends out of the table, as if the settings did not name them.

    With --wait they are drained first, as by `drain`. Without it they are gone at
    once, and what is under way there goes on to its end. They stay away until
    `lb add NAME`, or until the balancer is stopped and started.
    """
    from lb.model import Wish

    _take_out(
        chosen(names, every=every), Wish.DRAIN, wait_s, as_json=as_json, removes=True
    )


def _take_out(
    names: tuple[str, ...] | None,
    wish: Wish,
    wait_s: float | None,
    *,
    as_json: bool,
    removes: bool = False,
) -> None:
    from lb.cli.outcome import Teller
    from lb.operating import look, names_of, set_wish
    from lb.operating import remove as take_out

    cut_at = 0.0 if wait_s is None else time.time() + wait_s
    teller = Teller("removed" if removes else wish.name.lower(), as_json=as_json)
    with open_file() as file:
        done = set_wish(file, names, wish, cut_at=cut_at, who=who())
        teller.tell_done(done)
        _warn_of_empty_sets(file)
        outcome: Outcome | None = None
        if wait_s is None:
            teller.tell_standing(look(file, done))
        else:
            outcome = teller.wait_drained(file, done, cut_at=cut_at)
        if removes:
            take_out(file, done.rows, who=who())
    waited = f" in {outcome.waited_s:.1f} s" if outcome else ""
    teller.end(
        done,
        outcome,
        f"Drained{waited}: nothing is in flight at {names_of(done.rows)}.",
    )


def _warn_of_empty_sets(file: SharedFile) -> None:
    """Say it where a set's last backend was taken out: no message, no service."""
    from lb.model import Verdict, Wish

    sets: dict[str, bool] = {}
    for state in file.backends():
        usable = state.wish is Wish.READY and state.verdict is not Verdict.DOWN
        sets[state.backend.group] = sets.get(state.backend.group, False) or usable
    for name, has_any in sets.items():
        if not has_any:
            say(f"no backend of the set {name} is up and ready: it answers 503")


@cli.command(epilog=SEEN_STATUSES)
@on_backends
@wait_for("they are UP")
@json_option
def ready(
    *, names: tuple[str, ...], every: bool, wait_s: float | None, as_json: bool
) -> None:
    """Undo `drain` and `maint`: backends get requests again while they are UP."""
    from lb.cli.outcome import Teller
    from lb.model import Wish
    from lb.operating import set_wish, wait_up

    teller = Teller("ready", as_json=as_json)
    with open_file() as file:
        done = set_wish(file, chosen(names, every=every), Wish.READY, who=who())
        teller.tell_done(done)
        outcome = None if wait_s is None else wait_up(file, done, timeout_s=wait_s)
    teller.end(done, outcome, "UP, and seen by all workers.")


@cli.command(epilog=SEEN_STATUSES)
@on_backends
@click.argument("weight", type=click.IntRange(1, 256))
@wait_for("every worker has seen it")
@json_option
def weight(
    *,
    names: tuple[str, ...],
    every: bool,
    weight: int,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Give backends another weight, from 1 to 256: their share of the requests.

    \b
        lb weight web1 3
        lb weight web1 web2 10
    """
    from lb.cli.outcome import Teller
    from lb.operating import set_weight, wait_seen

    teller = Teller(f"weight {weight}", as_json=as_json)
    with open_file() as file:
        done = set_weight(file, chosen(names, every=every), weight, who=who())
        teller.tell_done(done)
        outcome = None if wait_s is None else wait_seen(file, done, timeout_s=wait_s)
    teller.end(done, outcome, "Seen by all workers.")


@cli.command(epilog=SEEN_STATUSES)
@click.argument("backends", nargs=-1, required=True, metavar="NAME=ADDRESS...")
@click.option("--weight", type=click.IntRange(1, 256), help="Its share; else 1.")
@click.option("--set", "group", help="The set that it belongs to; else `default`.")
@click.option(
    "--max-in-flight", type=click.IntRange(0), help="Over all workers; 0: no limit."
)
@click.option("--backup", is_flag=True, help="Only while no other of its set can.")
@wait_for("they are UP")
@json_option
def add(
    *,
    backends: tuple[str, ...],
    weight: int | None,
    group: str | None,
    max_in_flight: int | None,
    backup: bool,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Add backends, written as in the settings; they get requests at once.

    \b
        lb add web3=10.0.0.3:80
        lb add web4=unix:/run/web4.sock --weight 3 --wait 10
        lb add web1          (one that was removed: as the settings say)
    """
    from lb.cli.outcome import Teller
    from lb.config import load
    from lb.operating import add as put_in
    from lb.operating import read_backend, wait_up

    def as_told(backend: Backend) -> Backend:
        return replace(
            backend,
            weight=backend.weight if weight is None else weight,
            group=group or backend.group,
            max_in_flight=max_in_flight or backend.max_in_flight,
            backup=backup or backend.backup,
        )

    teller = Teller("added", as_json=as_json)
    settings = load()
    with open_file(settings) as file:
        found = [as_told(read_backend(file, text)) for text in backends]
        sets = [each.name for each in settings.sets]
        done = put_in(file, found, sets=sets, who=who())
        teller.tell_done(done, had_state=False)
        outcome = None if wait_s is None else wait_up(file, done, timeout_s=wait_s)
    teller.end(done, outcome, "UP, and seen by all workers.")
