"""What the leader writes about a row's backend: its standing, and why it is so.

A standing is one cell, so every process sees all of it change at once: the verdict,
whether traffic got the backend ejected, whether anybody listens there, and which share
of its weight it gets.  All else is for people and for the next leader, who goes on from
it: the reason, the last ten probes, and the memory of ejections and changes.

PROBE, in a row's RING; probe n of PROBES is at n mod 10.
       0     1 leader   AT           time of its end
       1     1 leader   DURATION
       2     1 leader   OK           0 or 1
       3     1 leader   DETAIL_BYTES
       4     8 leader   DETAIL
      12     1 leader   CONNECTED    duration of the connect + 1; 0: it failed
      13     1 leader   ANSWERED     from there to the answer's head + 1; 0: none
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

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
    EJECT_WHY_CELLS,
    PROBE_CELLS,
    REASON_CELLS,
    RING_SIZE,
    Cells,
    Row,
)

FULL_SHARE: Final = 100
NOT_REACHED: Final = -1.0
"""A phase of a probe that it did not come to."""

_ID_BITS: Final = 16
_VERDICT: Final = 3
_EJECTED: Final = 4
_GONE: Final = 8
_SHARE_BITS: Final = 8


class Probe(IntEnum):
    """Cells of one probe in a row's ring, from the probe's first."""

    AT = 0
    DURATION = 1
    OK = 2
    DETAIL_BYTES = 3
    DETAIL = 4
    CONNECTED = 12
    ANSWERED = 13


class Cause(IntEnum):
    """What got a backend ejected; the number is the stored cell."""

    NONE = 0
    CONNECT = 1
    """Connects fail, or did at a probe: a passing probe shows that it is well."""
    ANSWER = 2
    """No answer, none in time, a garbled one, or a status that counts."""
    BODY = 3
    """Answers whose body ends too early: no probe would see that."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All that serving needs to know of a backend; `share` is percent of its weight.

    `is_gone`: the last probe could not even connect.  Share 0: it asks for no
    requests.
    """

    verdict: Verdict = Verdict.UNKNOWN
    is_ejected: bool = False
    is_gone: bool = False
    share: int = FULL_SHARE

    @property
    def is_good(self) -> bool:
        """Whether neither probes nor traffic speak against it."""
        return self.verdict is not Verdict.DOWN and not self.is_ejected


NEW: Final = Standing()
"""Of a backend that no leader has said anything about."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the next leader must know of a backend, and people may; unix seconds.

    `ejections` are those lately; `ejected_until` is when the last one ends or ended.
    `warm_since` is when a slow start began, `held_until` until when the backend is
    held down for the `holds`-th time in a row, 0.0 for neither; `changes` are those of
    its verdict, lately; `asked` is the share that it asks for itself, None for none.
    """

    ejections: int = 0
    ejected_at: float = 0.0
    ejected_until: float = 0.0
    cause: Cause = Cause.NONE
    why: str = ""
    """Why it is ejected, or why not though traffic speaks against it."""
    warm_since: float = 0.0
    held_until: float = 0.0
    holds: int = 0
    changes: int = 0
    asked: int | None = None


NOTHING: Final = Memory()


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """One probe's result; `at` is the unix time of its end, in seconds."""

    at: float
    duration_s: float
    ok: bool
    detail: str
    """What happened, in a few words: at most 64 bytes of it are kept."""
    connect_s: float = NOT_REACHED
    head_s: float = NOT_REACHED
    """From connected to the answer's head."""
    asked: int | None = None
    """The share of its weight that the backend asks for; not kept in the ring."""

    @property
    def is_connected(self) -> bool:
        """Whether somebody listens there."""
        return self.ok or self.connect_s >= 0


class Tally(NamedTuple):
    """What there ever was of a backend: probes with their seconds, ejections."""

    probes: int = 0
    failed: int = 0
    probing_s: float = 0.0
    ejections: int = 0


NEVER: Final = Tally()


@dataclass(frozen=True, slots=True)
class Record:
    """All that the leader left about a row; `probes` from the oldest on.

    `tally` is counted as they are written, and not taken from a record.
    """

    standing: Standing = NEW
    since: float = 0.0
    reason: str = ""
    probes: tuple[ProbeRecord, ...] = ()
    memory: Memory = NOTHING
    tally: Tally = field(default=NEVER, compare=False)


def read_record(cells: Cells, at: int, row_id: int) -> Record:
    """What is known of the backend `row_id` in the row at cell `at`.

    The standing is always right; the rest is left out while, after many tries,
    the record is not whole (its writer died in the middle).
    """

    def read() -> Record:
        standing = standing_in(cells[at + Row.VERDICT], row_id)
        if cells[at + Row.RECORD_ID] != row_id:
            return Record(standing)
        length = cells[at + Row.REASON_BYTES]
        return Record(
            standing,
            seconds(cells[at + Row.SINCE]),
            read_text(cells, at + Row.REASON, REASON_CELLS, length),
            _read_ring(cells, at),
            _read_memory(cells, at),
            _read_tally(cells, at),
        )

    whole = read_whole(cells, at + Row.SEQUENCE, read)
    if whole is None:
        return Record(standing_in(cells[at + Row.VERDICT], row_id))
    return whole


