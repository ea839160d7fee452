"""Whose turn it is at what all processes share: who has waited longest goes first.

Each process has a line of its own for the requests that wait for room at a set of
backends, and takes the room that it makes itself at once. Left alone, one that is
busy would never let the others in: with 5 places, 4 processes and 64 clients, those
of two processes waited for 5 s and were refused, those of the others for 0.13 s.
So each process publishes since when the first in its line waits, and lets another go
first whose first waits noticeably longer.

It only tells, and for how long to let others go first is bounded: a process that
hangs or has died does not hold up the others.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final
from zlib import crc32

from lb.shm.cells import microseconds
from lb.shm.layout import WAITING_CELLS, Cells, Head, SlotCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm.geometry import Geometry

HEAD_START_US: Final = 50_000
"""How much longer another's first must wait to go first. Less, and processes would
wait for each other for each place; a wait that is queueing at all is felt from here."""

COURTESY_S: Final = 0.03
"""How long to let another go first: some times what it takes to notice room."""

_TAKEN: Final = int(Head.SLOTS_TAKEN)


class Turns:
    """One process's place among those that wait for the set called `name`.

    Sets share a cell if there are many; then one may let another go first for
    nothing, for `COURTESY_S`. `clock` is monotonic seconds, the same in all processes.
    """

    def __init__(
        self,
        cells: Cells,
        geometry: Geometry,
        *,
        slot: int,
        name: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._cells = cells
        self._clock = clock
        place = int(SlotCell.WAITING) + crc32(name.encode()) % WAITING_CELLS
        self._states = [geometry.head(i) for i in range(geometry.slots) if i != slot]
        self._place = place
        self._own = geometry.head(slot) + place
        self._taken = -1
        self._others: list[int] = []
        self._passed_over: frozenset[int] = frozenset()
        self._yields_to = 0
        self._yields_until = 0.0

    def __repr__(self) -> str:
        return f"<Turns since={self._cells[self._own]} beside={len(self._others)}>"

    def wait_since(self, since: float | None) -> None:
        """The first of this process waits since then (monotonic); None: nobody."""
        self._cells[self._own] = microseconds(since) if since is not None else 0

    def is_anothers(self, since: float) -> bool:
        """Whether one that waits since then should let another process go first.

        0.2 us, and 0.05 for each other process.
        """
        cells = self._cells
        if cells[_TAKEN] != self._taken:
            self._taken = cells[_TAKEN]
            self._others = [at + self._place for at in self._states if cells[at]]
        waiting = [found for at in self._others if (found := cells[at])]
        return bool(waiting) and self._yields(waiting, microseconds(since))

    def _yields(self, waiting: list[int], since_us: int) -> bool:
        """Whether one of those that wait (since when, in microseconds) goes first."""
        oldest = min((w for w in waiting if w not in self._passed_over), default=0)
        if not 0 < oldest < since_us - HEAD_START_US:
            return False
        now = self._clock()
        if oldest != self._yields_to:
            self._yields_to, self._yields_until = oldest, now + COURTESY_S
        if now < self._yields_until:
            return True
        # It had its time and did not move: it does not count until it does.
        self._passed_over = self._passed_over.intersection(waiting) | {oldest}
        return False
