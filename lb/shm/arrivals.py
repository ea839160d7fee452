"""Who accepts how many connections, so that workers share them evenly.

Workers wait for connections on one listening socket, and the kernel wakes all of
them. Left alone, whoever wakes faster takes nearly all of a burst (0.63 to 1.00 of 64
connections for one of two workers, measured), and keeps those connections for
their lives. So each process publishes what it has, and one that is ahead of the others
lets them go first for a moment.

What counts is a process's load: the connections that it holds plus those that it
accepted in the present window, an eighth of a second. The first evens out long-lived
ones, also after a worker was replaced; the second those that end before the next
comes. As one sum, so that there is always one that need not wait. The windows are
those of the machine's monotonic clock, the same for all processes, so nobody has to
reset a count. They are short because thousands that came and went a moment ago must
not hide who takes all of 64 that will stay.

It only tells; how long to let others go first is the acceptor's business.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.shm.layout import Cells, SlotCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm.geometry import Geometry

WINDOWS_PER_S: Final = 8
TOLERANCE: Final = 1.1
"""How many times the mean a load may be, plus one: 36 of 64 for one of two workers.
With less, workers under full load wait for each other for nothing: a third more CPU
per connection with 1.05 times what is held, 0-5 % more with this."""

COUNT_BITS: Final = 32


class Arrivals:
    """One process's connections beside those of the others.

    Begins as one that accepts nothing. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        cells: Cells,
        geometry: Geometry,
        slot: int,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._cells = cells
        self._clock = clock
        self._accepted = geometry.head(slot) + SlotCell.ACCEPTED
        pairs = [
            (at + SlotCell.ARRIVALS, at + SlotCell.CONNECTIONS)
            for at in map(geometry.head, range(geometry.slots))
        ]
        self._own, self._held = pairs.pop(slot)
        self._everybody = pairs
        self._others: list[tuple[int, int]] = []
        self._looked_at = -1

    def __repr__(self) -> str:
        return f"<Arrivals holds={self._cells[self._held]} beside={len(self._others)}>"

    def open(self) -> None:
        """This process accepts connections (again)."""
        self._cells[self._own] = self._window() << COUNT_BITS

    def close(self) -> None:
        """It accepts none for now: nobody needs to let it go first."""
        self._cells[self._own] = 0

    def accepted(self, held: int) -> None:
        """One more was accepted, and that makes `held` open ones. 0.5 us."""
        cells, now = self._cells, self._window()
        count = _came_in(cells[self._own], now) + 1
        cells[self._own] = now << COUNT_BITS | count
        cells[self._accepted] += 1
        cells[self._held] = held

    def left(self, held: int) -> None:
        """One has gone, `held` are open now."""
        self._cells[self._held] = held

    def is_ahead(self) -> bool:
        """Whether this process has more than its share. 1 us, and 0.4 per process.

        Once in a window it also looks who else accepts: 4 us for 64 slots.
        """
        cells, now = self._cells, self._window()
        if now != self._looked_at:
            self._looked_at = now
            self._others = [pair for pair in self._everybody if cells[pair[0]]]
        if not self._others:
            return False
        own = cells[self._held] + _came_in(cells[self._own], now)
        total, count = own, 1
        for came_at, held_at in self._others:
            if came := cells[came_at]:
                total += cells[held_at] + _came_in(came, now)
                count += 1
        return own * count > total * TOLERANCE + count

    def others(self) -> int:
        """A number that changes whenever another process accepts one."""
        return sum([self._cells[came_at] for came_at, _ in self._others])

    def _window(self) -> int:
        return int(self._clock() * WINDOWS_PER_S)


def _came_in(cell: int, now: int) -> int:
    """How many an ARRIVALS cell counts in the window `now`."""
    window, count = divmod(cell, 1 << COUNT_BITS)
    return count if window == now else 0
