"""The rows of the shared file that say which backends there are.

Every function that stores is for the holder of the builder lock.  A row that
keeps its backend keeps its index and id; a new backend gets a fresh id, which is
stored last, and the table's generation is raised after the last row.  Verdicts
are the leader's and live in other cells of the same row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lb.errors import StateFileError
from lb.model import Address, Backend, Wish
from lb.shm.cells import read_text, write_text
from lb.shm.layout import ADDRESS_CELLS, NAME_CELLS, Cells, Head, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lb.shm.geometry import Geometry

MAX_WEIGHT = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row in use: which backend lives there, and what is wished of it."""

    row: int
    id: int
    backend: Backend
    wish: Wish


def read_row(cells: Cells, geometry: Geometry, row: int) -> TableRow | None:
    """The row, or None if it is empty or changed hands while it was read."""
    at = geometry.row(row)
    row_id = cells[at + Row.ID]
    if not row_id:
        return None
    name = read_text(cells, at + Row.NAME, NAME_CELLS, cells[at + Row.NAME_BYTES])
    address = read_text(
        cells, at + Row.ADDRESS, ADDRESS_CELLS, cells[at + Row.ADDRESS_BYTES]
    )
    weight = cells[at + Row.WEIGHT]
    wish = cells[at + Row.WISH]
    if cells[at + Row.ID] != row_id:
        return None
    backend = Backend(name=name, address=_address(address, row), weight=weight)
    return TableRow(row=row, id=row_id, backend=backend, wish=_wish(wish))


def _address(text: str, row: int) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise StateFileError(
            f"the state file is damaged: row {row} has address {text!r}"
        ) from error


def _wish(cell: int) -> Wish:
    return Wish(cell) if cell < len(Wish) else Wish.READY


def read_ids(cells: Cells, geometry: Geometry) -> list[int]:
    """The ids of all rows, by index; 0 where a row is empty."""
    first = geometry.row(0) + Row.ID
    # A list, not the view: a view that a caller keeps would keep the file mapped.
    return cells[first : geometry.row(geometry.rows) : geometry.row_cells].tolist()


def read_rows(cells: Cells, geometry: Geometry) -> Iterator[TableRow]:
    """The rows in use, by index."""
    for row, row_id in enumerate(read_ids(cells, geometry)):
        found = read_row(cells, geometry, row) if row_id else None
        if found is not None:
            yield found


def check_backends(backends: Sequence[Backend]) -> None:
    """Nothing, if rows can hold all of these.

    Raises:
        StateFileError: for a name, address or weight without room, and for two
            backends of the same name and address.
    """
    for backend in backends:
        _check(backend.name, NAME_CELLS, "name")
        _check(str(backend.address), ADDRESS_CELLS, "address")
        if not 0 <= backend.weight <= MAX_WEIGHT:
            raise StateFileError(
                f"backend {backend.name}: weight {backend.weight} must be from 0"
                f" to {MAX_WEIGHT}"
            )
    if len({identity(backend) for backend in backends}) != len(backends):
        raise StateFileError("two backends have the same name and address")


def _check(text: str, room_cells: int, what: str) -> None:
    size = len(text.encode("utf-8", "replace"))
    if size > room_cells * 8:
        raise StateFileError(
            f"a backend's {what} has {size} bytes, at most {room_cells * 8} fit:"
            f" {text[:40]}..."
        )


def identity(backend: Backend) -> tuple[str, Address]:
    """What makes two backends the same one; the weight may change."""
    return backend.name, backend.address


def is_same(rows: Sequence[TableRow], backends: Sequence[Backend]) -> bool:
    """Whether the rows hold these backends, in whatever order."""
    have = {identity(row.backend): row.backend for row in rows}
    want = {identity(backend): backend for backend in backends}
    return have == want


def require_room(geometry: Geometry, backends: Sequence[Backend]) -> None:
    """Nothing, if there is a row for each of these.

    Raises:
        StateFileError: there are too many.
    """
    if len(backends) > geometry.rows:
        raise StateFileError(
            f"the state file has room for {geometry.rows} backends, not for"
            f" {len(backends)}: stop all processes that use it, then start again"
        )


def write_rows(cells: Cells, geometry: Geometry, backends: Sequence[Backend]) -> None:
    """Make the rows hold these backends; the generation is stored last.

    Raises:
        StateFileError: when there are more backends than rows, before any store.
    """
    require_room(geometry, backends)
    wanted = {identity(backend): backend for backend in backends}
    for row in list(read_rows(cells, geometry)):
        stays = wanted.pop(identity(row.backend), None)
        at = geometry.row(row.row)
        if stays is None:
            cells[at + Row.FREED] = cells[Head.TABLE_GENERATION] + 1
            cells[at + Row.ID] = 0
        else:
            cells[at + Row.WEIGHT] = stays.weight
    free = _free_rows(cells, geometry)
    for row_index, backend in zip(free, wanted.values(), strict=False):
        _move_in(cells, geometry, row_index, backend)
    cells[Head.TABLE_GENERATION] += 1


def _free_rows(cells: Cells, geometry: Geometry) -> list[int]:
    """The empty rows, from the one on that is empty for longest."""
    free = [row for row, row_id in enumerate(read_ids(cells, geometry)) if not row_id]
    return sorted(free, key=lambda row: cells[geometry.row(row) + Row.FREED])


def _move_in(cells: Cells, geometry: Geometry, row: int, backend: Backend) -> None:
    """Give an empty row to a backend; its id is stored last."""
    at = geometry.row(row)
    cells[at + Row.NAME_BYTES] = write_text(
        cells, at + Row.NAME, NAME_CELLS, backend.name
    )
    cells[at + Row.ADDRESS_BYTES] = write_text(
        cells, at + Row.ADDRESS, ADDRESS_CELLS, str(backend.address)
    )
    cells[at + Row.WEIGHT] = backend.weight
    cells[at + Row.WISH] = Wish.READY
    cells[Head.LAST_ID] += 1
    cells[at + Row.ID] = cells[Head.LAST_ID]


def write_wish(cells: Cells, geometry: Geometry, row: TableRow, wish: Wish) -> None:
    """Store what the operator wants of a row's backend."""
    cells[geometry.row(row.row) + Row.WISH] = wish
    cells[Head.TABLE_GENERATION] += 1
