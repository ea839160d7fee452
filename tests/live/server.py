"""The balancer as its users start it, in a process group of its own.

Settings come by environment, so each test says what it needs; the shared file and
the logs are in the test's folder. Only processes of the own group are ever killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from lb.shm import SharedFile
from tests.processes import ROOT, free_port, group_members
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GUNICORN: Final = ("gunicorn", "lb.wsgi:app")

LANES: Final = {
    "fast": (*GUNICORN, "-w", "1"),
    "gevent": (*GUNICORN, "-w", "1", "-k", "gevent"),
    "gthread": (*GUNICORN, "-w", "1", "-k", "gthread", "--threads", "8"),
    "sync": (*GUNICORN, "-w", "1", "-k", "sync"),
    "flask": ("flask", "--app", "lb.wsgi", "run", "--with-threads"),
}
"""The ways to serve, each as a command without its address."""

STOP_S: Final = 8.0


class Server:
    """A running `python -m COMMAND`; `port` is where it is told to listen.

    `env` overrides the environment; standard output and error go to files.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        *,
        port: int,
        env: dict[str, str],
        stdout: int | None = None,
    ) -> None:
        self.port = port
        self.state = folder / "state"
        self.env = os.environ | {"LB_STATE__PATH": str(self.state)} | env
        self._out, self._err = folder / "out.log", folder / "err.log"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err,
                start_new_session=True,
            )

    def output(self) -> str:
        """What it wrote to standard output so far."""
        return self._out.read_text()

    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self._err.read_text()

    def living(self) -> list[int]:
        """The processes of its group."""
        return group_members(self.process.pid)

    def wait_answering(self, workers: int = 1) -> None:
        """Return when it answers by HTTP and so many workers have their slots."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"it ended: {self.errors()}"
            return self._has_answered() and len(self.worker_pids()) >= workers

        try:
            wait_for(is_ready, "an answer")
        except AssertionError as error:
            raise AssertionError(f"{error}; it said: {self.errors()}") from None

    def _has_answered(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as sock:
                sock.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
                sock.settimeout(DEADLINE_S)
                return sock.recv(100).startswith(b"HTTP/1.")
        except OSError:
            return False

    def worker_pids(self) -> list[int]:
        """The living workers, by the slots of the shared file."""
        with SharedFile.open(self.state) as file:
            return [slot.pid for slot in file.slots() if slot.alive]

    def verdicts(self) -> dict[str, str]:
        """Each backend's verdict in the shared file, by its name."""
        with SharedFile.open(self.state) as file:
            return {s.backend.name: s.verdict.name for s in file.backends()}

    def in_flight(self) -> int:
        """Requests under way, over all living workers and backends."""
        with SharedFile.open(self.state) as file:
            return sum(file.in_flight(state.row) for state in file.backends())

    def wait_verdict(self, name: str, verdict: str) -> None:
        """Return when the shared file says so of that backend."""
        wait_for(lambda: self.verdicts()[name] == verdict, f"{name} to be {verdict}")

    def ask_status(self) -> dict[str, Any]:
        """What `python -m lb status --json` prints."""
        report: dict[str, Any] = json.loads(self.run_cli("status", "--json").stdout)
        return report

    def run_cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m lb ARGUMENTS` with this server's settings, run to its end."""
        return run_cli(*arguments, env=self.env)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal to its first process."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """Kill whatever is left of it."""
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)


def run_cli(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m lb ARGUMENTS` in an environment, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lb", *arguments],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


def start_lane(
    lane: str, folder: Path, stdout: int | None, /, *options: str, **env: str
) -> Server:
    """A server of that lane on a free port, with further gunicorn options.

    Its standard output goes to a file in the folder, or to the descriptor `stdout`.
    """
    port = free_port()
    where: tuple[str, ...] = ("-b", f"127.0.0.1:{port}")
    if lane == "flask":
        where = ("-h", "127.0.0.1", "-p", str(port))
    command = (*LANES[lane], *where, *options)
    return Server(folder, command, port=port, env=env, stdout=stdout)
