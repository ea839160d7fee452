"""What stands in the rows as numbers, read by columns: the cheap half of a snapshot.

A cell is whole by itself, so numbers that need not fit together to the microsecond can
be read without the seqlock and without texts: 3 ms for 2,000 backends, where
`lb.shm.snapshot` takes 40 with all their probes.  Texts change with the table's
generation only; who needs them reads them then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lb.model import Verdict, Wish
from lb.shm.cells import seconds
from lb.shm.layout import PROBE_CELLS, RING_SIZE, Cells, Probe, Row
from lb.shm.record import verdict_in

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
    verdict: Verdict
    since: float
    probed: int
    failed: int
    probing_s: float
    probed_at: float
    probe_s: float
    """How long the last probe took."""

    @property
    def is_available(self) -> bool:
        """Whether it gets new requests."""
        return self.is_ready and self.verdict is not Verdict.DOWN


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
    Row.SINCE, Row.PROBES, Row.FAILED, Row.PROBE_TIME,
)  # fmt: skip


def _column(cells: Cells, geometry: Geometry, cell: Row) -> list[int]:
    first = geometry.row(0) + cell
    return cells[first : geometry.row(geometry.rows) : geometry.row_cells].tolist()


def _gauges(cells: Cells, at: int, row: int, numbers: tuple[int, ...]) -> Gauges:
    row_id, weight, most, wish, verdict, recorded, since, probed, failed, took = numbers
    probe_at = probe_s = 0.0
    if recorded != row_id:  # of the row's last backend
        since = probed = failed = took = 0
    elif probed:
        last = at + Row.RING + PROBE_CELLS * ((probed - 1) % RING_SIZE)
        probe_at = seconds(cells[last + Probe.AT])
        probe_s = seconds(cells[last + Probe.DURATION])
    return Gauges(
        row, row_id, weight, most, wish == READY, verdict_in(verdict, row_id),
        seconds(since), probed, failed, seconds(took), probe_at, probe_s,
    )  # fmt: skip
