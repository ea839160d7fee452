"""All that the shared file says of the backends, copied into plain values.

This is what processes build their views from and what `lb status` prints.  It
costs about 10 us a backend, so it is taken when the generation changed, not for
each request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lb.shm.record import (
    NEVER,
    NEW,
    NOTHING,
    Memory,
    ProbeRecord,
    Standing,
    Tally,
    read_record,
)
from lb.shm.table import read_rows

if TYPE_CHECKING:
    from lb.model import Backend, Verdict, Wish
    from lb.shm.geometry import Geometry
    from lb.shm.layout import Cells


@dataclass(frozen=True, slots=True)
class BackendState:
    """One backend as the shared file knows it.

    `row` is its place while it stays; `id` is never given to another backend.
    `since` is the unix time of the verdict in seconds, 0.0 while there is none,
    and `reason` the sentence that went with it.  `probes` are the last 10, from
    the oldest on.  `settings_weight` and `cut_at` are `TableRow`'s, `standing`,
    `memory` and `tally` what the checker says beside the verdict.
    """

    row: int
    id: int
    backend: Backend
    verdict: Verdict
    since: float
    reason: str
    wish: Wish
    probes: tuple[ProbeRecord, ...]
    settings_weight: int | None = None
    cut_at: float = 0.0
    standing: Standing = NEW
    memory: Memory = NOTHING
    tally: Tally = NEVER

    @property
    def last_probe(self) -> ProbeRecord | None:
        """The newest probe."""
        return self.probes[-1] if self.probes else None


def read_backends(cells: Cells, geometry: Geometry) -> list[BackendState]:
    """Every backend of the table, by row."""
    states = []
    for row in read_rows(cells, geometry):
        record = read_record(cells, geometry.row(row.row), row.id)
        states.append(
            BackendState(
                row=row.row,
                id=row.id,
                backend=row.backend,
                verdict=record.standing.verdict,
                since=record.since,
                reason=record.reason,
                wish=row.wish,
                probes=record.probes,
                settings_weight=row.settings_weight,
                cut_at=row.cut_at,
                standing=record.standing,
                memory=record.memory,
                tally=record.tally,
            )
        )
    return states
