"""What traffic says of backends, heard by the leader from the shared file.

Workers ring a bell (`lb.shm.faults`).  While requests flow the leader listens two
hundred times a second, 5 us each, as at 3,000 requests a second to one backend each
5 ms are 15 more that fail; where nothing flows it listens ten times a second.  Only
when a bell has rung is it looked whose fault it was.
"""

from __future__ import annotations

from itertools import compress, count
from operator import ne
from typing import TYPE_CHECKING, Final

from lb.health.ejection import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lb.shm import FaultCounts, SharedFile

LISTEN_S: Final = 0.005
LISTEN_IDLE_S: Final = 0.1
"""How late a fault may be heard, while requests flow and where none did."""

SLOWER: Final = 1.3
"""How fast one becomes the other: from 5 ms to 100 in 12 looks, a third of a second."""


class Hearing:
    """What the leader has heard so far; `listen` tells what is new."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._bells = file.bells()
        self._faults = file.faults_by_row()
        self._known: dict[int, FaultCounts] = {}
        """Of each backend that ever failed, by its id."""
        self._flow = file.requests_over()
        self._wait_s = LISTEN_IDLE_S
        self._next = 0.0

    def wait_s(self, now: float) -> float:
        """How long nothing needs to be listened to."""
        return max(0.0, self._next - now)

    def listen(
        self, rows: Mapping[int, int], now: float
    ) -> Iterator[tuple[int, Heard]]:
        """What is new, by backend; `rows` are their ids by row.

        5 us where nobody has failed; then 0.1 ms for 2,000 backends and 8 processes,
        and 15 us for each backend that has.
        """
        if now < self._next:
            return
        self._pace(now)
        bells = self._file.bells()
        if bells == self._bells:
            return
        self._bells = bells
        before, self._faults = self._faults, self._file.faults_by_row()
        for row in compress(count(), map(ne, before, self._faults)):
            more = self._faults[row] - before[row]
            if more > 0 and (row_id := rows.get(row)) is not None:
                yield row_id, self._heard(row, row_id, more)

    def _pace(self, now: float) -> None:
        flow = self._file.requests_over()
        if flow != self._flow:
            self._wait_s = LISTEN_S
        else:
            self._wait_s = min(self._wait_s * SLOWER, LISTEN_IDLE_S)
        self._flow = flow
        self._next = now + self._wait_s

    def _heard(self, row: int, row_id: int, faults: int) -> Heard:
        found = self._file.faults(row, row_id)
        known = self._known.get(row_id)
        self._known[row_id] = found
        # Without a last time, what was counted in all is the best guess.
        connects, spoiled, good = found.connects, found.spoiled, None
        if known is not None:
            connects -= known.connects
            spoiled -= known.spoiled
            good = max(0, found.good - known.good)
        return Heard(
            faults,
            good,
            max(0, min(connects, faults)),
            max(0, min(spoiled, faults)),
            found.streak,
        )

    def forget_others(self, ids: set[int]) -> None:
        """Keep in mind only these backends."""
        self._known = {i: known for i, known in self._known.items() if i in ids}
