"""The command line: `python -m bench`, which `scripts/bench.sh` runs."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click
from rich.console import Console

from bench import chart, machine, peers, record, static_backends, table, workloads
from bench.errors import BenchError
from bench.figures import REFERENCE, Runs
from bench.peers.peer import ROOT
from bench.processes import output_of
from bench.runner import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.figures import Summary
    from bench.measurement import Measurement
    from bench.peers import Peer
    from bench.workloads import Workload

REPORTS: Final = ROOT / "reports"
NEEDED: Final = {
    "wrk": "makes the load (Debian: apt install wrk)",
    "nginx": "is the backend and the reference (Debian: apt install nginx)",
}
STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

WIDTH: Final = 130
"""Columns of the tables where standard output is no terminal."""


def names_in(text: str) -> list[str]:
    """A list of names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--peers", "peer_names", default="", help="Names by commas; default: all installed."
)
@click.option(
    "--workloads", "workload_names", default="", help="Names by commas; default: all."
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 3600),
    default=5,
    show_default=True,
    help="Length of a run, after its warm-up.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How often everything is run.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Workers of each proxy, and cores for it.",
)
@click.option(
    "--with-admin",
    is_flag=True,
    help="Beside Evenhand its admin process, scraped each second.",
)
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that gets the files too, such as docs/.",
)
@click.option("--list", "only_list", is_flag=True, help="List peers and workloads.")
def command(
    *,
    peer_names: str,
    workload_names: str,
    seconds: int,
    rounds: int,
    workers: int,
    with_admin: bool,
    save: Path | None,
    only_list: bool,
) -> None:
    """Measure Evenhand and its peers side by side.

    Every peer that is installed, each workload, SECONDS a run, in ROUNDS interleaved
    rounds, with WORKERS workers on as many cores.
    Writes bench.json, bench.svg and bench.md to reports/, with --save to that
    folder too. The exit status is 1 when any run was void.
    """
    if only_list:
        list_all()
        return
    chosen, notes = peers.chosen(names_in(peer_names))
    todo = workloads.named(names_in(workload_names))
    cores = prepare(workers)
    for note in notes:
        say(note)
    options: dict[str, str | int | float | Sequence[str]] = {
        "seconds": seconds,
        "rounds": rounds,
        "workers": workers,
        "with_admin": with_admin,
        "peers": [peer.name for peer in chosen],
        "workloads": [workload.name for workload in todo],
        "proxy_cores": sorted(map(str, cores.proxy)),
    }
    setting = record.Setting(
        record.today(), machine.describe(), versions(chosen), options
    )
    made = bench_for(chosen, cores=cores, seconds=seconds, workers=workers)
    with made as bench:
        runs = measure(
            replace(bench, with_admin=with_admin), chosen, todo, rounds=rounds
        )
    report(setting, runs, todo, [REPORTS, *([save] if save else [])])
    sys.exit(1 if any(run.void for run in runs) else 0)


def prepare(workers: int) -> machine.Cores:
    """Check what all runs need, and move this process off the proxy's cores.

    Raises:
        BenchError: a program, cores or open files are missing.
    """
    missing = [
        f"{name} {why}" for name, why in NEEDED.items() if not shutil.which(name)
    ]
    if missing:
        raise BenchError(f"missing: {'; '.join(missing)}")
    cores = machine.split(os.sched_getaffinity(0), workers)
    machine.raise_file_limit()
    os.sched_setaffinity(0, cores.others)
    return cores


@contextlib.contextmanager
def bench_for(
    chosen: Sequence[Peer], *, cores: machine.Cores, seconds: float, workers: int
) -> Iterator[Bench]:
    """Backends and programs that all runs share, until the end of the block."""
    memory = Path("/dev/shm")  # noqa: S108 # disks are not what is measured
    with tempfile.TemporaryDirectory(
        prefix="evenhand-bench-",
        dir=memory if os.access(memory, os.W_OK) else None,
        ignore_cleanup_errors=True,
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)  # for workers of another user
        for peer in chosen:
            peer.build(folder)
        with static_backends.started(folder, cores=cores.others) as backends:
            yield Bench(cores, backends, folder, seconds, workers)


def measure(
    bench: Bench, chosen: Sequence[Peer], todo: Sequence[Workload], *, rounds: int
) -> list[Measurement]:
    """All runs: round by round, workload by workload, peer after peer.

    The peers' order turns by one each round, so that none is always the first.
    """
    runs: list[Measurement] = []
    total = rounds * len(todo) * len(chosen)
    for number in range(rounds):
        turn = number % len(chosen)
        for workload in todo:
            for peer in [*chosen[turn:], *chosen[:turn]]:
                run = bench.run(peer, workload, number + 1)
                runs.append(run)
                say(f"{len(runs)}/{total} {workload.name} {peer.name}: {outcome(run)}")
    return runs


def outcome(run: Measurement) -> str:
    """One run in short, for the progress."""
    if run.void:
        return f"void: {run.void}"
    figures = run.figures
    return f"{figures['requests_per_s']:,.0f}/s, {figures['cpu_us']:.1f} µs each"


def report(
    setting: record.Setting,
    runs: Sequence[Measurement],
    todo: Sequence[Workload],
    folders: Sequence[Path],
) -> None:
    """Print the tables, write the files."""
    summaries = Runs(runs).summaries()
    print_tables(todo, summaries)
    cpu = setting.machine["cpu"]
    note = f"{setting.date}, {cpu}, workers: {setting.options['workers']}"
    contents = {
        "bench.json": record.text(setting, runs, summaries),
        "bench.svg": chart.svg(todo, summaries, note=note),
        "bench.md": table.markdown(todo, summaries),
    }
    for folder in folders:
        for name, content in contents.items():
            say(f"wrote {record.write(folder, name, content)}")


def print_tables(todo: Sequence[Workload], summaries: Sequence[Summary]) -> None:
    """Everything that was measured, on standard output."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    for workload in todo:
        console.print(table.of_workload(workload, summaries))
    console.print(
        f"Each cell: median over the rounds; its ratio to {REFERENCE}'s in the same "
        "round, median (least-most)."
    )
    for line in table.void_lines(summaries):
        console.print(line, markup=False)


def versions(chosen: Sequence[Peer]) -> dict[str, str]:
    """What took part: every peer, its libraries, the load."""
    said = {"python": platform.python_version(), "rich": version("rich")}
    said["wrk"] = output_of("wrk", "-v").split(" [")[0].removeprefix("wrk ")
    for peer in chosen:
        said.update(peer.versions())
    return said


def list_all() -> None:
    """Print the names that the options take."""
    click.echo("peers:")
    for peer in peers.ALL:
        click.echo(f"  {peer.name:16}{peer.lacks() or 'installed'}")
    click.echo("workloads:")
    for workload in workloads.ALL:
        click.echo(f"  {workload.name:16}{workload.title}")


def say(text: str) -> None:
    """Tell people how it goes, apart from the results."""
    click.echo(f"bench: {text}", err=True)


def stop(signum: int, frame: object) -> NoReturn:
    """End everything that runs, which takes seconds at most and is not interrupted."""
    for other in STOPS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; what cannot work is one message and exit status 2."""
    for signum in STOPS:
        signal.signal(signum, stop)
    try:
        command()
    except BenchError as error:
        say(str(error))
        sys.exit(2)
