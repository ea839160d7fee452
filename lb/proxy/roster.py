"""The backends as this process sees them: a view that follows the shared file.

One or two cell reads per request tell whether anything changed; only then is the
table read again. A backend that stays keeps its connections; one that is down,
draining or gone loses its idle ones at once (kept, they would hang its own graceful
stop, and lead later requests to a dead server).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lb.balance.ask import NO_ASK
from lb.errors import UnavailableError
from lb.model import Verdict, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lb.balance.policy import Policy
    from lb.model import Backend
    from lb.shm import BackendState, SharedFile, Slot
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
        self._lock = threading.Lock()
        self._by_id: dict[int, LiveBackend] = {}
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
            # Read before the table: a change meanwhile is then seen once more.
            seen = self._file.generation()
            by_id = {s.id: self._refreshed(s) for s in self._file.backends()}
            for gone in self._by_id.keys() - by_id.keys():
                self._by_id[gone].is_usable = False
            for backend in [*self._by_id.values(), *by_id.values()]:
                if not backend.is_usable:
                    backend.close_idle()
            self._by_id = by_id
            candidates = [b for b in by_id.values() if b.is_usable]
            weights = [b.weight for b in candidates]
            changed = candidates != self._candidates or weights != self._weights
            # A thread that has just seen candidates may be about to ask the policy,
            # which cannot choose among none: then it keeps those it had.
            if candidates and changed:
                self._policy.update(candidates)
            self._weights = weights
            self._candidates = candidates
            self._seen = seen
            self._slot.see(seen)

    def _refreshed(self, state: BackendState) -> LiveBackend:
        """This process's object for a row of the table, brought up to date."""
        live = self._by_id.get(state.id) or self._make(state.backend)
        live.id, live.row = state.id, state.row
        live.weight = state.backend.weight
        live.in_flight_cell = self._slot.in_flight_cell(state.row)
        live.requests_cell = self._slot.requests_cell(state.row)
        live.failures_cell = self._slot.failures_cell(state.row)
        live.is_usable = state.verdict is not Verdict.DOWN and state.wish is Wish.READY
        return live

    def close(self) -> None:
        """Close every idle connection."""
        for backend in self._by_id.values():
            backend.close_idle()
