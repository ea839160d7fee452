"""Totals and latencies for who asks again and again: only what changed is read anew.

Whether a block changed is told by a hash of its counters and of its two sums, which
are stored behind the histograms' cells (`lb.shm.recorder`): who has seen the sums finds
the cells.  For 2,000 backends and 8 processes that is 30 ms where nothing changed, and
145 where every block did; `lb.shm.totals` takes 125 in any case.
"""

from __future__ import annotations

import struct
import sys
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from lb.shm.histogram import BUCKETS, Histogram
from lb.shm.layout import CELL_BYTES, Cells, Column, Counter, Head
from lb.shm.slots import used_slots
from lb.shm.table import read_ids
from lb.shm.totals import (
    COUNTERS,
    NO_BACKEND,
    BackendTotals,
    Latencies,
    cells_of,
    connect_failures,
    made_totals,
)

if TYPE_CHECKING:
    from lb.shm.file import SharedFile

TO_HEAD: Final = int(Counter.TO_HEAD)
TOTAL: Final = int(Counter.TOTAL)
SUMS: Final = int(Counter.TO_HEAD_SUM)
COUNTED: Final = TOTAL + BUCKETS
"""Added up as one long number: two thirds of the price of three shorter ones."""

_SUMS: Final = struct.Struct("@2d")
"""Unpacking loads each native number at once; only packing goes byte by byte."""

_Blocks = list[tuple[int, int]]
"""First cells of blocks, with the cell that must hold the backend's id after the block
was read, too (-1: none)."""


class Figures(NamedTuple):
    """What all processes counted, by backend's id; `born` tells the file."""

    born: int
    totals: dict[int, BackendTotals]
    latencies: dict[int, Latencies]


class _Kept(NamedTuple):
    """A backend's figures, and the marks of the blocks and cells that they are of."""

    marks: tuple[int, ...]
    totals: BackendTotals
    latencies: Latencies


class FigureReader:
    """Reads files, one at a time, for any thread; keeps 15 KB for each backend.

    What did not change since the last reading is the same object.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._born = 0
        self._kept: dict[int, _Kept] = {}

    def __repr__(self) -> str:
        return f"<FigureReader of {len(self._kept)} backends>"

    def read(self, file: SharedFile) -> Figures:
        """The figures of every backend, and under 0 those of requests without one."""
        with self._lock:
            born = file.cells[Head.CREATED]
            if born != self._born:
                self._born, self._kept = born, {}
            self._kept = self._read(file)
            totals = {key: kept.totals for key, kept in self._kept.items()}
            latencies = {key: kept.latencies for key, kept in self._kept.items()}
        return Figures(born, totals, latencies)

    def _read(self, file: SharedFile) -> dict[int, _Kept]:
        cells, geometry = file.cells, file.geometry
        used = used_slots(cells, geometry)
        firsts = [
            (geometry.block(slot, 0), geometry.column(slot, Column.OWNER))
            for slot in used
        ]
        ids = {row: key for row, key in enumerate(read_ids(cells, geometry)) if key}
        failed = connect_failures(cells, geometry, ids)
        stride = geometry.block(0, 1) - geometry.block(0, 0)
        kept = {}
        for row, key in ids.items():
            blocks = [
                (first + row * stride, owned + row)
                for first, owned in firsts
                if cells[owned + row] == key
            ]
            kept[key] = self._of(cells, key, blocks, failed[key])
        none = [(geometry.no_backend(slot), -1) for slot in used]
        kept[NO_BACKEND] = self._of(cells, NO_BACKEND, none, 0)
        return kept

    def _of(
        self, cells: Cells, key: int, blocks: _Blocks, failed_connects: int
    ) -> _Kept:
        marks = (failed_connects, *[_mark(cells, block) for block, _ in blocks])
        kept = self._kept.get(key)
        if kept is not None and kept.marks == marks:
            return kept
        return _added(cells, key, blocks, marks)


def _mark(cells: Cells, block: int) -> int:
    """A number that changes with what is counted in the block. 0.6 us."""
    sums = cells[block + SUMS : block + SUMS + 2].tobytes()
    return hash(cells[block : block + COUNTERS].tobytes() + sums)


def _added(cells: Cells, key: int, blocks: _Blocks, marks: tuple[int, ...]) -> _Kept:
    """The figures in these blocks together; 3 us each, and 8 in all."""
    from_bytes, order, unpack = int.from_bytes, sys.byteorder, _SUMS.unpack_from
    number, to_head_s, total_s = 0, 0.0, 0.0
    for block, owner in blocks:
        found = from_bytes(cells[block : block + COUNTED], order)
        block_head_s, block_total_s = unpack(cells, (block + SUMS) * CELL_BYTES)
        if owner < 0 or cells[owner] == key:
            number += found
            to_head_s += block_head_s
            total_s += block_total_s
    counts = cells_of(number, COUNTED)
    latencies = Latencies(
        Histogram(counts[TO_HEAD : TO_HEAD + BUCKETS], to_head_s),
        Histogram(counts[TOTAL:COUNTED], total_s),
    )
    return _Kept(marks, made_totals(counts, marks[0]), latencies)
