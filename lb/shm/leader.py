"""Who checks health: one process at a time, the holder of one byte's lock.

The kernel frees the lock when its holder dies, so a stand-by that asks four
times a second leads within a second.  A contender may be *preferred* (the
`health` process): it announces itself by a shared lock on another byte; a leader
that is not preferred sees that and yields, and stand-bys do not run ahead of it.

A process that is stopped (SIGSTOP), not dead, keeps its locks: nobody takes over
from it, and verdicts stay as they are until it goes on or ends.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from lb.shm.cells import microseconds
from lb.shm.events import EventKind, Happening, Ring, write_event
from lb.shm.layout import LOCK_BUILDER, LOCK_LEADER, LOCK_PREFERRED, Head, Row
from lb.shm.locks import held
from lb.shm.record import (
    Record,
    mend_record,
    verdict_in,
    write_probe,
    write_verdict,
)
from lb.shm.table import read_row

if TYPE_CHECKING:
    from lb.model import Verdict
    from lb.shm.file import SharedFile
    from lb.shm.record import ProbeRecord
    from lb.shm.table import TableRow


class Leadership:
    """This process's claim to be the one checker.

    Raises:
        StateFileError: if preferred, when the file was replaced since it was
            opened, or stays locked for 5 s.
    """

    def __init__(self, file: SharedFile, preferred: bool = False) -> None:
        self._file = file
        self._locks = file.locks
        self.preferred = preferred
        if preferred:
            # As `SharedFile.take_slot`: from here on the file counts as in use.
            with held(self._locks, LOCK_BUILDER):
                file.require_current()
                self._locks.take(LOCK_PREFERRED, shared=True)

    def __repr__(self) -> str:
        return f"<Leadership {'held' if self.is_held else 'not held'}>"

    @property
    def is_held(self) -> bool:
        """Whether this process leads."""
        return self._locks.is_ours(LOCK_LEADER)

    def try_acquire(self) -> bool:
        """Whether this process leads now; never waits."""
        if self.is_held:
            return True
        if self._must_defer() or not self._locks.take(LOCK_LEADER):
            return False
        cells = self._file.cells
        before, cells[Head.LEADER_PID] = cells[Head.LEADER_PID], os.getpid()
        cells[Head.LEADER_SINCE] = microseconds(time.time())
        geometry = self._file.geometry
        what = Happening(EventKind.CHECKER, before=before, after=os.getpid())
        write_event(cells, geometry, Ring.HEALTH, what)
        for row in range(geometry.rows):
            mend_record(cells, geometry.row(row))
        return True

    def _must_defer(self) -> bool:
        return not self.preferred and self._locks.is_others(LOCK_PREFERRED)

    def should_yield(self) -> bool:
        """Whether this process leads but one that is preferred waits to."""
        return self.is_held and self._must_defer()

    def release(self) -> None:
        """Stop leading, if we do; one that was preferred is so no more."""
        self._locks.free(LOCK_LEADER)
        self._locks.free(LOCK_PREFERRED)

    def holder_pid(self) -> int | None:
        """The pid of the process that leads, or None while nobody does."""
        return leader_pid(self._file)


def leader_pid(file: SharedFile) -> int | None:
    """The pid of the process that leads, or None while nobody does.

    For anybody: takes no part in the contest.
    """
    if not file.locks.is_held(LOCK_LEADER):
        return None
    return int(file.cells[Head.LEADER_PID])


class VerdictWriter:
    """The leader's pen: stores probes and verdicts, and nothing when not leading.

    Rows are named by index and id, so that a verdict which was on its way while
    the row changed hands is not given to another backend.
    """

    def __init__(self, file: SharedFile, leadership: Leadership) -> None:
        self._file = file
        self._leadership = leadership

    def record_probe(self, row: int, row_id: int, probe: ProbeRecord) -> bool:
        """Keep a probe's result among the row's last 10; whether it was stored."""
        if self._writable(row, row_id) is None:
            return False
        at = self._file.geometry.row(row)
        write_probe(self._file.cells, at, row_id, probe)
        return True

    def set_verdict(
        self, row: int, row_id: int, verdict: Verdict, *, reason: str, at: float
    ) -> bool:
        """Publish a verdict of unix time `at`; whether it was stored.

        All processes see it at their next look at the generation, which is stored
        after it; the event comes last, so whoever hears of it finds it in force.
        """
        found = self._writable(row, row_id)
        if found is None:
            return False
        cells, geometry = self._file.cells, self._file.geometry
        first = geometry.row(row)
        before = verdict_in(cells[first + Row.VERDICT], row_id)
        record = Record(verdict, since=at, reason=reason)
        write_verdict(cells, first, row_id, record)
        cells[Head.VERDICT_GENERATION] += 1
        what = Happening(
            EventKind.VERDICT,
            row_id,
            found.backend.name,
            before,
            verdict,
            reason=reason,
        )
        write_event(cells, geometry, Ring.HEALTH, what, at=at)
        return True

    def tell(self, what: Happening) -> None:
        """Add an event to those of health, if we lead."""
        if self._leadership.is_held:
            write_event(self._file.cells, self._file.geometry, Ring.HEALTH, what)

    def _writable(self, row: int, row_id: int) -> TableRow | None:
        """What is in the row, if we lead and it is still that backend's."""
        found = read_row(self._file.cells, self._file.geometry, row)
        if not self._leadership.is_held or found is None or found.id != row_id:
            return None
        return found
