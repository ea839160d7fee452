"""Children of the benchmark: started on their cores, ended by id whatever happens.

Each is the leader of a session of its own, so that Ctrl-C reaches only us; we end
them in turn, and with the leader all that it started.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.accounting import family
from bench.errors import BenchError, RunVoidError
from bench.machine import pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

STOP_S = 3.0
"""How long a child may take to end by SIGTERM before it gets SIGKILL."""

READY_S = 20.0
"""How long a proxy or backend may take to answer its first request."""

PORTS = range(15_000, 32_000)
"""Below the ports that Linux gives to outgoing connections (32768 and up)."""

FOREIGN = ("LB_", "PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS")
"""Variables, or beginnings of them, that would change what is measured."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running program: its process, and the file that has what it printed."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return self.popen.pid

    def last_words(self) -> str:
        """The end of what it printed, for a message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "(it printed nothing)"


@contextlib.contextmanager
def running(
    argv: tuple[str, ...],
    *,
    cores: frozenset[int],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Child]:
    """A program on some cores, until the end of the block."""
    with contextlib.ExitStack() as stack:
        with log.open("ab") as output, pinned(cores):
            popen = subprocess.Popen(  # noqa: S603 # our own commands, no shell
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**clean_environment(os.environ), **(environment or {})},
                start_new_session=True,
            )
            stack.callback(stop, popen)
        yield Child(popen, log)


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without settings and proxies of whoever runs the benchmark."""
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith(FOREIGN) and not name.lower().endswith("_proxy")
    }


def stop(popen: subprocess.Popen[bytes]) -> None:
    """End a child and its descendants; those that do not leave in time are killed."""
    members = family(popen.pid) if popen.poll() is None else []
    if members:
        popen.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(STOP_S)
    for pid in members[1:]:
        _kill_in_session(pid, popen.pid)
    if popen.poll() is None:
        popen.kill()
        popen.wait(STOP_S)


def _kill_in_session(pid: int, session: int) -> None:
    """Kill a process that lives on, if it is still the one that we started."""
    with contextlib.suppress(ProcessLookupError):
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)


def wait_until_ready(child: Child, answers: Callable[[], bool]) -> None:
    """Wait until `answers()`; it may raise OSError while nobody listens.

    Raises:
        RunVoidError: the child ended, or did not answer within READY_S.
    """
    give_up = time.monotonic() + READY_S
    while time.monotonic() < give_up:
        if child.popen.poll() is not None:
            raise RunVoidError(f"it ended at the start: {child.last_words()}")
        with contextlib.suppress(OSError):
            if answers():
                return
        time.sleep(0.02)
    raise RunVoidError(f"no answer within {READY_S:g} s: {child.last_words()}")


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    for port in random.sample(PORTS, 1000):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise BenchError("no port is free on 127.0.0.1")


def output_of(*argv: str, timeout_s: float = 10.0) -> str:
    """What a short command prints, on either stream, without surrounding space."""
    done = subprocess.run(  # noqa: S603 # our own commands, no shell
        argv,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return (done.stdout + done.stderr).strip()
