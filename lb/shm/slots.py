"""A slot per process: who it is, and what it counts for each backend.

A slot belongs to who holds its byte lock.  The owner's hot loop adds to cells
itself (`cells[i] += 1` takes about 60 ns, up and down again 125); as Python has no
atomic add on shared memory, no two processes ever share a counter, and in one
process threads need a lock of their own around their additions.  Whoever finds
a slot whose owner died takes its lock, zeroes what was in flight and keeps the
totals.  Readers sum over all slots and take no lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from lb.errors import StateFileError
from lb.shm.arrivals import Arrivals
from lb.shm.cells import microseconds, seconds
from lb.shm.layout import LOCK_SLOTS, Cells, Counter, Geometry, SlotCell

if TYPE_CHECKING:
    from lb.shm.locks import ByteLocks


class Use(IntEnum):
    """A slot's STATE cell."""

    NEVER = 0
    LIVE = 1
    """Has an owner, or one that died without a word: its lock tells."""
    LEFT = 2
    SWEPT = 3
    """Its owner died, and nothing of it is in flight any more."""


@dataclass(frozen=True, slots=True)
class SlotState:
    """What a slot says of its process; times are unix seconds, 0 is never.

    `connections` of clients are open now, `accepted` counts those of all owners.
    """

    index: int
    pid: int
    alive: bool
    started: float
    heartbeat: float
    generation_seen: int
    connections: int
    accepted: int


class Slot:
    """This process's own cells; all stores into them go through here or `cells`."""

    def __init__(
        self, cells: Cells, geometry: Geometry, locks: ByteLocks, *, index: int
    ) -> None:
        self.cells = cells
        self.index = index
        self._geometry = geometry
        self._locks = locks
        self._at = geometry.slot(index)

    def __repr__(self) -> str:
        return f"<Slot {self.index} {'ours' if self.is_ours else 'released'}>"

    @property
    def is_ours(self) -> bool:
        """False once it was released."""
        return self._locks.is_ours(LOCK_SLOTS + self.index)

    def in_flight_cell(self, row: int) -> int:
        """Where in `cells` to count the row's requests that are under way."""
        return self._geometry.counter(self.index, row, Counter.IN_FLIGHT)

    def requests_cell(self, row: int) -> int:
        """Where in `cells` to count the requests that the row was given."""
        return self._geometry.counter(self.index, row, Counter.REQUESTS)

    def failures_cell(self, row: int) -> int:
        """Where in `cells` to count connects to the row that failed.

        The checker probes a backend at once when the sum over all slots rises.
        """
        return self._geometry.counter(self.index, row, Counter.FAILURES)

    def arrivals(self) -> Arrivals:
        """This process's connections beside those of the others."""
        return Arrivals(self.cells, self._geometry, self.index)

    def beat(self, now: float) -> None:
        """Tell that this process runs, at unix time `now` in seconds."""
        self.cells[self._at + SlotCell.HEARTBEAT] = microseconds(now)

    def see(self, generation: int) -> None:
        """Tell which generation this process's view was built from."""
        self.cells[self._at + SlotCell.SEEN] = generation

    def release(self) -> None:
        """Leave the slot to others; nothing of it is in flight any more."""
        if self.is_ours:
            _empty(self.cells, self._geometry, self.index, Use.LEFT)
            self._locks.free(LOCK_SLOTS + self.index)


def take_slot(
    cells: Cells, geometry: Geometry, locks: ByteLocks, *, pid: int, now: float
) -> Slot:
    """The first slot that nobody holds, cleared of what a dead owner left.

    Raises:
        StateFileError: when all slots have living owners.
    """
    for index in range(geometry.slots):
        if locks.take(LOCK_SLOTS + index):
            _move_in(cells, geometry, index, pid=pid, now=now)
            return Slot(cells, geometry, locks, index=index)
    raise StateFileError(
        f"all {geometry.slots} slots of the state file are taken by living"
        " processes: run fewer workers, or give this balancer a state.path of its own"
    )


