"""Change the table of a file in use, as an operator wants it: one lock, one store.

    with edit_table(file) as table:
        for row in table.rows():
            table.set_wish(row, Wish.DRAIN)

All of it happens under the builder lock, and the table's generation is raised once,
at the end of the block, so every process sees it at its next request and together.
What is changed here is remembered apart from what the settings say (`lb.shm.table`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lb.errors import StateFileError
from lb.shm import table
from lb.shm.events import EventKind, Happening, Ring, write_event
from lb.shm.layout import LOCK_BUILDER, Cells, Head, Row
from lb.shm.locks import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.model import Backend, Wish
    from lb.shm.file import SharedFile
    from lb.shm.geometry import Geometry


class TableEditor:
    """Stores into the table for the holder of the builder lock; see `edit_table`.

    Each change becomes an event, by `who`.
    """

    def __init__(self, cells: Cells, geometry: Geometry, who: str = "") -> None:
        self._cells = cells
        self._geometry = geometry
        self._who = who
        self.is_changed = False

    def rows(self) -> list[table.TableRow]:
        """The backends there are now."""
        return list(table.read_rows(self._cells, self._geometry))

    def removed(self) -> list[table.TableRow]:
        """The backends that the settings name and that were removed at run time."""
        return list(table.read_removed(self._cells, self._geometry))

    def set_wish(self, row: table.TableRow, wish: Wish, *, cut_at: float = 0.0) -> None:
        """Store the wish; what is in flight is cut at `cut_at` (unix s; 0: never)."""
        at = self._at(row)
        before = self._cells[at + Row.WISH]
        table.write_wish(self._cells, self._geometry, row, wish, cut_at=cut_at)
        if before != wish:
            self._tell(EventKind.WISH, row, before, wish)

    def set_weight(self, row: table.TableRow, weight: int) -> None:
        """Store another weight. Raises StateFileError if it has no room."""
        table.check_backends([replace(row.backend, weight=weight)])
        at = self._at(row)
        before, self._cells[at + Row.WEIGHT] = self._cells[at + Row.WEIGHT], weight
        if before != weight:
            self._tell(EventKind.WEIGHT, row, before, weight)

    def add(self, backend: Backend) -> None:
        """Give a backend a row. O(rows).

        Raises:
            StateFileError: it has no room, or is there already.
        """
        table.check_backends([*(row.backend for row in self.rows()), backend])
        free = table.free_rows(self._cells, self._geometry)
        if not free:
            raise StateFileError(
                f"the state file has room for {self._geometry.rows} backends and no"
                " more: stop all processes that use it, then start again"
            )
        configured = self._reclaim(backend)
        at = self._geometry.row(free[0])
        self.is_changed = True
        table.move_in(self._cells, at, backend, configured=configured)
        what = table.newcomer(self._cells, backend, self._who)
        write_event(self._cells, self._geometry, Ring.TABLE, what)

    def _reclaim(self, backend: Backend) -> int:
        """What CONFIGURED says of a backend that comes back, and nobody else now."""
        for row in self.removed():
            if table.identity(row.backend) == table.identity(backend):
                cell = self._geometry.row(row.row) + Row.CONFIGURED
                configured, self._cells[cell] = self._cells[cell], 0
                return int(configured)
        return 0

    def remove(self, row: table.TableRow) -> None:
        """Take a backend out; requests that are under way there go on."""
        at = self._at(row)
        configured = self._cells[at + Row.CONFIGURED]
        table.move_out(self._cells, self._geometry, row, configured=configured)
        self._tell(EventKind.REMOVED, row, row.backend.weight, 0)

    def tell_demo(self, reason: str, row: table.TableRow | None = None) -> None:
        """Tell what a demo is to do, about a backend or none: nothing changes here."""
        name, key = (row.backend.name, row.id) if row else ("", 0)
        what = Happening(EventKind.DEMO, key, name, reason=reason, who=self._who)
        write_event(self._cells, self._geometry, Ring.TABLE, what)

    def _tell(
        self, kind: EventKind, row: table.TableRow, before: int, after: int
    ) -> None:
        what = Happening(kind, row.id, row.backend.name, before, after, who=self._who)
        write_event(self._cells, self._geometry, Ring.TABLE, what)

    def _at(self, row: table.TableRow) -> int:
        """The row's first cell, as something there changes now."""
        at = self._geometry.row(row.row)
        if self._cells[at + Row.ID] != row.id:
            raise StateFileError(f"{row.backend.name} is not in the table any more")
        self.is_changed = True
        return at


@contextmanager
def edit_table(file: SharedFile, *, who: str = "") -> Iterator[TableEditor]:
    """The block may change the table, for `who`; nobody else can meanwhile.

    Raises:
        StateFileError: the file was replaced since it was opened, or stays locked
            for 5 s.
    """
    with held(file.locks, LOCK_BUILDER):
        file.require_current()
        editor = TableEditor(file.cells, file.geometry, who)
        try:
            yield editor
        finally:
            # Also where the block failed midway: what it stored is in force.
            if editor.is_changed:
                file.cells[Head.TABLE_GENERATION] += 1
