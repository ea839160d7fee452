"""The rows of the shared file that say which backends there are.

Every function that stores is for the holder of the builder lock.  A row that
keeps its backend keeps its index and id; a new backend gets a fresh id, which is
stored last, and the table's generation is raised after the last row.  Verdicts
are the leader's and live in other cells of the same row.

What operators change at run time (`lb.shm.edit`) and what the settings say are kept
apart, so that publishing settings changes only what is new in them: a backend that
was added, removed or given another weight at run time stays so until the settings
say something else about it than they did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lb.errors import StateFileError
from lb.model import Address, Backend, Wish
from lb.shm.cells import microseconds, read_text, seconds, write_text
from lb.shm.events import EventKind, Happening, Ring, write_event
from lb.shm.layout import ADDRESS_CELLS, GROUP_CELLS, NAME_CELLS, Cells, Head, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lb.shm.geometry import Geometry

MAX_WEIGHT = (1 << 32) - 1
DEFAULT_GROUP = "default"
SETTINGS = "settings"
"""Who changed what changed settings brought."""
GROUP_TRIES = 8
"""A name is read in 1 us; so often in a row nobody moves a backend meanwhile."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row in use: which backend lives there, and what is wished of it.

    `settings_weight` is what the settings say its weight is, None if they do not name
    it.  `cut_at` is when what is in flight there is cut, in unix seconds; 0.0: never.
    """

    row: int
    id: int
    backend: Backend
    wish: Wish
    settings_weight: int | None = None
    cut_at: float = 0.0


def read_row(cells: Cells, geometry: Geometry, row: int) -> TableRow | None:
    """The row, or None if it is empty or changed hands while it was read."""
    at = geometry.row(row)
    row_id = cells[at + Row.ID]
    if not row_id:
        return None
    traits = _read_traits(cells, at)
    wish, configured = cells[at + Row.WISH], cells[at + Row.CONFIGURED]
    cut_at = cells[at + Row.CUT_AT]
    if cells[at + Row.ID] != row_id:
        return None
    return TableRow(
        row=row,
        id=row_id,
        backend=_backend(row, *traits),
        wish=_wish(wish),
        settings_weight=configured - 1 if configured else None,
        cut_at=seconds(cut_at),
    )


Traits = tuple[str, str, int, str, int, bool]
"""What a backend is made of, in the order of its fields; the address not parsed."""


def _read_traits(cells: Cells, at: int) -> Traits:
    """What the row at cell `at` says of its backend, perhaps while it is written."""
    return (
        read_text(cells, at + Row.NAME, NAME_CELLS, cells[at + Row.NAME_BYTES]),
        read_text(
            cells, at + Row.ADDRESS, ADDRESS_CELLS, cells[at + Row.ADDRESS_BYTES]
        ),
        cells[at + Row.WEIGHT],
        _read_group(cells, at),
        cells[at + Row.MAX_IN_FLIGHT],
        bool(cells[at + Row.BACKUP]),
    )


def _backend(row: int, name: str, address: str, *traits: Any) -> Backend:
    """A backend of traits that were read whole."""
    return Backend(name, _address(address, row), *traits)


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


def read_labels(
    cells: Cells, geometry: Geometry
) -> Iterator[tuple[int, str, str, str]]:
    """The id, name, address and set of each backend, a third of `read_rows`' time."""
    for row, row_id in enumerate(read_ids(cells, geometry)):
        at = geometry.row(row)
        name, address, _, group, *_ = _read_traits(cells, at) if row_id else ("",) * 4
        if row_id and cells[at + Row.ID] == row_id:
            yield row_id, name, address, group


def read_removed(cells: Cells, geometry: Geometry) -> Iterator[TableRow]:
    """The backends that the settings name and that were removed at run time.

    Each in the row that it had, with id 0 and the weight of the settings.
    """
    for row, row_id in enumerate(read_ids(cells, geometry)):
        at = geometry.row(row)
        configured = cells[at + Row.CONFIGURED]
        if row_id or not configured:
            continue
        traits = _read_traits(cells, at)
        # Cleared before the row gets another backend's text.
        if cells[at + Row.CONFIGURED] == configured and not cells[at + Row.ID]:
            weight = configured - 1
            backend = replace(_backend(row, *traits), weight=weight)
            yield TableRow(row, 0, backend, Wish.READY, settings_weight=weight)


def read_configured(cells: Cells, geometry: Geometry) -> Iterator[TableRow]:
    """The backends as the settings gave them, whatever was changed at run time."""
    yield from read_removed(cells, geometry)
    for row in read_rows(cells, geometry):
        if row.settings_weight is not None:
            backend = replace(row.backend, weight=row.settings_weight)
            yield replace(row, backend=backend)


def read_cuts(cells: Cells, geometry: Geometry) -> dict[int, float]:
    """When what is in flight is cut, as unix seconds by row id, where it will be.

    2 us for 64 rows, 0.1 ms for 4,096.
    """
    first = geometry.row(0) + Row.CUT_AT
    column = cells[first : geometry.row(geometry.rows) : geometry.row_cells].tolist()
    if not any(column):
        return {}
    ids = read_ids(cells, geometry)
    cuts = zip(ids, column, strict=True)
    return {row_id: seconds(at) for row_id, at in cuts if row_id and at}


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


def require_room(cells: Cells, geometry: Geometry, backends: Sequence[Backend]) -> None:
    """Nothing, if there is a row for each that `write_rows` would leave.

    Raises:
        StateFileError: there are too many.
    """
    away = {identity(row.backend) for row in read_removed(cells, geometry)}
    stay = {
        identity(row.backend)
        for row in read_rows(cells, geometry)
        if row.settings_weight is None
    }
    wanted = {identity(backend) for backend in backends}
    if (count := len((wanted - away) | stay)) > geometry.rows:
        raise StateFileError(
            f"the state file has room for {geometry.rows} backends, not for"
            f" {count}: stop all processes that use it, then start again"
        )


