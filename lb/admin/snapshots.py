"""The state of the balancer once a second, made once for all who watch.

A snapshot has what `lb.report.snapshot` tells, with the latencies of the last minute,
and the last step of the history, of which sparklines are drawn. These two are kept
whether or not somebody watches, since whoever opens the page wants to see what led
there: a thread reads the figures each two seconds. For 2,000 backends and 8 processes
that takes 30 ms where nothing changed and 170 where everything did, so it pauses longer
where it would take more than a fiftieth of a core.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from lb.admin.history import EVERYTHING, STEP_S
from lb.errors import StateFileError
from lb.report import snapshot
from lb.report.latencies import Window

if TYPE_CHECKING:
    from lb.admin.history import History, Step
    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.shm import FigureReader, SharedFile
    from lb.shm.figures import Figures

EVERY_S: Final = 1.0
MOST_OF_A_CORE: Final = 0.02


class Snapshots:
    """The latest snapshot as JSON, never older than a second for who asks for it."""

    def __init__(
        self,
        source: Source,
        in_force: InForce,
        figures: FigureReader,
        history: History,
    ) -> None:
        self._source = source
        self._in_force = in_force
        self._figures = figures
        self._history = history
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._window = Window()
        self._made_at = float("-inf")
        self._latest = b""

    def latest(self) -> bytes:
        """The snapshot. Raises: StateFileError: there is no file to read."""
        with self._lock:
            now = time.monotonic()
            if now - self._made_at >= EVERY_S * 0.9:
                with self._source.use() as file:
                    told = self.make(file)
                self._latest = json.dumps(told, separators=(",", ":")).encode()
                # As of when it was begun: making it may take a third of a second.
                self._made_at = now
            return self._latest

    def start(self) -> None:
        """Remember the last minutes, in a thread of its own, from now on."""
        threading.Thread(target=self._run, name="history", daemon=True).start()

    def stop(self) -> None:
        """Remember no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.thread_time()
            # Without a balancer there is nothing to keep; streams tell that.
            with suppress(StateFileError), self._source.use() as file:
                self._keep(self._figures.read(file))
            took_s = time.thread_time() - began
            self._stop.wait(max(STEP_S, took_s / MOST_OF_A_CORE))

    def _keep(self, figures: Figures) -> None:
        now = time.monotonic()
        self._history.take(figures, now)
        with self._lock:
            self._window.keep(figures.born, figures.latencies, now)

    def make(self, file: SharedFile) -> dict[str, Any]:
        """Everything that is now, with totals and latencies."""
        figures, now = self._figures.read(file), time.monotonic()
        looked = self._window.look(figures.born, figures.latencies, now)
        self._history.take(figures, now)
        step_at, steps = self._history.latest()
        told = snapshot(file, self._in_force.settings(file), figures, looked)
        for backend in told["backends"]:
            backend["step"] = _step(steps.get(backend["id"]))
        return told | {"step_at": step_at, "step": _step(steps.get(EVERYTHING))}


def _step(step: Step | None) -> dict[str, float | None] | None:
    return step and {"rate": round(step.rate, 2), "p99_s": step.p99_s}
