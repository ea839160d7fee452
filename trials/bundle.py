"""The balancer under trial: gunicorn and a `health` process, as users start them.

Its settings are a file in the trial's folder, rewritten for each reload. Where the
shared file lies is left to the balancer, so a trial can tell whether it is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from bench.peers.peer import ROOT
from bench.processes import clean_environment
from lb.shm import SharedFile
from trials.asking import Ask, Line
from trials.census import MARK, free_port
from trials.errors import TrialError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trials.fleet import Backend

START_S: Final = 30.0
STOP_S: Final = 15.0
COMMAND_S: Final = 60.0
POLL_S: Final = 0.05
WORKERS: Final = 3

SETTINGS: Final = """\
backends = [{backends}]
bind = "127.0.0.1:{port}"
workers = {workers}
[balance]
policy = "{policy}"
hash_key = "header:X-Id"
[health]
kind = "http"
path = "/health"
interval = 0.5
fast_interval = 0.2
timeout = 0.5
slow_start = {slow_start}
[health.eject]
time = 2
time_max = 4
[health.flap]
hold = 1
hold_max = 3
[queue]
hold = 10
[retries]
min = {retries}
statuses = "503"
hedge = {hedge}
[pool]
idle_timeout = {idle_timeout}
[log]
access = {access}
"""
"""Times are short, so that there are many of each in a trial. Retries: all clients may
fail at once when a backend dies, and none of them may be refused for that."""


def variant(
    policy: str,
    *,
    slow_start: int = 0,
    idle_timeout: int = 60,
    hedge: float = 0,
    most: int = 0,
) -> dict[str, str | float]:
    """What differs between the settings that reloads put in force."""
    return {
        "policy": policy,
        "slow_start": slow_start,
        "idle_timeout": idle_timeout,
        "hedge": hedge,
        "most": most,
    }


VARIANTS: Final = (
    variant("round_robin"),
    variant("least_requests", slow_start=2, most=10),
    variant("power_of_two", idle_timeout=1),
    variant("least_time", slow_start=1, hedge=0.05),
    variant("random", idle_timeout=5),
    variant("round_robin", hedge=0.02, most=8),
    variant("hash"),
)
"""What reloads put in force, in turn; the first at the start and at the end."""


def each_line(backend: Backend, most: str | float) -> str:
    """One backend in the settings."""
    address = f'name = "{backend.name}", address = "{backend.address}"'
    return f"{{ {address}, max_in_flight = {most} }}"


class Bundle:
    """A balancer of several workers with its checker, in front of some backends."""

    def __init__(self, folder: Path, backends: Sequence[Backend], *, mark: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._backends = backends
        self._settings = folder / "lb.toml"
        self._environment = clean_environment(os.environ) | {
            MARK: mark,
            "LB_CONFIG": str(self._settings),
        }
        self._gunicorn: asyncio.subprocess.Process
        self._health: asyncio.subprocess.Process
        self.retries = 100
        self.complaints: list[str] = []
        """Commands that did not do what they were asked."""

    @property
    def arbiter_pid(self) -> int:
        """gunicorn's first process."""
        return self._gunicorn.pid

    @property
    def checker_pid(self) -> int:
        """The `health` process that was started last."""
        return self._health.pid

    @property
    def logs(self) -> list[Path]:
        """What its processes and commands wrote."""
        return sorted(self._folder.glob("*.log"))

    def configure(self, number: int = 0) -> bool:
        """Write the settings of that variant; whether backends may be full by them.

        Whoever runs must be told.
        """
        variant = VARIANTS[number % len(VARIANTS)]
        text = SETTINGS.format(
            backends=", ".join(each_line(b, variant["most"]) for b in self._backends),
            port=self.port,
            workers=WORKERS,
            retries=self.retries,
            access=json.dumps(str(self._folder / "access.txt")),
            **variant,
        )
        # Renamed, since nobody may read half of it.
        fresh = self._settings.with_suffix(".fresh")
        fresh.write_text(text)
        fresh.rename(self._settings)
        return bool(variant["most"])

    async def start(self) -> None:
        """Return when all workers have their slots and all backends are UP.

        Raises:
            TrialError: that does not come in time.
        """
        self.configure()
        self._gunicorn = await self._run("gunicorn", "gunicorn", "lb.wsgi:app")
        await self.start_checker()
        give_up = monotonic() + START_S
        while not await self._is_ready():
            if monotonic() > give_up or self._gunicorn.returncode is not None:
                log = self._folder / "gunicorn.log"
                raise TrialError(f"no start: {log.read_text(errors='replace')[-1000:]}")
            await asyncio.sleep(POLL_S)

    async def start_checker(self) -> None:
        """Start the `health` process (again)."""
        self._health = await self._run("health", "lb", "health")

    async def _run(self, log: str, *command: str) -> asyncio.subprocess.Process:
        with (self._folder / f"{log}.log").open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *command),
                cwd=ROOT,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _is_ready(self) -> bool:
        try:
            line = await Line.to(self.port)
        except OSError:
            return False
        answer = await line.ask(Ask(b"ready", keeps=False))
        if not answer.is_good:
            return False
        status = await self.status()
        states = {each["verdict"] for each in status["backends"]}
        return len(status["workers"]) == WORKERS and states == {"up"}

    async def command(self, *arguments: str) -> str:
        """What `python -m lb ARGUMENTS` printed; complains if it failed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lb", *arguments),
            cwd=ROOT,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            output, _ = await process.communicate()
        text = output.decode(errors="replace")
        if process.returncode:
            what = " ".join(arguments)
            self.complaints.append(f"lb {what}: {process.returncode}: {text.strip()}")
        return text

    async def status(self) -> dict[str, Any]:
        """What `lb status --json` prints; empty if it fails."""
        try:
            report: dict[str, Any] = json.loads(await self.command("status", "--json"))
        except ValueError:
            return {"workers": [], "backends": [], "state_path": ""}
        return report

    async def open_file(self) -> SharedFile:
        """The shared file, for a look that costs no process; to be closed."""
        return SharedFile.open(Path((await self.status())["state_path"]))

    def send(self, number: signal.Signals) -> None:
        """Send gunicorn's arbiter a signal."""
        os.kill(self._gunicorn.pid, number)

    def send_checker(self, number: signal.Signals) -> None:
        """Send the `health` process a signal, if it lives."""
        if self._health.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._health.pid, number)

    async def stop(self) -> str:
        """End it as honcho does; the result is what did not end by itself."""
        names = ("gunicorn", "health")
        processes = [getattr(self, f"_{name}", None) for name in names]
        ended = await asyncio.gather(*(_ended(process) for process in processes))
        late = [name for name, is_over in zip(names, ended, strict=True) if not is_over]
        return ", ".join(late)


async def _ended(process: asyncio.subprocess.Process | None) -> bool:
    """Whether it ends by SIGTERM; else it is killed, with its session's processes."""
    if process is None or process.returncode is not None:
        return True
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return False
    return True