def _move_in(
    cells: Cells, geometry: Geometry, index: int, *, pid: int, now: float
) -> None:
    at = geometry.slot(index)
    _zero_what_is_now(cells, geometry, index)
    cells[at + SlotCell.PID] = pid
    cells[at + SlotCell.STARTED] = microseconds(now)
    cells[at + SlotCell.HEARTBEAT] = microseconds(now)
    cells[at + SlotCell.SEEN] = 0
    cells[at + SlotCell.STATE] = Use.LIVE


def _empty(cells: Cells, geometry: Geometry, index: int, state: Use) -> None:
    _zero_what_is_now(cells, geometry, index)
    cells[geometry.slot(index) + SlotCell.STATE] = state


def _zero_what_is_now(cells: Cells, geometry: Geometry, index: int) -> None:
    for cell in (SlotCell.ARRIVALS, SlotCell.CONNECTIONS):
        cells[geometry.slot(index) + cell] = 0
    for row in range(geometry.rows):
        cells[geometry.counter(index, row, Counter.IN_FLIGHT)] = 0


def sweep(cells: Cells, geometry: Geometry, locks: ByteLocks) -> list[int]:
    """The pids of dead owners whose slots were emptied by this call."""
    dead = []
    for index in range(geometry.slots):
        at = geometry.slot(index)
        # Looking first keeps us from locking a slot that another is about to take.
        if cells[at + SlotCell.STATE] != Use.LIVE or locks.is_held(LOCK_SLOTS + index):
            continue
        if locks.take(LOCK_SLOTS + index):
            # Between look and lock an owner may have come and gone in order.
            if cells[at + SlotCell.STATE] == Use.LIVE:
                dead.append(cells[at + SlotCell.PID])
                _empty(cells, geometry, index, Use.SWEPT)
            locks.free(LOCK_SLOTS + index)
    return dead


def read_slots(cells: Cells, geometry: Geometry, locks: ByteLocks) -> list[SlotState]:
    """Every slot that was ever used, with whether its process lives."""
    states = []
    for index in range(geometry.slots):
        at = geometry.slot(index)
        use = cells[at + SlotCell.STATE]
        if use == Use.NEVER:
            continue
        states.append(
            SlotState(
                index=index,
                pid=cells[at + SlotCell.PID],
                alive=use == Use.LIVE and locks.is_held(LOCK_SLOTS + index),
                started=seconds(cells[at + SlotCell.STARTED]),
                heartbeat=seconds(cells[at + SlotCell.HEARTBEAT]),
                generation_seen=cells[at + SlotCell.SEEN],
                connections=cells[at + SlotCell.CONNECTIONS],
                accepted=cells[at + SlotCell.ACCEPTED],
            )
        )
    return states


def total(cells: Cells, geometry: Geometry, row: int, counter: Counter) -> int:
    """A counter of a row, summed over all slots, dead ones too."""
    first = geometry.counter(0, row, counter)
    end = geometry.slot(geometry.slots)
    return sum(cells[first : end : geometry.slot_cells])


def totals(cells: Cells, geometry: Geometry, counter: Counter) -> list[int]:
    """A counter of every row, summed over the slots that were ever used."""
    sums = [0] * geometry.rows
    for index in range(geometry.slots):
        if cells[geometry.slot(index) + SlotCell.STATE] != Use.NEVER:
            column = cells[geometry.counters(index, counter)].tolist()
            sums = [a + b for a, b in zip(sums, column, strict=True)]
    return sums


def in_flight(cells: Cells, geometry: Geometry, locks: ByteLocks, row: int) -> int:
    """Requests of a row that are under way in living processes."""
    count = 0
    for index in range(geometry.slots):
        # Only slots with something in flight cost the question to the kernel.
        here = cells[geometry.counter(index, row, Counter.IN_FLIGHT)]
        if here and locks.is_held(LOCK_SLOTS + index):
            count += here
    return count
