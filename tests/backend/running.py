"""A `python -m backend` that a test started, with all processes below it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import requests

from backend.orders import path_of
from tests.processes import ROOT, group_members
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from pathlib import Path


class RunningBackend:
    """The process, working in `folder`, leading a process group of its own."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *options: str,
        text: str = "Demo",
        env: dict[str, str] | None = None,
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._output = folder / f"backend-{port}-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "backend", str(port), text, *options]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text()

    def server_pids(self) -> list[int]:
        """The ids of the gunicorns that said they run, oldest first."""
        return [int(pid) for pid in re.findall(r"runs as pid (\d+)", self.output())]

    def is_answering(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=DEADLINE_S).ok
        except requests.ConnectionError:
            return False

    def wait_answering(self) -> None:
        try:
            wait_for(self.is_answering, "an answer")
        except AssertionError as error:
            raise AssertionError(f"{error}; it said: {self.output()!r}") from None

    def living(self) -> list[int]:
        """The processes of its group, without those that only await their parent."""
        return group_members(self.process.pid)

    def end(self) -> None:
        """Kill whatever is left of it."""
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)
        # A keeper that was killed cannot remove its orders.
        path_of(str(self.port)).unlink(missing_ok=True)
