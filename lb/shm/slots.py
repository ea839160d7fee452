"""A slot per process: who it is, what it may write, and what its death leaves.

A slot belongs to who holds its byte lock.  The owner's hot loop adds to cells
itself (`cells[i] += 1` takes about 70 ns); as Python has no atomic add on shared
memory, no two processes ever share a counter, and in one process threads need a lock
of their own around their additions.  Whoever finds a slot whose owner died takes its
lock, zeroes what was in flight and keeps the totals.  Readers sum over all slots and
take no lock: `lb.shm.totals`, `lb.shm.inflight`, `lb.shm.recent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from lb.errors import StateFileError
from lb.shm import blocks
from lb.shm.arrivals import Arrivals
from lb.shm.cells import microseconds, seconds
from lb.shm.faults import FaultNotes
from lb.shm.geometry import EXTRA_BLOCKS, Geometry
from lb.shm.layout import (
    BLOCK_CELLS,
    LOCK_SLOTS,
    STATUS_CELLS,
    WAITING_CELLS,
    Cells,
    Column,
    Head,
    SlotCell,
)
from lb.shm.recorder import Recorder
from lb.shm.spans import SPAN_CELLS, SPANS_KEPT, SpanWriter
from lb.shm.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lb.shm.blocks import Reserve, RowCells
    from lb.shm.locks import ByteLocks


class Use(IntEnum):
    """A slot's STATE cell."""

    NEVER = 0
    """Its body may be a hole: nobody may look there."""
    LIVE = 1
    """Has an owner, or one that died without a word: its lock tells."""
    LEFT = 2
    SWEPT = 3
    """Its owner died, and nothing of it is in flight any more."""


@dataclass(frozen=True, slots=True)
class SlotState:
    """What a slot says of its process; times are unix seconds, 0 is never.

    `connections` and `in_flight` are now, `queued` requests and `idle` connections to
    backends as of the heartbeat; `accepted` connections and `requests` were counted
    over all owners that the slot ever had.
    """

    index: int
    pid: int
    alive: bool
    started: float
    heartbeat: float
    generation_seen: int
    connections: int
    accepted: int
    requests: int
    in_flight: int
    settings_seen: int = 0
    arbiter: int = 0
    """Pid of the gunicorn arbiter that forked it, 0 if none did."""
    is_leaving: bool = False
    """Whether it takes no more connections."""
    queued: int = 0
    idle: int = 0