def standing_in(cell: int, row_id: int) -> Standing:
    """What a VERDICT cell says of the backend `row_id`; of another's nothing."""
    verdict = cell & _VERDICT
    if cell >> _ID_BITS != row_id or verdict >= len(Verdict):
        return NEW
    share = cell >> _SHARE_BITS & 0x7F
    return Standing(Verdict(verdict), bool(cell & _EJECTED), bool(cell & _GONE), share)


def verdict_in(cell: int, row_id: int) -> Verdict:
    """The verdict alone."""
    return standing_in(cell, row_id).verdict


def standing_cell(standing: Standing, row_id: int) -> int:
    """The VERDICT cell that says so of the backend `row_id`."""
    flags = _EJECTED * standing.is_ejected + _GONE * standing.is_gone
    low = standing.share << _SHARE_BITS | flags | standing.verdict
    return row_id << _ID_BITS | low


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
        connect_s=_phase(cells[at + Probe.CONNECTED]),
        head_s=_phase(cells[at + Probe.ANSWERED]),
    )


def _phase(cell: int) -> float:
    return seconds(cell - 1) if cell else NOT_REACHED


def _phase_cell(phase_s: float) -> int:
    return microseconds(phase_s) + 1 if phase_s >= 0 else 0


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
    cells[at + Probe.CONNECTED] = _phase_cell(probe.connect_s)
    cells[at + Probe.ANSWERED] = _phase_cell(probe.head_s)


def write_verdict(cells: Cells, at: int, row_id: int, record: Record) -> None:
    """Store standing, time, reason and memory; the probes stay as they are."""
    with writing(cells, at + Row.SEQUENCE):
        _claim(cells, at, row_id)
        cells[at + Row.SINCE] = microseconds(record.since)
        cells[at + Row.REASON_BYTES] = write_text(
            cells, at + Row.REASON, REASON_CELLS, record.reason
        )
        _write_memory(cells, at, record.memory)
        before = standing_in(cells[at + Row.VERDICT], row_id)
        if record.standing.is_ejected and not before.is_ejected:
            cells[at + Row.EJECTED] += 1
        cells[at + Row.VERDICT] = standing_cell(record.standing, row_id)


def _read_tally(cells: Cells, at: int) -> Tally:
    return Tally(
        cells[at + Row.PROBES],
        cells[at + Row.FAILED],
        seconds(cells[at + Row.PROBE_TIME]),
        cells[at + Row.EJECTED],
    )


def _read_memory(cells: Cells, at: int) -> Memory:
    cause, asked = cells[at + Row.EJECT_CAUSE], cells[at + Row.ASKED]
    length = cells[at + Row.EJECT_BYTES]
    return Memory(
        ejections=cells[at + Row.EJECTIONS],
        ejected_at=seconds(cells[at + Row.EJECTED_AT]),
        ejected_until=seconds(cells[at + Row.EJECTED_UNTIL]),
        cause=Cause(cause) if cause < len(Cause) else Cause.NONE,
        why=read_text(cells, at + Row.EJECT_WHY, EJECT_WHY_CELLS, length),
        warm_since=seconds(cells[at + Row.WARM_SINCE]),
        held_until=seconds(cells[at + Row.HELD_UNTIL]),
        holds=cells[at + Row.HOLDS],
        changes=cells[at + Row.CHANGES],
        asked=asked - 1 if asked else None,
    )


def _write_memory(cells: Cells, at: int, memory: Memory) -> None:
    cells[at + Row.EJECTIONS] = memory.ejections
    cells[at + Row.EJECTED_AT] = microseconds(memory.ejected_at)
    cells[at + Row.EJECTED_UNTIL] = microseconds(memory.ejected_until)
    cells[at + Row.EJECT_CAUSE] = memory.cause
    cells[at + Row.EJECT_BYTES] = write_text(
        cells, at + Row.EJECT_WHY, EJECT_WHY_CELLS, memory.why
    )
    cells[at + Row.WARM_SINCE] = microseconds(memory.warm_since)
    cells[at + Row.HELD_UNTIL] = microseconds(memory.held_until)
    cells[at + Row.HOLDS] = memory.holds
    cells[at + Row.CHANGES] = memory.changes
    cells[at + Row.ASKED] = 0 if memory.asked is None else memory.asked + 1


def _claim(cells: Cells, at: int, row_id: int) -> None:
    """Empty the record if it is about a backend that was in this row before."""
    if cells[at + Row.RECORD_ID] != row_id:
        clear_record(cells, at)
        cells[at + Row.RECORD_ID] = row_id


def clear_record(cells: Cells, at: int) -> None:
    """Forget texts, probes and memory; the standing is a cell of its own."""
    forgotten = (Row.RECORD_ID, Row.SINCE, Row.REASON_BYTES, Row.PROBES)
    for cell in (*forgotten, Row.FAILED, Row.PROBE_TIME, Row.EJECTED):
        cells[at + cell] = 0
    _write_memory(cells, at, NOTHING)


def mend_record(cells: Cells, at: int) -> bool:
    """Make a record readable whose writer died in the middle; whether it was so.

    Only for the leader: a record is never half written while nobody leads.
    """
    if not cells[at + Row.SEQUENCE] & 1:
        return False
    with writing(cells, at + Row.SEQUENCE):
        clear_record(cells, at)
    return True
