"""Faults of backends as traffic sees them, noted by workers for the leader.

A fault is a failure that speaks against a backend: it could not be connected to, did
not answer in time, answered no HTTP, broke off, or gave a status that counts.  A worker
notes it in cells of its own: one more in its head (the bell), one more in the row's
column, and how many in a row.  In a row means without a good response of this worker
between, which follows from the counters it keeps anyway; so good responses cost
nothing.  The leader looks at the bells, 5 us for 64 slots, and at the rest only when
one has rung.

What follows from faults is `lb.health.ejection`'s business.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.shm.arrivals import WINDOWS_PER_S
from lb.shm.layout import Cells, Counter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm.blocks import RowCells

COUNT_BITS: Final = 32
COUNT_MASK: Final = (1 << COUNT_BITS) - 1
GOOD_FROM: Final = int(Counter.RESPONSES) + 1
GOOD_TO: Final = int(Counter.RESPONSES) + 5
"""Responses of status 100 to 499.  One of 500 and more that is no fault proves
nothing either way, so it neither counts nor ends a row."""
SPOILED: Final = int(Counter.SPOILED)


def good_in(cells: Cells, block: int) -> int:
    """Good responses counted in a block."""
    return sum(cells[block + GOOD_FROM : block + GOOD_TO].tolist()) - int(
        cells[block + SPOILED]
    )


class FaultNotes:
    """Notes one process's faults; one thread at a time.  `clock` is monotonic."""

    def __init__(
        self, cells: Cells, *, bell: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._cells = cells
        self._bell = bell
        self._clock = clock
        self._rows: dict[int, tuple[int, int, int]] = {}
        """By the cell of a row's faults: backend, good responses then, in a row."""

    def note(self, at: RowCells, *, is_spoiled: bool = False) -> None:
        """A fault of the backend whose cells these are.  3 us.

        `is_spoiled` if it is counted as a response of status below 500.
        """
        cells = self._cells
        if is_spoiled:
            cells[at.block + SPOILED] += 1
        good = good_in(cells, at.block)
        row_id, good_then, in_a_row = self._rows.get(at.faults, (0, 0, 0))
        in_a_row = in_a_row + 1 if (row_id, good_then) == (at.id, good) else 1
        self._rows[at.faults] = at.id, good, in_a_row
        window = int(self._clock() * WINDOWS_PER_S)
        before = cells[at.streak]
        if before >> COUNT_BITS != window or before & COUNT_MASK < in_a_row:
            cells[at.streak] = window << COUNT_BITS | in_a_row
        cells[at.faults] += 1
        cells[self._bell] += 1