class Slot:
    """This process's own cells; all stores into them go through here or `cells`."""

    def __init__(
        self,
        cells: Cells,
        geometry: Geometry,
        locks: ByteLocks,
        *,
        index: int,
        reserve: Reserve,
    ) -> None:
        self.cells = cells
        self.index = index
        self.no_backend = blocks.no_backend(geometry, slot=index)
        """Where requests are counted that never had a backend."""
        self._geometry = geometry
        self._locks = locks
        self._reserve = reserve
        self._head = geometry.head(index)
        self._nobody = geometry.nobody(index)
        self._rows: dict[int, RowCells] = {}
        self._idle: dict[int, int] = {}
        self._queues: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Slot {self.index} {'ours' if self.is_ours else 'released'}>"

    @property
    def is_ours(self) -> bool:
        """False once it was released."""
        return self._locks.is_ours(LOCK_SLOTS + self.index)

    @property
    def connections_cell(self) -> int:
        """Where in `cells` to count clients' connections that are open."""
        return self._head + int(SlotCell.CONNECTIONS)

    @property
    def accepted_cell(self) -> int:
        """Where in `cells` to count clients' connections ever accepted."""
        return self._head + int(SlotCell.ACCEPTED)

    @property
    def unkept_rows(self) -> list[int]:
        """Rows whose figures are not kept, as the file system has no space for them.

        Requests under way and failed connects are counted for these, too.
        """
        kept = self._rows.items()
        return [row for row, found in kept if found.block == self._nobody]

    def row(self, row: int, row_id: int) -> RowCells:
        """Where in `cells` to count what is done for the backend `row_id` in `row`.

        To be asked again when the table changed.  8 us for a row that is new to this
        process, else 0.2; never fails, see `unkept_rows`.
        """
        found = self._rows.get(row)
        if found is None or found.id != row_id or found.block == self._nobody:
            found = self._rows[row] = self._claim(row, row_id)
        return found

    def _claim(self, row: int, row_id: int) -> RowCells:
        geometry, index = self._geometry, self.index
        if not row_id:
            return blocks.unkept(geometry, slot=index, row=row, row_id=0)
        try:
            return blocks.claim(
                self.cells, geometry, self._reserve, slot=index, row=row, row_id=row_id
            )
        except OSError:
            return blocks.unkept(geometry, slot=index, row=row, row_id=row_id)

    def recorder(self) -> Recorder:
        """What records finished requests in this slot; one at a time per slot."""
        return Recorder(
            self.cells,
            statuses=self._head + SlotCell.STATUSES,
            endings=self._head + SlotCell.ENDINGS,
            ring=self._geometry.requests(self.index),
        )

    def spans(self) -> SpanWriter:
        """What writes traced requests in this slot. Raises: OSError: without space."""
        ring = self._geometry.spans(self.index)
        self._reserve(ring, SPAN_CELLS * SPANS_KEPT, 0)
        return SpanWriter(self.cells, head=self._head, ring=ring)

    def faults(self) -> FaultNotes:
        """What notes faults of backends in this slot; one at a time per slot."""
        return FaultNotes(self.cells, bell=self._head + SlotCell.FAULTS)

    def arrivals(self) -> Arrivals:
        """This process's connections beside those of the others."""
        return Arrivals(self.cells, self._geometry, self.index)

    def turns(self, name: str) -> Turns:
        """This process's place among those that wait for the set called `name`."""
        return Turns(self.cells, self._geometry, slot=self.index, name=name)

    def beat(self, now: float) -> None:
        """Tell that this process runs, at unix time `now` in seconds."""
        self.cells[self._head + SlotCell.HEARTBEAT] = microseconds(now)

    def tell_resting(
        self, *, queued: int, idle: dict[int, int], queues: dict[int, int] | None = None
    ) -> None:
        """Tell how many requests wait, and connections idle, by row. O(rows given).

        `queues` has those that wait for a set, each at the row of one of its backends.
        """
        self.cells[self._head + SlotCell.QUEUED] = queued
        self._idle = self._tell(Column.IDLE, self._idle, idle)
        self._queues = self._tell(Column.QUEUES, self._queues, queues or {})

    def _tell(
        self, column: Column, before: dict[int, int], now: dict[int, int]
    ) -> dict[int, int]:
        first = self._geometry.column(self.index, column)
        for row in before.keys() - now.keys():
            self.cells[first + row] = 0
        for row, count in now.items():
            if before.get(row) != count:
                self.cells[first + row] = count
        return now

    def see(self, generation: int) -> None:
        """Tell which generation this process's view was built from."""
        self.cells[self._head + SlotCell.SEEN] = generation

    def see_settings(self, generation: int) -> None:
        """Tell by which settings this process goes."""
        self.cells[self._head + SlotCell.SETTINGS_SEEN] = generation

    def tell_arbiter(self, pid: int) -> None:
        """Tell who forked this process and will heed a SIGHUP."""
        self.cells[self._head + SlotCell.ARBITER] = pid

    def leave(self) -> None:
        """Tell that this process takes no more connections."""
        self.cells[self._head + SlotCell.LEAVING] = 1

    def has_company(self) -> bool:
        """Whether another living process still takes connections. Some 5 us."""
        cells, geometry = self.cells, self._geometry
        return any(
            not cells[geometry.head(index) + SlotCell.LEAVING]
            for index in living_slots(cells, geometry, self._locks)
            if index != self.index
        )

    def release(self) -> None:
        """Leave the slot to others; nothing of it is in flight any more."""
        if self.is_ours:
            _empty(self.cells, self._geometry, self.index, Use.LEFT)
            self._locks.free(LOCK_SLOTS + self.index)


def take_slot(
    cells: Cells,
    geometry: Geometry,
    locks: ByteLocks,
    *,
    reserve: Reserve,
    pid: int,
    now: float,
) -> Slot:
    """The first slot that nobody holds, cleared of what a dead owner left.

    For the holder of the builder lock.

    Raises:
        StateFileError: when all slots have living owners.
        OSError: when there is no space for the slot's body.
    """
    for index in range(geometry.slots):
        if locks.take(LOCK_SLOTS + index):
            try:
                _furnish(geometry, index, reserve)
            except OSError:
                locks.free(LOCK_SLOTS + index)
                raise
            _move_in(cells, geometry, index, pid=pid, now=now)
            return Slot(cells, geometry, locks, index=index, reserve=reserve)
    raise StateFileError(
        f"all {geometry.slots} slots of the state file are taken by living"
        " processes: run fewer workers, or give this balancer a state.path of its own"
    )


def _furnish(geometry: Geometry, index: int, reserve: Reserve) -> None:
    """Give a slot's body its space, but for the blocks of rows."""
    body, first_block = geometry.body(index), geometry.block(index, 0)
    reserve(body, first_block - body, 0)
    reserve(geometry.no_backend(index), EXTRA_BLOCKS * BLOCK_CELLS, 0)


def _move_in(
    cells: Cells, geometry: Geometry, index: int, *, pid: int, now: float
) -> None:
    at = geometry.head(index)
    _zero_present(cells, geometry, index)
    cells[at + SlotCell.PID] = pid
    cells[at + SlotCell.STARTED] = microseconds(now)
    cells[at + SlotCell.HEARTBEAT] = microseconds(now)
    for cell in (
        SlotCell.SEEN,
        SlotCell.SETTINGS_SEEN,
        SlotCell.ARBITER,
        SlotCell.LEAVING,
    ):
        cells[at + cell] = 0
    cells[at + SlotCell.STATE] = Use.LIVE
    cells[Head.SLOTS_TAKEN] += 1


