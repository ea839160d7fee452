"""The backends as this process sees them: a view that follows the shared file.

One or two cell reads per request tell whether anything changed. Verdicts change often
(2,000 backends get their first ones within seconds), so only they are compared then:
0.3 ms for 2,000 backends, where reading all that the file says of them took 90, in
each worker and for each verdict. The table itself is read again when the operator has
changed it.

A backend that stays keeps its connections; one that is down, draining or gone loses
its idle ones at once (kept, they would hang its own graceful stop, and lead later
requests to a dead server).
"""

from __future__ import annotations

import threading
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING

from lb.model import Wish
from lb.shm import standing_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lb.model import Backend
    from lb.proxy.backend_set import BackendSet
    from lb.shm import SharedFile, Slot, TableRow
    from lb.upstream.backend import LiveBackend


class Roster:
    """The backends of one process, sorted into its sets.

    `follow` is called before a changed table is read: it may change `sets`.
    """

    def __init__(
        self,
        file: SharedFile,
        slot: Slot,
        sets: Mapping[str, BackendSet],
        make: Callable[[Backend], LiveBackend],
        *,
        follow: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = file
        self._slot = slot
        self._sets = sets
        self._make = make
        self._follow = follow
        self._cells = file.cells
        self._cell_a, self._cell_b = file.generation_cells
        self._seen = -1
        self._table_seen = -1
        self._lock = threading.Lock()
        self._by_id: dict[int, LiveBackend] = {}
        self._by_row: list[LiveBackend | None] = []
        self._wishes: dict[int, Wish] = {}
        self._verdicts: list[int] = []

    @property
    def backends(self) -> Collection[LiveBackend]:
        """Every backend of the table, usable or not, as last read."""
        return self._by_id.values()

    def refresh(self) -> None:
        """Follow the table, as before each choice. 0.15 us where nothing changed.

        Idle connections to a backend that is down or drains are closed, and the slot
        tells which generation was seen.
        """
        cells = self._cells
        if cells[self._cell_a] + cells[self._cell_b] != self._seen:
            self._rebuild()

    def _rebuild(self) -> None:
        with self._lock:
            # Read before the rows: a change meanwhile is then seen once more.
            table = self._cells[self._cell_a]
            seen = table + self._cells[self._cell_b]
            is_new = table != self._table_seen
            if is_new:
                # First the settings, whose sets the rows are sorted into.
                self._follow()
                self._read_table()
                self._table_seen = table
            if self._read_verdicts() or is_new:
                self._tell_sets()
            for live in self._by_id.values():
                # Each time: a thread may have given one back at the very moment.
                if not live.is_usable:
                    live.close_idle()
            self._seen = seen
            self._slot.see(seen)

    def _read_table(self) -> None:
        """Follow added and removed backends, weights and wishes; all verdicts too."""
        rows = self._file.rows()
        by_id = {row.id: self._refreshed(row) for row in rows}
        for gone in self._by_id.keys() - by_id.keys():
            left = self._by_id[gone]
            left.is_usable, left.why_not = False, "removed"
            left.cells = self._slot.no_backend  # its own may soon be another's
            left.close_idle()
        self._by_id = by_id
        self._wishes = {row.id: row.wish for row in rows}
        self._by_row = [None] * self._file.geometry.rows
        for live in by_id.values():
            self._by_row[live.row] = live
        self._verdicts = [-1] * len(self._by_row)  # like no cell

    def _read_verdicts(self) -> bool:
        """Whether what is said of any backend changed."""
        before, self._verdicts = self._verdicts, self._file.verdict_cells()
        rows = zip(self._by_row, self._verdicts, strict=True)
        changed = False
        for live, cell in compress(rows, map(ne, before, self._verdicts)):
            if live is not None:
                wish = self._wishes.get(live.id, Wish.READY)
                changed |= live.heed(wish, standing_in(cell, live.id))
        return changed

    def _tell_sets(self) -> None:
        members: dict[str, list[LiveBackend]] = {name: [] for name in self._sets}
        for live in self._by_id.values():
            # A set that the settings do not have (any more) gets no requests.
            members.setdefault(live.group, []).append(live)
        for name, backend_set in self._sets.items():
            backend_set.update(members[name])

    def _refreshed(self, row: TableRow) -> LiveBackend:
        """This process's object for a row of the table, brought up to date."""
        live = self._by_id.get(row.id) or self._make(row.backend)
        live.id, live.row = row.id, row.row
        live.group = row.backend.group
        live.configure(row.backend)
        live.cells = self._slot.row(row.row, row.id)
        return live

    def close(self) -> None:
        """Close every idle connection."""
        for backend in self._by_id.values():
            backend.close_idle()
