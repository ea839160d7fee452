"""The command line: `python -m trials`, which `scripts/soak.sh` and `faults.sh` run."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

import click

from trials.errors import TrialError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.peer import Peer
    from trials.scenarios import Scenario
    from trials.side_by_side import Outcome

    Named = TypeVar("Named", Peer, Scenario)

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Try the balancer out with faults made on purpose."""


@cli.command()
@click.option(
    "--minutes", type=click.FloatRange(0.3, 10_000), default=60.0, show_default=True
)
@click.option("--seed", type=int, help="Of the faults; default: by chance.")
@click.option("--clients", type=click.IntRange(8, 1000), default=32, show_default=True)
@click.option(
    "--rate",
    type=click.IntRange(10, 20_000),
    default=200,
    show_default=True,
    help="Requests per second, of all clients.",
)
@click.option("--keep", is_flag=True, help="Keep the folder with logs and settings.")
@click.option("--plan", "only_plan", is_flag=True, help="Only print what would happen.")
def soak(
    *,
    minutes: float,
    seed: int | None,
    clients: int,
    rate: int,
    keep: bool,
    only_plan: bool,
) -> None:
    """Let everything fail at random for MINUTES, then check that nothing was lost.

    The same seed makes the same faults. Ctrl-C ends it early, with the report so far.
    Exit status: 0 all invariants hold; 1 one does not; 2 it could not begin.
    """
    from trials.plan import make_plan
    from trials.soak import NAMES, Options
    from trials.soak import soak as run

    seed = random.randrange(1_000_000) if seed is None else seed
    say(f"soak of {minutes:g} minutes, --seed {seed}")
    if only_plan:
        for step in make_plan(seed, minutes * 60, NAMES):
            say(str(step))
        return
    options = Options(seed, minutes * 60, clients, rate, say, keep)

    async def until_stopped() -> bool:
        stop = asyncio.Event()
        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await run(options, stop)

    try:
        sys.exit(0 if asyncio.run(until_stopped()) else 1)
    except TrialError as error:
        say(str(error))
        sys.exit(2)


@cli.command()
@click.option(
    "--peers", "names", default="", help="Names by commas; default: all installed."
)
@click.option("--scenarios", default="", help="Names by commas; default: all.")
@click.option("--list", "only_list", is_flag=True, help="List peers and scenarios.")
def faults(*, names: str, scenarios: str, only_list: bool) -> None:
    """Fail backends in ten ways, through Evenhand and its peers side by side.

    Prints a table in Markdown. Exit status: 0 all was measured; 2 it could not be; 130
    it was stopped.
    """
    from trials.peers import PEERS
    from trials.scenarios import SCENARIOS
    from trials.side_by_side import compare, table

    if only_list:
        for peer in PEERS:
            say(f"{peer.name:12}{peer.lacks() or 'installed'}")
        for scenario in SCENARIOS:
            say(f"{scenario.name:12}{scenario.title}")
        return
    peers = chosen("peer", PEERS, names)
    for peer in peers:
        say(f"without {peer.name}: {peer.lacks()}" if peer.lacks() else versions(peer))
    present = [peer for peer in peers if not peer.lacks()]
    wanted = chosen("scenario", SCENARIOS, scenarios)

    async def until_stopped() -> list[Outcome]:
        task = asyncio.create_task(
            compare(present, wanted, lambda text: say(f"  {text}"))
        )
        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    try:
        outcomes = asyncio.run(until_stopped())
    except TrialError as error:
        say(str(error))
        sys.exit(2)
    except asyncio.CancelledError:
        sys.exit(130)
    for line in table(outcomes):
        say(line)


def chosen(what: str, known: Sequence[Named], names: str) -> list[Named]:
    """Those of these names, separated by commas; all if there is none.

    Raises:
        click.UsageError: nothing is called so.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    there = [each.name for each in known]
    if unknown := [name for name in wanted if name not in there]:
        raise click.UsageError(
            f"there is no {what} {', '.join(unknown)}: there are {', '.join(there)}"
        )
    return [each for each in known if not wanted or each.name in wanted]


def versions(peer: Peer) -> str:
    """What takes part, in one line."""
    return ", ".join(f"{name} {text}" for name, text in peer.versions().items())


def say(text: str) -> None:
    """Tell people."""
    click.echo(text)
