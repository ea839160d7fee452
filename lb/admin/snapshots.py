"""The state of the balancer once a second, made once for all who watch."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lb.report import snapshot
from lb.report.latencies import Window

if TYPE_CHECKING:
    from lb.admin.reloading import InForce
    from lb.admin.source import Source
    from lb.shm import FigureReader, SharedFile

EVERY_S: Final = 1.0


class Snapshots:
    """The latest snapshot as JSON, never older than a second for who asks for it."""

    def __init__(
        self, source: Source, in_force: InForce, figures: FigureReader
    ) -> None:
        self._source = source
        self._in_force = in_force
        self._lock = threading.Lock()
        self._figures = figures
        self._window = Window()
        self._made_at = float("-inf")
        self._latest = b""

    def latest(self) -> bytes:
        """The snapshot. Raises: StateFileError: there is no file to read."""
        with self._lock:
            if time.monotonic() - self._made_at >= EVERY_S * 0.9:
                with self._source.use() as file:
                    told = self.make(file)
                self._latest = json.dumps(told, separators=(",", ":")).encode()
                self._made_at = time.monotonic()
            return self._latest

    def make(self, file: SharedFile) -> dict[str, Any]:
        """Everything that is now, with totals and latencies."""
        figures = self._figures.read(file)
        looked = self._window.look(figures.born, figures.latencies, time.monotonic())
        return snapshot(file, self._in_force.settings(file), figures, looked)
