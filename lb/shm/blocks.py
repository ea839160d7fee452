"""Which cells one process counts a backend's requests in, and whose they are.

A row's block in a slot belongs to one backend, whose id stands in the column OWNER.
A process that begins to use a row finds there its own backend's id (left by an
earlier owner of the slot: it counts on), another's (it clears the block) or none (it
gets the block its space first).  So totals survive workers, and never pass from a
backend to the next one of the same row.  Only the slot's owner calls these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lb.shm.layout import BLOCK_CELLS, CELL_BYTES, Column

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm.geometry import Geometry
    from lb.shm.layout import Cells

    Reserve = Callable[[int, int, int], None]
    """Gives cells their space: the first, how many, and how many must stay free.

    Raises OSError.
    """

SPARE_SLOTS: Final = 16
"""How many more processes must find space for their slots once a block has its own:
figures about 2,000 backends shall not keep the last worker from starting."""

_NOTHING: Final = memoryview(bytes(BLOCK_CELLS * CELL_BYTES)).cast("Q")


@dataclass(frozen=True, slots=True)
class RowCells:
    """Where a process counts what it does for one backend; all are indices of cells.

    `block` is the first of the `lb.shm.layout.Counter`s, so it is where attempts are
    counted; `id` is the backend's, 0 for none. `retrying` counts requests that go
    elsewhere because of it.  `faults` and `streak` are stored by `lb.shm.faults` only.
    """

    id: int
    in_flight: int
    connect_failures: int
    block: int
    retrying: int
    faults: int = -1
    streak: int = -1


def claim(
    cells: Cells,
    geometry: Geometry,
    reserve: Reserve,
    *,
    slot: int,
    row: int,
    row_id: int,
) -> RowCells:
    """The cells of the backend `row_id` in `row`, all zero if they were another's.

    IN_FLIGHT and RETRYING stay as they are: requests of the row's last backend may
    still be under way in this process.  Costs 8 us for a new row.

    Raises:
        OSError: there is no space for the block.
    """
    owner = geometry.column(slot, Column.OWNER) + row
    block = geometry.block(slot, row)
    if cells[owner] != row_id:
        cells[owner] = 0
        for column in (Column.CONNECT_FAILURES, Column.FAULTS, Column.STREAK):
            cells[geometry.column(slot, column) + row] = 0
        spare = SPARE_SLOTS * geometry.furnished_cells
        reserve(block, BLOCK_CELLS, spare)
        cells[block : block + BLOCK_CELLS] = _NOTHING
        cells[owner] = row_id
    return _row_cells(geometry, slot=slot, row=row, row_id=row_id, block=block)


def unkept(geometry: Geometry, *, slot: int, row: int, row_id: int) -> RowCells:
    """The same for a backend whose figures have no space: they are counted away."""
    nobody = geometry.nobody(slot)
    return _row_cells(geometry, slot=slot, row=row, row_id=row_id, block=nobody)


def _row_cells(
    geometry: Geometry, *, slot: int, row: int, row_id: int, block: int
) -> RowCells:
    return RowCells(
        id=row_id,
        in_flight=geometry.column(slot, Column.IN_FLIGHT) + row,
        connect_failures=geometry.column(slot, Column.CONNECT_FAILURES) + row,
        block=block,
        retrying=geometry.column(slot, Column.RETRYING) + row,
        faults=geometry.column(slot, Column.FAULTS) + row,
        streak=geometry.column(slot, Column.STREAK) + row,
    )


def no_backend(geometry: Geometry, *, slot: int) -> RowCells:
    """Where requests are counted that never had a backend; nothing is in flight."""
    nobody = geometry.nobody(slot)
    none = geometry.no_backend(slot)
    return RowCells(0, nobody, nobody, none, nobody, nobody, nobody)


def in_flight_cell(geometry: Geometry, slot: int, row: int) -> int:
    """The cell that counts a row's requests under way."""
    return geometry.column(slot, Column.IN_FLIGHT) + row
