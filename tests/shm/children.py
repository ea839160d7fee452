"""Real processes for tests: each runs a few lines of Python and talks by lines.

A child is killed when its `with` block ends, whatever happened; every wait has a
deadline.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.model import Backend

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
"""How long a test waits for what must happen, on a slow and busy machine."""


def until(
    condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S
) -> float:
    """How many seconds it took until the condition held; fails after `timeout_s`."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < timeout_s, f"{what} did not happen in {timeout_s} s"
        time.sleep(0.002)
    return time.monotonic() - started


class Child:
    """A Python process that runs `code` with `sys.argv[1:]` of `arguments`."""

    def __init__(self, code: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def line(self) -> str:
        """The next line that the child prints."""
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE_S), "the child said nothing"
        return self._process.stdout.readline().strip()

    def say(self, line: str) -> None:
        """Give the child a line on its standard input."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")

    def kill(self) -> None:
        """End the child as the kernel's out-of-memory killer would."""
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)

    def wait(self) -> int:
        """The child's exit status, once it ended by itself."""
        return self._process.wait(PATIENCE_S)


def backends(*ports: int) -> list[Backend]:
    """Backends on loopback, named after their ports."""
    from lb.model import Address, Backend

    return [Backend(f"web{n}", Address(host="127.0.0.1", port=n)) for n in ports]
