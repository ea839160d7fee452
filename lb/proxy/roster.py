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

from lb.balance.ask import NO_ASK
from lb.errors import UnavailableError
from lb.model import Verdict, Wish
from lb.shm import verdict_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lb.balance.policy import Policy
    from lb.model import Backend
    from lb.shm import SharedFile, Slot, TableRow
    from lb.upstream.backend import LiveBackend


class Roster:
    """Chooses backends for the requests of one process."""

    def __init__(
        self,
        file: SharedFile,
        slot: Slot,
        policy: Policy[LiveBackend],
        make: Callable[[Backend], LiveBackend],
    ) -> None:
        self._file = file
        self._slot = slot
        self._policy = policy
        self._make = make
        self._cells = file.cells
        self._cell_a, self._cell_b = file.generation_cells
        self._seen = -1
        self._table_seen = -1
        self._lock = threading.Lock()
        self._by_id: dict[int, LiveBackend] = {}
        self._by_row: list[LiveBackend | None] = []
        self._ready_ids: set[int] = set()
        self._verdicts: list[int] = []
        self._candidates: list[LiveBackend] = []
        self._weights: list[int] = []

    @property
    def backends(self) -> Collection[LiveBackend]:
        """Every backend of the table, usable or not, as last read."""
        return self._by_id.values()

    def first(self) -> LiveBackend:
        """The backend for a first attempt. O(1): 0.5 us, two cells and the policy.

        Raises:
            UnavailableError: none may be used now.
        """
        cells = self._cells
        if cells[self._cell_a] + cells[self._cell_b] != self._seen:
            self._rebuild()
        if not self._candidates:
            raise UnavailableError("no backend is up and ready")
        return self._policy.choose(NO_ASK)

    def refresh(self) -> None:
        """Follow the table also while no request asks for a backend.

        Idle connections to one that is down or drains are closed, and the slot tells
        which generation was seen.
        """
        if self._file.generation() != self._seen:
            self._rebuild()

    def another(self, tried: Sequence[LiveBackend]) -> LiveBackend | None:
        """The backend for a retry, none of `tried`; None if none is left. O(n).

        Which one is the policy's second choice.
        """
        self.refresh()
        if not self._candidates:
            return None
        return self._policy.choose_without(NO_ASK, tried)

    def _rebuild(self) -> None:
        with self._lock:
            # Read before the rows: a change meanwhile is then seen once more.
            table = self._cells[self._cell_a]
            seen = table + self._cells[self._cell_b]
            is_new = table != self._table_seen
            if is_new:
                self._read_table()
                self._table_seen = table
            if self._read_verdicts() or is_new:
                self._tell_policy()
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
            self._by_id[gone].is_usable = False
            self._by_id[gone].close_idle()
        self._by_id = by_id
        self._ready_ids = {row.id for row in rows if row.wish is Wish.READY}
        self._by_row = [None] * self._file.geometry.rows
        for live in by_id.values():
            self._by_row[live.row] = live
        self._verdicts = [-1] * len(self._by_row)  # like no cell

    def _read_verdicts(self) -> bool:
        """Whether any backend became usable or ceased to be so."""
        before, self._verdicts = self._verdicts, self._file.verdict_cells()
        rows = zip(self._by_row, self._verdicts, strict=True)
        changed = False
        for live, cell in compress(rows, map(ne, before, self._verdicts)):
            if live is None:
                continue
            is_ready = live.id in self._ready_ids
            is_usable = is_ready and verdict_in(cell, live.id) is not Verdict.DOWN
            changed = changed or is_usable != live.is_usable
            live.is_usable = is_usable
        return changed

    def _tell_policy(self) -> None:
        candidates = [b for b in self._by_id.values() if b.is_usable]
        weights = [b.weight for b in candidates]
        changed = candidates != self._candidates or weights != self._weights
        # A thread that has just seen candidates may be about to ask the policy,
        # which cannot choose among none: then it keeps those it had.
        if candidates and changed:
            self._policy.update(candidates)
        self._weights = weights
        self._candidates = candidates

    def _refreshed(self, row: TableRow) -> LiveBackend:
        """This process's object for a row of the table, brought up to date."""
        live = self._by_id.get(row.id) or self._make(row.backend)
        live.id, live.row = row.id, row.row
        live.weight = row.backend.weight
        live.in_flight_cell = self._slot.in_flight_cell(row.row)
        live.requests_cell = self._slot.requests_cell(row.row)
        live.failures_cell = self._slot.failures_cell(row.row)
        return live

    def close(self) -> None:
        """Close every idle connection."""
        for backend in self._by_id.values():
            backend.close_idle()