def write_rows(cells: Cells, geometry: Geometry, backends: Sequence[Backend]) -> None:
    """Make the rows hold what settings say; the generation is stored last.

    What the settings say as they did before stays as it was changed at run time.

    Raises:
        StateFileError: when there are more backends than rows, before any store.
    """
    require_room(cells, geometry, backends)
    wanted = {identity(backend): backend for backend in backends}
    rows = list(read_rows(cells, geometry))
    for row in list(read_removed(cells, geometry)):
        _settle_removed(cells, geometry, row, wanted.pop(identity(row.backend), None))
    is_new = not cells[Head.TABLE_GENERATION]
    for row in rows:
        new = wanted.pop(identity(row.backend), None)
        _settle_row(cells, geometry, row, new)
        if (what := _settled(row, new)) is not None:
            write_event(cells, geometry, Ring.TABLE, what)
    for row_index, backend in zip(
        free_rows(cells, geometry), wanted.values(), strict=False
    ):
        at = geometry.row(row_index)
        move_in(cells, at, backend, configured=backend.weight + 1)
        if not is_new:
            write_event(cells, geometry, Ring.TABLE, newcomer(cells, backend, SETTINGS))
    cells[Head.TABLE_GENERATION] += 1


def newcomer(cells: Cells, backend: Backend, who: str) -> Happening:
    """What is to be told of the backend that was moved in last."""
    return Happening(
        EventKind.ADDED,
        cells[Head.LAST_ID],
        backend.name,
        after=backend.weight,
        reason=str(backend.address),
        who=who,
    )


def _settled(row: TableRow, new: Backend | None) -> Happening | None:
    """What is to be told of a row that settings say `new` of."""
    name, weight, said = row.backend.name, row.backend.weight, row.settings_weight
    if new is None and said is not None:
        return Happening(EventKind.REMOVED, row.id, name, weight, 0, who=SETTINGS)
    if new is None or new.weight in (said, weight):
        return None
    return Happening(EventKind.WEIGHT, row.id, name, weight, new.weight, who=SETTINGS)


def _settle_removed(
    cells: Cells, geometry: Geometry, row: TableRow, wanted: Backend | None
) -> None:
    """A backend removed at run time stays away while the settings name it."""
    at = geometry.row(row.row)
    if wanted is None:
        cells[at + Row.CONFIGURED] = 0
    else:
        _write_changeable(cells, at, wanted)
        cells[at + Row.CONFIGURED] = wanted.weight + 1


def _settle_row(
    cells: Cells, geometry: Geometry, row: TableRow, wanted: Backend | None
) -> None:
    """Bring a backend into line with what the settings newly say of it."""
    at = geometry.row(row.row)
    if wanted is None:
        if row.settings_weight is not None:
            move_out(cells, geometry, row)
        return
    is_said_anew = row.settings_weight != wanted.weight
    weight = wanted.weight if is_said_anew else row.backend.weight
    _write_changeable(cells, at, replace(wanted, weight=weight))
    cells[at + Row.CONFIGURED] = wanted.weight + 1


def move_out(
    cells: Cells, geometry: Geometry, row: TableRow, *, configured: int = 0
) -> None:
    """Empty a row; with `configured` it is known that the settings name its backend."""
    at = geometry.row(row.row)
    cells[at + Row.FREED] = cells[Head.TABLE_GENERATION] + 1
    cells[at + Row.ID] = 0
    cells[at + Row.CONFIGURED] = configured


def free_rows(cells: Cells, geometry: Geometry) -> list[int]:
    """The empty rows, from the one on that is empty for longest.

    Last come those of backends that were removed at run time, who are forgotten then.
    """

    def preference(row: int) -> tuple[bool, int]:
        at = geometry.row(row)
        return cells[at + Row.CONFIGURED] > 0, cells[at + Row.FREED]

    free = [row for row, row_id in enumerate(read_ids(cells, geometry)) if not row_id]
    return sorted(free, key=preference)


def move_in(cells: Cells, at: int, backend: Backend, *, configured: int) -> None:
    """Give the empty row at cell `at` to a backend; its id is stored last."""
    cells[at + Row.CONFIGURED] = 0
    cells[at + Row.NAME_BYTES] = write_text(
        cells, at + Row.NAME, NAME_CELLS, backend.name
    )
    cells[at + Row.ADDRESS_BYTES] = write_text(
        cells, at + Row.ADDRESS, ADDRESS_CELLS, str(backend.address)
    )
    _write_changeable(cells, at, backend)
    cells[at + Row.WISH] = Wish.READY
    cells[at + Row.CUT_AT] = 0
    cells[at + Row.CONFIGURED] = configured
    cells[Head.LAST_ID] += 1
    cells[at + Row.ID] = cells[Head.LAST_ID]


def _write_changeable(cells: Cells, at: int, backend: Backend) -> None:
    """Store what may change while the backend stays the same one."""
    cells[at + Row.WEIGHT] = backend.weight
    cells[at + Row.MAX_IN_FLIGHT] = backend.max_in_flight
    cells[at + Row.BACKUP] = int(backend.backup)
    if _read_group(cells, at) != backend.group:
        _write_group(cells, at, backend.group)


def write_wish(
    cells: Cells, geometry: Geometry, row: TableRow, wish: Wish, *, cut_at: float = 0.0
) -> None:
    """Store what the operator wants of a row's backend, and when the rest is cut."""
    at = geometry.row(row.row)
    cells[at + Row.CUT_AT] = microseconds(cut_at)
    cells[at + Row.WISH] = wish
