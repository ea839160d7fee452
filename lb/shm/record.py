"""What the leader knows of one row: its verdict, why, and the last probes.

The cells of one record, and how they are read whole and written; who may write
them is `lb.shm.leader`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

from lb.model import Verdict
from lb.shm.cells import (
    microseconds,
    read_text,
    read_whole,
    seconds,
    write_text,
    writing,
)
from lb.shm.layout import (
    DETAIL_CELLS,
    PROBE_CELLS,
    REASON_CELLS,
    RING_SIZE,
    Cells,
    Probe,
    Row,
)

VERDICT_BITS = 2


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """One probe's result; `at` is the unix time of its end, in seconds."""

    at: float
    duration_s: float
    ok: bool
    detail: str
    """What happened, in a few words: at most 64 bytes of it are kept."""


@dataclass(frozen=True, slots=True)
class Record:
    """All that the leader left about a row; `probes` from the oldest on.

    `probed` and `failed` are how many probes there ever were of this backend, and
    `probing_s` the seconds that all of them took.
    """

    verdict: Verdict = Verdict.UNKNOWN
    since: float = 0.0
    reason: str = ""
    probes: tuple[ProbeRecord, ...] = ()
    probed: int = 0
    failed: int = 0
    probing_s: float = 0.0


def read_record(cells: Cells, at: int, row_id: int) -> Record:
    """What is known of the backend `row_id` in the row at cell `at`.

    The verdict is always right; the rest is left out while, after many tries,
    the record is not whole (its writer died in the middle).
    """

    def read() -> Record:
        verdict = verdict_in(cells[at + Row.VERDICT], row_id)
        if cells[at + Row.RECORD_ID] != row_id:
            return Record(verdict)
        length = cells[at + Row.REASON_BYTES]
        return Record(
            verdict,
            seconds(cells[at + Row.SINCE]),
            read_text(cells, at + Row.REASON, REASON_CELLS, length),
            _read_ring(cells, at),
            cells[at + Row.PROBES],
            cells[at + Row.FAILED],
            seconds(cells[at + Row.PROBE_TIME]),
        )

    whole = read_whole(cells, at + Row.SEQUENCE, read)
    if whole is None:
        return Record(verdict_in(cells[at + Row.VERDICT], row_id))
    return whole


def verdict_in(cell: int, row_id: int) -> Verdict:
    """What a VERDICT cell says of the backend `row_id`; of another's it is unknown."""
    about, verdict = divmod(cell, 1 << VERDICT_BITS)
    known = about == row_id and verdict < len(Verdict)
    return Verdict(verdict) if known else Verdict.UNKNOWN


def _read_ring(cells: Cells, at: int) -> tuple[ProbeRecord, ...]:
    count = cells[at + Row.PROBES]
    oldest = max(0, count - RING_SIZE)
    return tuple(_read_probe(cells, _ring(at, n)) for n in range(oldest, count))


def _ring(at: int, number: int) -> int:
    return at + Row.RING + PROBE_CELLS * (number % RING_SIZE)


def _read_probe(cells: Cells, at: int) -> ProbeRecord:
    length = cells[at + Probe.DETAIL_BYTES]
    return ProbeRecord(
        at=seconds(cells[at + Probe.AT]),
        duration_s=seconds(cells[at + Probe.DURATION]),
        ok=cells[at + Probe.OK] != 0,
        detail=read_text(cells, at + Probe.DETAIL, DETAIL_CELLS, length),
    )


def write_probe(cells: Cells, at: int, row_id: int, probe: ProbeRecord) -> None:
    """Add a probe to the record in the row at cell `at`."""
    with writing(cells, at + Row.SEQUENCE):
        _claim(cells, at, row_id)
        count = cells[at + Row.PROBES]
        _write_probe(cells, _ring(at, count), probe)
        cells[at + Row.FAILED] += not probe.ok
        cells[at + Row.PROBE_TIME] += microseconds(probe.duration_s)
        cells[at + Row.PROBES] = count + 1


def _write_probe(cells: Cells, at: int, probe: ProbeRecord) -> None:
    cells[at + Probe.AT] = microseconds(probe.at)
    cells[at + Probe.DURATION] = microseconds(probe.duration_s)
    cells[at + Probe.OK] = int(probe.ok)
    cells[at + Probe.DETAIL_BYTES] = write_text(
        cells, at + Probe.DETAIL, DETAIL_CELLS, probe.detail
    )


def write_verdict(cells: Cells, at: int, row_id: int, record: Record) -> None:
    """Store the verdict, its time and its reason; the probes stay as they are."""
    with writing(cells, at + Row.SEQUENCE):
        _claim(cells, at, row_id)
        cells[at + Row.SINCE] = microseconds(record.since)
        cells[at + Row.REASON_BYTES] = write_text(
            cells, at + Row.REASON, REASON_CELLS, record.reason
        )
        cells[at + Row.VERDICT] = row_id << VERDICT_BITS | record.verdict


def _claim(cells: Cells, at: int, row_id: int) -> None:
    """Empty the record if it is about a backend that was in this row before."""
    if cells[at + Row.RECORD_ID] != row_id:
        clear_record(cells, at)
        cells[at + Row.RECORD_ID] = row_id


def clear_record(cells: Cells, at: int) -> None:
    """Forget the record's text and probes; the verdict is a cell of its own."""
    forgotten = (Row.RECORD_ID, Row.SINCE, Row.REASON_BYTES, Row.PROBES)
    for cell in (*forgotten, Row.FAILED, Row.PROBE_TIME):
        cells[at + cell] = 0


def mend_record(cells: Cells, at: int) -> bool:
    """Make a record readable whose writer died in the middle; whether it was so.

    Only for the leader: a record is never half written while nobody leads.
    """
    if not cells[at + Row.SEQUENCE] & 1:
        return False
    with writing(cells, at + Row.SEQUENCE):
        clear_record(cells, at)
    return True
