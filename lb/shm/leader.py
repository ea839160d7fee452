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
from dataclasses import replace
from typing import TYPE_CHECKING

from lb.shm.cells import microseconds
from lb.shm.events import EventKind, Happening, Ring, write_event
from lb.shm.layout import LOCK_BUILDER, LOCK_LEADER, LOCK_PREFERRED, Head, Row
from lb.shm.locks import held
from lb.shm.record import (
    NOTHING,
    Record,
    Standing,
    mend_record,
    standing_in,
    write_probe,
    write_verdict,
)
from lb.shm.table import read_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.model import Verdict
    from lb.shm.file import SharedFile
    from lb.shm.record import ProbeRecord


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
        at = self._writable(row, row_id)
        if at is None:
            return False
        write_probe(self._file.cells, at, row_id, probe)
        return True

    def set_verdict(
        self, row: int, row_id: int, verdict: Verdict, *, reason: str, at: float
    ) -> bool:
        """Publish a verdict of unix time `at`, and nothing beside it; see `judge`."""
        standing = Standing(verdict)
        return self.judge(
            row, row_id, Record(standing, since=at, reason=reason, memory=NOTHING)
        )

    def judge(self, row: int, row_id: int, record: Record) -> bool:
        """Publish a verdict with all that goes with it; whether it was stored.

        The record's probes are left out.  All processes see it at their next look at
        the generation, which stays if the standing does.  Events come last, so
        whoever hears of one finds it in force.
        """
        first = self._writable(row, row_id)
        if first is None:
            return False
        cells = self._file.cells
        before = cells[first + Row.VERDICT]
        write_verdict(cells, first, row_id, record)
        if cells[first + Row.VERDICT] != before:
            cells[Head.VERDICT_GENERATION] += 1
            for what, at in _happened(standing_in(before, row_id), record):
                self._tell_of(row, row_id, what, at)
        return True

    def _tell_of(self, row: int, row_id: int, what: Happening, at: float) -> None:
        found = read_row(self._file.cells, self._file.geometry, row)
        name = found.backend.name if found and found.id == row_id else ""
        self.tell(replace(what, backend_id=row_id, backend=name), at=at)

    def tell(self, what: Happening, *, at: float = 0.0) -> None:
        """Add an event of unix time `at` (0.0: now) to those of health, if we lead."""
        if self._leadership.is_held:
            cells, geometry = self._file.cells, self._file.geometry
            write_event(cells, geometry, Ring.HEALTH, what, at=at)

    def _writable(self, row: int, row_id: int) -> int | None:
        """The row's first cell, if we lead and the row is still that backend's."""
        at = self._file.geometry.row(row)
        is_there = row_id > 0 and self._file.cells[at + Row.ID] == row_id
        return at if is_there and self._leadership.is_held else None


def _happened(before: Standing, record: Record) -> Iterator[tuple[Happening, float]]:
    """What is to be told of a standing that changed, and its time; shares are not."""
    after = record.standing
    if after.verdict is not before.verdict:
        what = Happening(
            EventKind.VERDICT,
            before=before.verdict,
            after=after.verdict,
            reason=record.reason,
        )
        yield what, record.since
    if after.is_ejected and not before.is_ejected:
        what = Happening(EventKind.EJECTED, reason=record.memory.why)
        yield what, record.memory.ejected_at
    if before.is_ejected and not after.is_ejected:
        yield Happening(EventKind.READMITTED), 0.0