def _empty(cells: Cells, geometry: Geometry, index: int, state: Use) -> None:
    _zero_present(cells, geometry, index)
    cells[geometry.head(index) + SlotCell.STATE] = state


def _zero_present(cells: Cells, geometry: Geometry, index: int) -> None:
    """Zero what a slot says of now, not of all time; 0.25 ms for 4,096 rows."""
    head = geometry.head(index)
    waiting = range(SlotCell.WAITING, SlotCell.WAITING + WAITING_CELLS)
    for cell in (SlotCell.ARRIVALS, SlotCell.CONNECTIONS, SlotCell.QUEUED, *waiting):
        cells[head + cell] = 0
    for name in (Column.IN_FLIGHT, Column.RETRYING, Column.IDLE, Column.QUEUES):
        first = geometry.column(index, name)
        for row, count in enumerate(cells[geometry.column_cells(index, name)].tolist()):
            if count:
                cells[first + row] = 0


def sweep(cells: Cells, geometry: Geometry, locks: ByteLocks) -> list[int]:
    """The pids of dead owners whose slots were emptied by this call."""
    dead = []
    for index in _in_state(cells, geometry, Use.LIVE):
        # Looking first keeps us from locking a slot that another is about to take.
        if locks.is_held(LOCK_SLOTS + index):
            continue
        if locks.take(LOCK_SLOTS + index):
            at = geometry.head(index)
            # Between look and lock an owner may have come and gone in order.
            if cells[at + SlotCell.STATE] == Use.LIVE:
                dead.append(cells[at + SlotCell.PID])
                _empty(cells, geometry, index, Use.SWEPT)
            locks.free(LOCK_SLOTS + index)
    return dead


def _states(cells: Cells, geometry: Geometry) -> list[int]:
    return cells[geometry.heads(SlotCell.STATE)].tolist()


def _in_state(cells: Cells, geometry: Geometry, use: Use) -> list[int]:
    states = _states(cells, geometry)
    return [index for index, state in enumerate(states) if state == use]


def used_slots(cells: Cells, geometry: Geometry) -> list[int]:
    """The slots that were ever used, whose columns and ring may thus be read. 5 us."""
    return [index for index, use in enumerate(_states(cells, geometry)) if use]


def present(cells: Cells, geometry: Geometry) -> dict[int, int]:
    """The pids in slots that say they are in use, by slot; some may have died."""
    live = _in_state(cells, geometry, Use.LIVE)
    return {index: cells[geometry.head(index) + SlotCell.PID] for index in live}


def living_slots(cells: Cells, geometry: Geometry, locks: ByteLocks) -> list[int]:
    """The slots whose owners live; asks the kernel, 1 us for each that is in use."""
    live = _in_state(cells, geometry, Use.LIVE)
    return [index for index in live if locks.is_held(LOCK_SLOTS + index)]


def read_slots(cells: Cells, geometry: Geometry, locks: ByteLocks) -> list[SlotState]:
    """Every slot that was ever used, with whether its process lives."""
    living = set(living_slots(cells, geometry, locks))
    used = used_slots(cells, geometry)
    return [_read(cells, geometry, index, alive=index in living) for index in used]


def _read(cells: Cells, geometry: Geometry, index: int, *, alive: bool) -> SlotState:
    at = geometry.head(index)
    statuses = at + SlotCell.STATUSES
    in_flight = geometry.column_cells(index, Column.IN_FLIGHT)
    idle = geometry.column_cells(index, Column.IDLE)
    return SlotState(
        index=index,
        pid=cells[at + SlotCell.PID],
        alive=alive,
        started=seconds(cells[at + SlotCell.STARTED]),
        heartbeat=seconds(cells[at + SlotCell.HEARTBEAT]),
        generation_seen=cells[at + SlotCell.SEEN],
        connections=cells[at + SlotCell.CONNECTIONS] if alive else 0,
        accepted=cells[at + SlotCell.ACCEPTED],
        requests=sum(cells[statuses : statuses + STATUS_CELLS].tolist()),
        in_flight=sum(cells[in_flight].tolist()) if alive else 0,
        settings_seen=cells[at + SlotCell.SETTINGS_SEEN],
        arbiter=cells[at + SlotCell.ARBITER],
        is_leaving=bool(cells[at + SlotCell.LEAVING]),
        queued=cells[at + SlotCell.QUEUED] if alive else 0,
        idle=sum(cells[idle].tolist()) if alive else 0,
    )


def read_columns(
    cells: Cells, geometry: Geometry, living: Iterable[int], column: Column
) -> dict[int, list[int]]:
    """A column of each of the `living` slots."""
    return {
        slot: cells[geometry.column_cells(slot, column)].tolist() for slot in living
    }
