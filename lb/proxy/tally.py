"""Counts into a process's own cells: in flight, attempts, failures, finished requests.

A cell has one writing thread (Python has no atomic add on mapped memory). The fast
lane is one thread and counts plainly; the portable lane may be many, so it takes a
lock around each store.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from lb.shm.labels import NUMBERS, OTHER
from lb.shm.layout import Counter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm import Passage, RowCells, Slot
    from lb.upstream.backend import LiveBackend

RETRIES: Final = int(Counter.RETRIES)
REFUSED: Final = int(Counter.REFUSED)
FAILURES: Final = int(Counter.FAILURES)


class Tally(Protocol):
    """Counts what one process does."""

    nobody: RowCells
    """Where requests are counted that have no backend."""

    def enter(self, backend: LiveBackend) -> RowCells:
        """One more in flight; the cells that `leave` must be given."""

    def leave(self, cells: RowCells) -> None:
        """One less, however it went."""

    def attempt(self, backend: LiveBackend, *, is_retry: bool) -> None:
        """An attempt begins."""

    def enter_retry(self, failed: LiveBackend) -> RowCells:
        """One more goes elsewhere for `failed`; the cells for `leave_retry`."""

    def leave_retry(self, cells: RowCells, *, is_refused: bool = False) -> None:
        """One less; it never went if it `is_refused`, which is counted."""

    def fail(self, backend: LiveBackend, label: str, *, to_connect: bool) -> None:
        """It failed; where it could not connect, the checker will probe now."""

    def fault(self, backend: LiveBackend, *, is_spoiled: bool = False) -> None:
        """Something speaks against the backend; see `FaultNotes.note`."""

    def finish(self, passage: Passage, backend: LiveBackend | None, now: float) -> None:
        """A request is over, at monotonic `now`; `backend` is its last one."""


class PlainTally:
    """Counts without a lock: for a process that serves in one thread."""

    def __init__(self, slot: Slot) -> None:
        self._cells = slot.cells
        self.recorder = slot.recorder()
        self.nobody = slot.no_backend
        self._faults = slot.faults()
        self._record = self.recorder.finish

    def enter(self, backend: LiveBackend) -> RowCells:
        """See `Tally.enter`."""
        cells = backend.cells
        self._cells[cells.in_flight] += 1
        return cells

    def leave(self, cells: RowCells) -> None:
        """See `Tally.leave`."""
        self._cells[cells.in_flight] -= 1

    def attempt(self, backend: LiveBackend, *, is_retry: bool) -> None:
        """See `Tally.attempt`."""
        block = backend.cells.block
        self._cells[block] += 1
        if is_retry:
            self._cells[block + RETRIES] += 1

    def enter_retry(self, failed: LiveBackend) -> RowCells:
        """See `Tally.enter_retry`."""
        cells = failed.cells
        self._cells[cells.retrying] += 1
        return cells

    def leave_retry(self, cells: RowCells, *, is_refused: bool = False) -> None:
        """See `Tally.leave_retry`."""
        self._cells[cells.retrying] -= 1
        if is_refused:
            self._cells[cells.block + REFUSED] += 1

    def fail(self, backend: LiveBackend, label: str, *, to_connect: bool) -> None:
        """See `Tally.fail`."""
        cells = backend.cells
        self._cells[cells.block + FAILURES + NUMBERS.get(label, OTHER)] += 1
        if to_connect:
            self._cells[cells.connect_failures] += 1

    def fault(self, backend: LiveBackend, *, is_spoiled: bool = False) -> None:
        """See `Tally.fault`."""
        self._faults.note(backend.cells, is_spoiled=is_spoiled)

    def also(self, note: Callable[[Passage, float], None] | None) -> None:
        """Give each request that is over to `note`, too; None: to nobody else."""
        record = self.recorder.finish
        if note is None:
            self._record = record
            return

        def both(passage: Passage, now: float) -> None:
            record(passage, now)
            note(passage, now)

        self._record = both

    def finish(self, passage: Passage, backend: LiveBackend | None, now: float) -> None:
        """See `Tally.finish`."""
        passage.cells = backend.cells if backend is not None else self.nobody
        self._record(passage, now)


class LockedTally(PlainTally):
    """Counts under a lock: for a process that serves in many threads."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot)
        self._lock = threading.Lock()

    def enter(self, backend: LiveBackend) -> RowCells:
        """See `Tally.enter`."""
        with self._lock:
            return super().enter(backend)

    def leave(self, cells: RowCells) -> None:
        """See `Tally.leave`."""
        with self._lock:
            super().leave(cells)

    def attempt(self, backend: LiveBackend, *, is_retry: bool) -> None:
        """See `Tally.attempt`."""
        with self._lock:
            super().attempt(backend, is_retry=is_retry)

    def enter_retry(self, failed: LiveBackend) -> RowCells:
        """See `Tally.enter_retry`."""
        with self._lock:
            return super().enter_retry(failed)

    def leave_retry(self, cells: RowCells, *, is_refused: bool = False) -> None:
        """See `Tally.leave_retry`."""
        with self._lock:
            super().leave_retry(cells, is_refused=is_refused)

    def fail(self, backend: LiveBackend, label: str, *, to_connect: bool) -> None:
        """See `Tally.fail`."""
        with self._lock:
            super().fail(backend, label, to_connect=to_connect)

    def fault(self, backend: LiveBackend, *, is_spoiled: bool = False) -> None:
        """See `Tally.fault`."""
        with self._lock:
            super().fault(backend, is_spoiled=is_spoiled)

    def finish(self, passage: Passage, backend: LiveBackend | None, now: float) -> None:
        """See `Tally.finish`."""
        with self._lock:
            super().finish(passage, backend, now)
