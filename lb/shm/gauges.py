"""What stands in the rows as numbers, read by columns: the cheap half of a snapshot.

A cell is whole by itself, so numbers that need not fit together to the microsecond can
be read without the seqlock and without texts: 3 ms for 2,000 backends, where
`lb.shm.snapshot` takes 40 with all their probes.  Texts change with the table's
generation only; who needs them reads them then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lb.model import Wish
from lb.shm.cells import seconds
from lb.shm.layout import PROBE_CELLS, RING_SIZE, Cells, Row
from lb.shm.record import NEVER, Probe, Standing, Tally, standing_in

if TYPE_CHECKING:
    from lb.shm.geometry import Geometry

READY = int(Wish.READY)


class Gauges(NamedTuple):
    """The numbers of one row; times are unix seconds, 0.0 where there is none yet."""

    row: int
    id: int
    weight: int
    max_in_flight: int
    is_ready: bool
    """Whether the operator wishes it so."""
    is_backup: bool
    standing: Standing
    since: float
    tally: Tally
    probed_at: float
    probe_s: float
    """How long the last probe took."""

    @property
    def is_wanted(self) -> bool:
        """As all below, see `lb.balance.line_up`."""
        return self.is_ready and self.standing.share > 0

    @property
    def is_judged(self) -> bool:
        """Whether somebody listens there."""
        return self.standing.is_good or not self.standing.is_gone

    @property
    def is_available(self) -> bool:
        """Whether it gets new requests, if its set is not in panic."""
        return self.is_wanted and self.standing.is_good


def read_gauges(cells: Cells, geometry: Geometry) -> list[Gauges]:
    """The numbers of every backend, by row."""
    columns = [_column(cells, geometry, cell) for cell in COLUMNS]
    return [
        _gauges(cells, geometry.row(row), row, numbers)
        for row, numbers in enumerate(zip(*columns, strict=True))
        if numbers[0]
    ]


COLUMNS = (
    Row.ID, Row.WEIGHT, Row.MAX_IN_FLIGHT, Row.WISH, Row.VERDICT, Row.RECORD_ID,
    Row.SINCE, Row.BACKUP, Row.PROBES, Row.FAILED, Row.PROBE_TIME, Row.EJECTED,
)  # fmt: skip


def _column(cells: Cells, geometry: Geometry, cell: Row) -> list[int]:
    first = geometry.row(0) + cell
    return cells[first : geometry.row(geometry.rows) : geometry.row_cells].tolist()


def _gauges(cells: Cells, at: int, row: int, numbers: tuple[int, ...]) -> Gauges:
    row_id, weight, most, wish, verdict, recorded, since, backup, *counts = numbers
    probe_at = probe_s = 0.0
    tally = NEVER
    if recorded == row_id:  # not the row's last backend
        probed, failed, took, ejected = counts
        tally = Tally(probed, failed, seconds(took), ejected)
        last = at + Row.RING + PROBE_CELLS * ((probed - 1) % RING_SIZE)
        if probed:
            probe_at = seconds(cells[last + Probe.AT])
            probe_s = seconds(cells[last + Probe.DURATION])
    else:
        since = 0
    return Gauges(
        row, row_id, weight, most, wish == READY, bool(backup),
        standing_in(verdict, row_id), seconds(since), tally, probe_at, probe_s,
    )  # fmt: skip
