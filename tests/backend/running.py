"""A `python -m backend` that a test started, with all processes below it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 10.0


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when `condition()` is true; fail the test after `DEADLINE_S`."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:g} s for {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RunningBackend:
    """The process, working in `folder`, leading a process group of its own."""

    def __init__(
        self, folder: Path, port: int, *options: str, env: dict[str, str]
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._output = folder / f"backend-{port}-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "backend", str(port), "Demo", *options]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
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
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it ended while we looked
                continue
            if int(group) == self.process.pid and state != "Z":
                found.append(int(stat.parent.name))
        return found

    def end(self) -> None:
        """Kill whatever is left of it."""
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)
