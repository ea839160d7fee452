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
from lb.shm.layout import ADDRESS_CELLS, GROUP_CELLS, NAME_CELLS, Cells, Head, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lb.shm.geometry import Geometry

MAX_WEIGHT = (1 << 32) - 1
DEFAULT_GROUP = "default"
GROUP_TRIES = 8
"""A name is read in 1 us; so often in a row nobody moves a backend meanwhile."""


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
    group = _read_group(cells, at)
    limit, backup = cells[at + Row.MAX_IN_FLIGHT], cells[at + Row.BACKUP]
    wish = cells[at + Row.WISH]
    if cells[at + Row.ID] != row_id:
        return None
    where = _address(address, row)
    backend = Backend(name, where, weight, group, limit, bool(backup))
    return TableRow(row=row, id=row_id, backend=backend, wish=_wish(wish))


def _read_group(cells: Cells, at: int) -> str:
    text = ""
    for _ in range(GROUP_TRIES):
        cell = cells[at + Row.GROUP]
        turn, length = divmod(cell, 256)
        where = Row.GROUP_ODD if turn % 2 else Row.GROUP_EVEN
        text = read_text(cells, at + where, GROUP_CELLS, length)
        if cells[at + Row.GROUP] == cell:
            break
    return text or DEFAULT_GROUP


def _write_group(cells: Cells, at: int, group: str) -> None:
    """Store a set's name so that no reader sees half of it."""
    turn = cells[at + Row.GROUP] // 256 + 1
    where = Row.GROUP_ODD if turn % 2 else Row.GROUP_EVEN
    length = write_text(cells, at + where, GROUP_CELLS, group)
    cells[at + Row.GROUP] = turn * 256 + length


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
        StateFileError: for what has no room, and for two backends of the same name
            and address.
    """
    for backend in backends:
        _check(backend.name, NAME_CELLS, "name")
        _check(str(backend.address), ADDRESS_CELLS, "address")
        _check(backend.group, GROUP_CELLS, "set")
        _check_number(backend, backend.weight, "weight")
        _check_number(backend, backend.max_in_flight, "max_in_flight")
    if len({identity(backend) for backend in backends}) != len(backends):
        raise StateFileError("two backends have the same name and address")


def _check(text: str, room_cells: int, what: str) -> None:
    size = len(text.encode("utf-8", "replace"))
    if size > room_cells * 8:
        raise StateFileError(
            f"a backend's {what} has {size} bytes, at most {room_cells * 8} fit:"
            f" {text[:40]}..."
        )


def _check_number(backend: Backend, number: int, what: str) -> None:
    if not 0 <= number <= MAX_WEIGHT:
        raise StateFileError(
            f"backend {backend.name}: {what} {number} must be from 0 to {MAX_WEIGHT}"
        )


def identity(backend: Backend) -> tuple[str, Address]:
    """What makes two backends the same one; all else may change."""
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
            _write_changeable(cells, at, stays)
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
    _write_changeable(cells, at, backend)
    cells[at + Row.WISH] = Wish.READY
    cells[Head.LAST_ID] += 1
    cells[at + Row.ID] = cells[Head.LAST_ID]


def _write_changeable(cells: Cells, at: int, backend: Backend) -> None:
    """Store what may change while the backend stays the same one."""
    cells[at + Row.WEIGHT] = backend.weight
    cells[at + Row.MAX_IN_FLIGHT] = backend.max_in_flight
    cells[at + Row.BACKUP] = int(backend.backup)
    if _read_group(cells, at) != backend.group:
        _write_group(cells, at, backend.group)


def write_wish(cells: Cells, geometry: Geometry, row: TableRow, wish: Wish) -> None:
    """Store what the operator wants of a row's backend."""
    cells[geometry.row(row.row) + Row.WISH] = wish
    cells[Head.TABLE_GENERATION] += 1
