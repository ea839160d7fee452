"""Backends as a trial drives them: processes that are killed, stopped, told to fail.

Each is `trials.backend`; nothing here waits without a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

from bench.peers.peer import ROOT
from bench.processes import clean_environment
from trials.census import free_port
from trials.errors import TrialError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_S: Final = 15.0
"""Until a backend listens, on a busy machine."""


class Backend:
    """One of them; what a file and `posts` say of it is over all of its lives."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self._posts = folder / f"posts-{name}"
        self._errors = folder / f"{name}.log"
        self._environment = clean_environment(environment)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen (again).

        Raises:
            TrialError: it does not, in time.
        """
        with self._errors.open("ab") as errors:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "trials.backend"),
                *(str(self.port), self.name, str(self._posts)),
                cwd=ROOT,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_S):
                said = await process.stdout.readline() if process.stdout else b""
        except TimeoutError:
            said = b""
        if said != b"listens\n":
            raise TrialError(
                f"backend {self.name} does not listen on port {self.port}:"
                f" {self._errors.read_text(errors='replace')[-300:]}"
            )

    def do(self, fault: str, share: float = 1.0) -> None:
        """From now on, do that to such a share of its requests; dead ones ignore it."""
        process = self._process
        if process is not None and process.returncode is None and process.stdin:
            process.stdin.write(f"{fault} {share}\n".encode())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self._process is not None and self._process.returncode is None:
            # Not by `send_signal`: it would take the exit status from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def kill(self) -> None:
        """As by `kill -9`; may be called twice."""
        process = self._process
        if process is not None and process.returncode is None:
            self.send(signal.SIGKILL)
            await process.wait()

    def posts(self) -> Counter[bytes]:
        """How often each POST came here."""
        return Counter(self._posts.read_bytes().split())


async def started(
    names: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> list[Backend]:
    """Backends of these names, all of which listen.

    Raises:
        TrialError: one does not; those that do are ended.
    """
    backends = [Backend(name, folder, environment) for name in names]
    try:
        for backend in backends:
            await backend.start()
    except BaseException:  # Ctrl-C, too, must leave nothing behind
        await ended(backends)
        raise
    return backends


async def ended(backends: Sequence[Backend]) -> None:
    """End all of them."""
    for backend in backends:
        await backend.kill()
