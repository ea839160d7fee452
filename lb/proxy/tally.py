"""Counts into a process's own cells: in flight, requests, failures per backend.

A cell has one writing thread (Python has no atomic add on mapped memory). The fast
lane is one thread and counts plainly; the portable lane may be many, so it takes a
lock around each store.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lb.upstream.backend import LiveBackend


class Tally(Protocol):
    """Counts attempts of one process."""

    def begin(self, backend: LiveBackend) -> None:
        """An attempt begins: one more request, one more in flight."""

    def end(self, backend: LiveBackend) -> None:
        """It is over, however it went."""

    def fail(self, backend: LiveBackend) -> None:
        """It could not connect: the checker will probe that backend now."""


class PlainTally:
    """Counts without a lock: for a process that serves in one thread."""

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells

    def begin(self, backend: LiveBackend) -> None:
        """See `Tally.begin`."""
        self._cells[backend.in_flight_cell] += 1
        self._cells[backend.requests_cell] += 1

    def end(self, backend: LiveBackend) -> None:
        """See `Tally.end`."""
        self._cells[backend.in_flight_cell] -= 1

    def fail(self, backend: LiveBackend) -> None:
        """See `Tally.fail`."""
        self._cells[backend.failures_cell] += 1


class LockedTally(PlainTally):
    """Counts under a lock: for a process that serves in many threads."""

    def __init__(self, cells: memoryview) -> None:
        super().__init__(cells)
        self._lock = threading.Lock()

    def begin(self, backend: LiveBackend) -> None:
        """See `Tally.begin`."""
        with self._lock:
            super().begin(backend)

    def end(self, backend: LiveBackend) -> None:
        """See `Tally.end`."""
        with self._lock:
            super().end(backend)

    def fail(self, backend: LiveBackend) -> None:
        """See `Tally.fail`."""
        with self._lock:
            super().fail(backend)
