"""The state of the balancer once a second, made once for all who watch."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Final

from lb.report import SnapshotMaker

if TYPE_CHECKING:
    from lb.admin.reloading import InForce
    from lb.admin.source import Source
    from lb.shm import FigureReader

EVERY_S: Final = 1.0


class Snapshots:
    """The latest snapshot as JSON, never older than a second for who asks for it."""

    def __init__(
        self, source: Source, in_force: InForce, figures: FigureReader
    ) -> None:
        self._source = source
        self._in_force = in_force
        self._lock = threading.Lock()
        self._maker = SnapshotMaker(figures)
        self._made_at = float("-inf")
        self._latest = b""

    def latest(self) -> bytes:
        """The snapshot. Raises: StateFileError: there is no file to read."""
        with self._lock:
            if time.monotonic() - self._made_at >= EVERY_S * 0.9:
                with self._source.use() as file:
                    told = self._maker.make(file, self._in_force.settings(file))
                self._latest = json.dumps(told, separators=(",", ":")).encode()
                self._made_at = time.monotonic()
            return self._latest
