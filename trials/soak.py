"""A soak: a balancer, its backends and clients, and faults by a plan, until time is up.

Then everything is made well again, all invariants are checked, and nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.model import Verdict, Wish
from lb.shm import FULL_SHARE
from trials import fleet
from trials.bundle import Bundle
from trials.census import MARK, descriptors, marked
from trials.conductor import Conductor, happens
from trials.crowd import Crowd
from trials.invariants import RETURN_S, Evidence, check, lines
from trials.ledger import Ledger
from trials.plan import make_plan
from trials.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lb.shm import SharedFile
    from trials.fleet import Backend
    from trials.invariants import Finding

NAMES: Final = ("one", "two", "three", "four")
SPARE: Final = "spare"
PROGRESS_S: Final = 10.0
REST_S: Final = 5.0
"""Until nothing is in flight, after the last client left."""

SHARED_OUT: Final = 400
"""Requests by which the shares are judged at the end."""

SHARE_S: Final = 60.0


@dataclass(frozen=True)
class Options:
    """What is to be done; `say` takes lines for people."""

    seed: int
    seconds: float
    clients: int
    per_second: float
    say: Callable[[str], None]
    keep: bool = False
    """Whether the folder with logs and settings stays."""


@dataclass
class Soak:
    """One run, from its start to its report."""

    options: Options
    folder: Path
    stop: asyncio.Event
    mark: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    watch: Watch = field(default_factory=Watch)
    began: float = field(default_factory=monotonic)

    async def run(self) -> list[Finding]:
        """All of it; ends by itself whatever happens on the way.

        Raises:
            TrialError: it cannot even begin.
        """
        self.mark = f"{os.getpid()}-{self.options.seed}"
        environment = os.environ | {MARK: self.mark}
        backends = await fleet.started((*NAMES, SPARE), self.folder, environment)
        bundle = Bundle(self.folder, backends[:-1], mark=self.mark)
        try:
            evidence = await self._with(bundle, backends)
        finally:
            unended = await bundle.stop()
            await fleet.ended(backends)
        evidence.unended = unended
        evidence.posts = {backend.name: backend.posts() for backend in backends}
        evidence.tracebacks = [*self._tracebacks(bundle.logs)]
        evidence.left = [*self._left(evidence)]
        return check(evidence)

    async def _with(self, bundle: Bundle, backends: Sequence[Backend]) -> Evidence:
        options = self.options
        bundle.retries = options.clients
        await bundle.start()
        crowd = Crowd(
            bundle.port,
            self.ledger,
            seed=str(options.seed),
            clients=options.clients,
            per_second=options.per_second,
        )
        with contextlib.closing(await bundle.open_file()) as file:
            conductor = Conductor(bundle, backends[:-1], backends[-1], file)
            before = file.worker_totals().statuses
            asides = [
                asyncio.create_task(self.watch.run(file, bundle)),
                asyncio.create_task(self._tell(file, conductor)),
            ]
            crowd.start()
            try:
                await self._stress(conductor)
                return_s = await self._await_return(file)
                shares = await self._shares()
                await crowd.finish()
            finally:
                crowd.cancel()
                for aside in asides:
                    aside.cancel()
                await asyncio.gather(*asides, return_exceptions=True)
            rest = await self._rest(file)
            after = file.worker_totals().statuses
            self._path = file.path
            return Evidence(
                ledger=self.ledger,
                incidents=conductor.incidents,
                watch=self.watch,
                posts={},
                counted=tuple(a - b for a, b in zip(after, before, strict=True)),
                rest=rest,
                files_at_rest=self._files(file),
                return_s=return_s,
                shares=shares,
                commands=bundle.complaints,
                tracebacks=[],
                left=[],
            )

    async def _stress(self, conductor: Conductor) -> None:
        """The plan, and the rest of the time; then everything as it was."""
        options = self.options
        self.began = monotonic()
        plan = make_plan(options.seed, options.seconds, NAMES)
        options.say(f"{self._elapsed()}: all are up, {len(plan)} faults are to come")
        await conductor.perform(plan, self.stop)
        await happens(self.stop, self.began + options.seconds - monotonic())
        options.say(f"{self._elapsed()}: faults are over, {conductor.done} were made")
        await conductor.restore()

    async def _await_return(self, file: SharedFile) -> float | None:
        """How long until all are served again by all workers; None: not in time."""
        began = monotonic()
        for name in NAMES:
            self.ledger.forget(name)
        while not (is_well(file) and self.ledger.first_served.keys() >= set(NAMES)):
            if monotonic() - began > RETURN_S:
                return None
            await asyncio.sleep(0.05)
        return monotonic() - began

    async def _shares(self) -> dict[str, int]:
        """Good answers by backend, over enough requests, fewer if that takes long."""
        before, give_up = self.ledger.served.copy(), monotonic() + SHARE_S
        while True:
            shares = self.ledger.served - before
            if shares.total() >= SHARED_OUT or monotonic() > give_up:
                return {name: shares[name] for name in NAMES}
            await asyncio.sleep(0.05)

    async def _rest(self, file: SharedFile) -> dict[str, int]:
        """What is not over yet, when nothing is or time is up."""
        give_up = monotonic() + REST_S
        while any((rest := at_rest(file)).values()) and monotonic() < give_up:
            await asyncio.sleep(0.05)
        return rest

    @staticmethod
    def _files(file: SharedFile) -> dict[int, int]:
        """Open files of each worker but for its idle connections to backends."""
        slots = [slot for slot in file.slots() if slot.alive]
        return {slot.pid: descriptors(slot.pid) - slot.idle for slot in slots}

    async def _tell(self, file: SharedFile, conductor: Conductor) -> None:
        """A line now and then, until cancelled."""
        told = 0
        while True:
            await asyncio.sleep(PROGRESS_S)
            total, ledger = self.ledger.total, self.ledger
            states = " ".join(
                f"{state.backend.name} {state.verdict.name}"
                for state in file.backends()
            )
            self.options.say(
                f"{self._elapsed()}: {total} requests,"
                f" {(total - told) / PROGRESS_S:.0f}/s, {ledger.bad} failed, worst"
                f" {ledger.worst_s:.2f} s, {conductor.done} faults; {states}"
            )
            told = total

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(monotonic() - self.began), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def _tracebacks(self, logs: Sequence[Path]) -> Iterator[str]:
        for log in logs:
            for line in log.read_text(errors="replace").splitlines():
                if "Traceback" in line or "in an unexpected way" in line:
                    yield f"{log.name}: {line}"

    def _left(self, evidence: Evidence) -> Iterator[str]:
        """Processes that live on, and the shared file with what lies beside it."""
        for pid, command in marked(self.mark).items():
            yield f"process {pid} {command}"
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        for path in self._path.parent.glob(f"{self._path.name}*"):
            yield str(path)


def is_well(file: SharedFile) -> bool:
    """Whether all backends are UP, ready and whole, and all workers know."""
    states, generation = file.backends(), file.generation()
    return (
        sorted(state.backend.name for state in states) == sorted(NAMES)
        and all(
            state.verdict is Verdict.UP
            and state.wish is Wish.READY
            and state.standing.is_good
            and state.standing.share == FULL_SHARE
            for state in states
        )
        and all(s.generation_seen >= generation for s in file.slots() if s.alive)
    )


def at_rest(file: SharedFile) -> dict[str, int]:
    """What stands in the file of what is under way."""
    rows = [row.row for row in file.rows()]
    reader, slots = file.in_flight_reader(), [s for s in file.slots() if s.alive]
    return {
        "in flight": reader.of_many(rows),
        "retrying": reader.retrying(rows),
        "queued": sum(slot.queued for slot in slots),
        "connections": sum(slot.connections for slot in slots),
    }


@contextlib.contextmanager
def folder_for(options: Options) -> Iterator[Path]:
    """A folder for settings and logs, which goes with the block if it is not kept."""
    folder = Path(tempfile.mkdtemp(prefix="evenhand-soak-"))
    try:
        yield folder
    finally:
        if options.keep:
            options.say(f"settings and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def soak(options: Options, stop: asyncio.Event) -> bool:
    """Whether all invariants held; the report goes to `options.say`.

    Raises:
        TrialError: it could not begin.
    """
    with folder_for(options) as folder:
        run = Soak(options, folder, stop)
        findings = await run.run()
    for line in lines(findings):
        options.say(line)
    holds = all(finding.holds for finding in findings)
    options.say(
        f"seed {options.seed}: {run.ledger.total} requests, worst wait"
        f" {run.ledger.worst_s:.3f} s: {'all holds' if holds else 'FAILED'}"
    )
    return holds
