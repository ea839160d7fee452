"""The command line: `python -m lb COMMAND`, installed as `lb`.

Commands read the shared file and the settings; none of them talks to a worker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lb import __version__
from lb.errors import LbError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.config import Settings
    from lb.shm import BackendState, SharedFile

UNUSABLE = 2
"""Exit status: the settings or the shared file cannot be used."""

DIFFERS = 1
"""Exit status of `plan`: a reload would change something. As with diff."""

NOT_ALL = 1
"""Exit status of `reload`: not every worker goes by the new settings."""

NONE_UP = 1
"""Exit status of `status`: no backend can be used."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evenhand")
def cli() -> None:
    """Evenhand, an HTTP load balancer in Python.

    Start it with `honcho start`, or `gunicorn lb.wsgi:app -w 4`.
    """


def main() -> None:
    """Run the command line; a known error is one message and exit status 2."""
    try:
        cli()
    except LbError as error:
        _fail(error)


def _fail(error: LbError) -> NoReturn:
    for text in str(error).splitlines():
        click.echo(f"evenhand: {text}", err=True)
    sys.exit(UNUSABLE)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(*, as_json: bool) -> None:
    """Say whether the settings are good, and print them as they are in force."""
    from lb.balance.registry import make_policy
    from lb.config import load, rows, state_path

    settings = load()
    make_policy(settings.balance.policy, offset=0)
    listed = [row._asdict() for row in rows(settings)]
    for row in listed:
        if row["key"] == "state.path" and row["origin"] == "default":
            row["value"] = str(state_path(settings))
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    _table(
        ("key", "value", "from"), [(r["key"], r["value"], r["origin"]) for r in listed]
    )
    click.echo("The settings are good.")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Print the backends with verdict, since when and why, from the shared file.

    Exits with 1 when no backend can be used.
    """
    from lb.config import load

    with _open_file(load()) as file:
        states = file.backends()
        report = _report(file, states)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print_status(report)
    usable = [b for b in report["backends"] if b["available"]]
    sys.exit(0 if usable else NONE_UP)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(*, as_json: bool) -> None:
    """Say what a reload would change in the balancer that runs.

    Exits with 0 if nothing, 1 if something, 2 if it cannot tell.
    """
    from lb.reloading import propose

    path, found = propose()
    if as_json:
        click.echo(json.dumps({"state_path": str(path)} | found.report(), indent=2))
    else:
        for text in found.lines():
            click.echo(text)
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
    help="Seconds to wait for the workers.",
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
        click.echo(text)
    done = ask(path, timeout_s=timeout_s)
    if done.is_good:
        click.echo(f"In force in {done.workers} workers after {done.took_s:.2f} s.")
        return
    if done.generation:
        pids = ", ".join(map(str, done.behind))
        click.echo(f"evenhand: not in force in process {pids}; see its log", err=True)
    else:
        click.echo("evenhand: the arbiter has not reloaded; see its log", err=True)
    sys.exit(NOT_ALL)


@cli.command()
def health() -> None:
    """Check the backends until stopped, in place of the workers."""
    # Probes by the hundred are cheap as greenlets; nothing is imported before that
    # must be patched.
    from gevent import monkey

    from lb import patching

    with patching.cheaply():
        monkey.patch_all()
    from lb import inforce
    from lb.config import load, state_path
    from lb.health.checker import Checker
    from lb.shm import SharedFile, publish

    settings = load()
    path = state_path(settings)
    # A file that was edited since the balancer's start waits for a reload.
    there = None
    with contextlib.suppress(LbError):
        there = inforce.settings_of(path)
    settings = there or settings
    logging.basicConfig(
        level=settings.log.level.upper(),
        format="%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
        datefmt="[%Y-%m-%d %H:%M:%S %z]",
    )
    log = logging.getLogger("evenhand.health")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if there is None:
        publish(path, settings.backends)
    with SharedFile.open(path) as file:
        log.info("checking %d backends, state in %s", len(settings.backends), path)
        checker = Checker(file, settings.health, log, preferred=True, stop=stop)
        watching = inforce.watch(
            file, log, stop=stop, tell=lambda s: checker.use(s.health)
        )
        checker.run()
        watching.join(1.0)


@contextlib.contextmanager
def _open_file(settings: Settings) -> Iterator[SharedFile]:
    from lb.config import state_path
    from lb.shm import SharedFile

    with SharedFile.open(state_path(settings)) as file:
        yield file


def _report(file: SharedFile, states: list[BackendState]) -> dict[str, Any]:
    slots = [s for s in file.slots() if s.alive]
    now = time.time()
    return {
        "state_path": str(file.path),
        "generation": file.generation(),
        "checker_pid": _leader_pid(file),
        "workers": [
            {
                "slot": s.index,
                "pid": s.pid,
                "heartbeat_age_s": round(now - s.heartbeat, 3),
                "generation_seen": s.generation_seen,
            }
            for s in slots
        ],
        "backends": [_backend(file, state) for state in states],
    }


def _leader_pid(file: SharedFile) -> int | None:
    from lb.shm import leader_pid

    return leader_pid(file)


def _backend(file: SharedFile, state: BackendState) -> dict[str, Any]:
    from lb.model import Verdict, Wish

    probe = state.last_probe
    return {
        "name": state.backend.name,
        "address": str(state.backend.address),
        "weight": state.backend.weight,
        "verdict": state.verdict.name.lower(),
        "wish": state.wish.name.lower(),
        "available": state.verdict is not Verdict.DOWN and state.wish is Wish.READY,
        "since": state.since or None,
        "reason": state.reason,
        "in_flight": file.in_flight(state.row),
        "requests": file.requests(state.row),
        "last_probe": probe
        and {
            "at": probe.at,
            "ok": probe.ok,
            "duration_s": round(probe.duration_s, 6),
            "detail": probe.detail,
        },
    }


def _print_status(report: dict[str, Any]) -> None:
    now = time.time()
    rows: list[tuple[str, ...]] = []
    for b in report["backends"]:
        probe = b["last_probe"]
        rows.append(
            (
                b["name"],
                b["verdict"].upper(),
                b["wish"],
                _ago(now, b["since"]),
                b["reason"] or "-",
                f"{probe['detail']}, {_ago(now, probe['at'])}" if probe else "-",
                str(b["in_flight"]),
                str(b["requests"]),
            )
        )
    _table(
        ("backend", "verdict", "wish", "since", "why", "last probe", "now", "requests"),
        rows,
    )
    workers = report["workers"]
    agreed = {w["generation_seen"] for w in workers}
    checker = report["checker_pid"] or "none"
    click.echo(
        f"workers: {len(workers)}, generations seen: {len(agreed)}, "
        f"checker: {checker}, state: {report['state_path']}"
    )


def _ago(now: float, at: float | None) -> str:
    if not at:
        return "-"
    seconds = max(0.0, now - at)
    if seconds < 120:
        return f"{seconds:.1f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    colours = {"UP": "green", "DOWN": "red", "UNKNOWN": "yellow"}
    for row in rows:
        table.add_row(*(Text(cell, style=colours.get(cell, "")) for cell in row))
    console = Console()
    if not console.is_terminal:
        # Piped into another program, lines are not folded at 80 columns.
        console = Console(width=400)
    console.print(table)
