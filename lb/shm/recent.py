"""The flight recorder read: the last requests of every process, dead ones too.

Each slot keeps 1,024.  An entry that is being overwritten while it is read, or whose
writer died in the middle, is left out; every other one is whole.  Entries are
decoded one by one from the newest on, 14 us each, so whoever wants few pays for few.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from lb.shm.cells import read_whole
from lb.shm.labels import label_of
from lb.shm.layout import (
    CELL_BYTES,
    FACTS,
    REQUEST_CELLS,
    REQUESTS_KEPT,
    Cells,
    RequestCell,
)
from lb.shm.slots import used_slots
from lb.shm.table import read_ids, read_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.shm.geometry import Geometry


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One finished request.

    `began` is unix time, `number` counts the requests of its slot.  Phases are in
    seconds, None where the request did not come to it; `to_head_s` is of the last
    attempt, `total_s` of all.  `backend_id` is 0 where there was no backend, and
    `backend` its name, "" once it left the table; so with `tried`, the first three
    backends that failed the request.  `label` is "" where it ended well.  Texts are
    the beginnings of what they were, as latin-1.
    """

    slot: int
    number: int
    began: float
    request_id: str
    client: str
    method: str
    target: str
    status: int
    label: str
    backend_id: int
    backend: str
    attempts: int
    tried: tuple[int, ...]
    tried_names: tuple[str, ...]
    policy: str
    queued_s: float | None
    connect_s: float | None
    to_head_s: float | None
    total_s: float
    bytes_in: int
    bytes_out: int

    @property
    def ended(self) -> float:
        """Unix time of its end, in seconds."""
        return self.began + self.total_s


class Names:
    """Names of backends by id, each looked up once and only if it is asked for."""

    def __init__(self, cells: Cells, geometry: Geometry) -> None:
        self._cells = cells
        self._geometry = geometry
        self._rows = {
            row_id: row for row, row_id in enumerate(read_ids(cells, geometry))
        }
        self._known = {0: ""}

    def of(self, row_id: int) -> str:
        """The backend's name, or "" if the table has it no more."""
        if row_id not in self._known:
            row = self._rows.get(row_id)
            found = None if row is None else read_row(self._cells, self._geometry, row)
            has_it = found is not None and found.id == row_id
            self._known[row_id] = found.backend.name if found and has_it else ""
        return self._known[row_id]


class _Facts(NamedTuple):
    """A request's facts in the order of `FACTS`."""

    began: float
    backend: int
    bytes_in: int
    bytes_out: int
    tried_1: int
    tried_2: int
    tried_3: int
    queued_s: float
    connect_s: float
    to_head_s: float
    total_s: float
    status: int
    attempts: int
    label: int
    policy: bytes
    method: bytes
    request_id: bytes
    client: bytes
    target: bytes


def read_recent(cells: Cells, geometry: Geometry) -> Iterator[RequestRecord]:
    """The recorded requests of all slots, the one that ended last first."""
    names = Names(cells, geometry)
    rings = [
        _read_ring(cells, geometry, slot, names) for slot in used_slots(cells, geometry)
    ]
    return merge(*rings, key=lambda record: record.ended, reverse=True)


def _read_ring(
    cells: Cells, geometry: Geometry, slot: int, names: Names
) -> Iterator[RequestRecord]:
    """One slot's requests, the newest first."""
    ring = geometry.requests(slot)
    end = ring + REQUESTS_KEPT * REQUEST_CELLS
    written = cells[ring:end:REQUEST_CELLS].tolist()
    for mark in sorted(filter(None, written), reverse=True):
        # An odd mark is of one that is being written: perhaps it is whole by now.
        number = (mark - 1) // 2
        facts = _read_facts(cells, ring, number)
        if facts is not None:
            yield _record(facts, slot, number, names)


def _read_facts(cells: Cells, ring: int, number: int) -> _Facts | None:
    """The facts of a request, or None if they are not whole or another's by now."""
    at = ring + number % REQUESTS_KEPT * REQUEST_CELLS
    first, mark = at + RequestCell.FACTS, at + RequestCell.WRITTEN
    end = first + FACTS.size // CELL_BYTES
    found = read_whole(cells, mark, lambda: (cells[mark], cells[first:end].tobytes()))
    if found is None or found[0] != 2 * number + 2:
        return None
    return _Facts._make(FACTS.unpack(found[1]))


def _record(facts: _Facts, slot: int, number: int, names: Names) -> RequestRecord:
    tried = tuple(filter(None, (facts.tried_1, facts.tried_2, facts.tried_3)))
    return RequestRecord(
        slot=slot,
        number=number,
        began=facts.began,
        request_id=_text(facts.request_id),
        client=_text(facts.client),
        method=_text(facts.method),
        target=_text(facts.target),
        status=facts.status,
        label=label_of(facts.label),
        backend_id=facts.backend,
        backend=names.of(facts.backend),
        attempts=facts.attempts,
        tried=tried,
        tried_names=tuple(map(names.of, tried)),
        policy=_text(facts.policy),
        queued_s=_phase(facts.queued_s),
        connect_s=_phase(facts.connect_s),
        to_head_s=_phase(facts.to_head_s),
        total_s=facts.total_s,
        bytes_in=facts.bytes_in,
        bytes_out=facts.bytes_out,
    )


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("latin-1")


def _phase(seconds: float) -> float | None:
    return seconds if seconds >= 0 else None
