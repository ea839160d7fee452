"""What is in flight at each backend over all living processes, read per request.

`SharedFile.in_flight` asks the kernel each time whether a slot's owner lives, which
is right for people and too dear for a policy.  `InFlight` remembers whose columns
count: who takes a slot is seen at the next question (a cell in the header says that
there is one), who leaves has zeroed its counts, and who died without a word is
dropped by `refresh`, which a process calls once a second with its heartbeat.

Measured: one row 0.5 us with 4 processes and 0.6 with 8; all rows of 2,000 backends
with 8 processes 0.65 ms.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING

from lb.shm.layout import Column, Head
from lb.shm.slots import living_slots

if TYPE_CHECKING:
    from lb.shm.geometry import Geometry
    from lb.shm.layout import Cells
    from lb.shm.locks import ByteLocks


class InFlight:
    """Requests under way by row; made by `SharedFile.in_flight_reader`."""

    def __init__(self, cells: Cells, geometry: Geometry, locks: ByteLocks) -> None:
        self._cells = cells
        self._geometry = geometry
        self._locks = locks
        self._taken = -1
        self._columns: list[int] = []

    def __repr__(self) -> str:
        return f"<InFlight of {len(self._columns)} processes>"

    def refresh(self) -> None:
        """Look whose owners live, now; the counts of those that died are gone then.

        Costs 1 us for each living process; once a second is often enough.
        """
        # Read before the slots: one taken meanwhile is then seen once more.
        self._taken = self._cells[Head.SLOTS_TAKEN]
        living = living_slots(self._cells, self._geometry, self._locks)
        column = self._geometry.column
        self._columns = [column(slot, Column.IN_FLIGHT) for slot in living]

    def of(self, row: int) -> int:
        """Requests under way at the row's backend. O(processes)."""
        cells = self._cells
        if cells[_TAKEN] != self._taken:
            self.refresh()
        return sum([cells[first + row] for first in self._columns])

    def all(self) -> list[int]:
        """Requests under way by row, for every row. O(rows * processes)."""
        cells, rows = self._cells, self._geometry.rows
        if cells[_TAKEN] != self._taken:
            self.refresh()
        sums = [0] * rows
        for first in self._columns:
            sums = list(map(add, sums, cells[first : first + rows].tolist()))
        return sums


_TAKEN = int(Head.SLOTS_TAKEN)
