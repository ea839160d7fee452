"""Keep a program running: start it again some seconds after it ends.

honcho ends the whole bundle when one line of its Procfile ends, so a demo backend
runs under this parent, and killing it shows failover and recovery instead. There
is one loop, fed by a queue of signals: no thread, and nothing is done in a signal
handler but to put a number into a queue that is safe for that.

It does not look whether the program answers: that is the balancer's task.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
END_WITHIN_S = 3.0
"""How long a child may take to end, 0.7 s or twice that on a busy machine; honcho kills
all after 5 s."""
FOLLOW_WITHIN_S = 1.0
"""How long what a killed child leaves behind may take to follow it."""
LOOK_AGAIN_S = 0.2


class Keeper:
    """Runs `command` again and again until a signal says stop.

    `label` is what its lines begin with. Each start waits while `obstacle()` names
    one: a killed program may leave something behind that still holds its port.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        label: str,
        restart_s: float,
        obstacle: Callable[[], str],
    ) -> None:
        self._command = command
        self._label = label
        self._restart_s = restart_s
        self._obstacle = obstacle
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._stopping = False

    def run(self) -> int:
        """Start the program and keep it until told to stop; the exit status, 0."""
        for number in (*STOPS, signal.SIGCHLD):
            signal.signal(number, self._note)
        self._await_free()
        while not self._stopping:
            status = self._run_once()
            while not self._signals.empty():
                self._take_signal(0)  # a stop that came to the whole group
            if not self._stopping:
                self._say(f"{_ended(status)}, starts again in {self._restart_s:g} s")
                self._pause(self._restart_s)
                self._await_free()
        return 0

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)

    def _await_free(self) -> None:
        said = ""
        while not self._stopping and (obstacle := self._obstacle()):
            if obstacle != said:
                self._say(f"waits: {obstacle}")
                said = obstacle
            self._pause(LOOK_AGAIN_S)

    def _run_once(self) -> int:
        # All that descends from the child holds one end until it ends.
        alive, held = os.pipe()
        child = subprocess.Popen(self._command, pass_fds=[held])  # noqa: S603
        os.close(held)
        try:
            while child.poll() is None and not self._stopping:
                self._take_signal(1.0)
        finally:
            status = _end(child)
            select.select([alive], [], [], FOLLOW_WITHIN_S)
            os.close(alive)
        return status

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._take_signal(left)

    def _take_signal(self, timeout_s: float) -> None:
        try:
            number = self._signals.get(timeout=timeout_s)
        except queue.Empty:
            return
        if number in STOPS:
            self._stopping = True

    def _say(self, what: str) -> None:
        print(f"{self._label} {what}", flush=True)  # noqa: T201


def _end(child: subprocess.Popen[bytes]) -> int:
    """Its exit status, after ending `child` if it still runs: SIGTERM, SIGKILL."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def _ended(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
