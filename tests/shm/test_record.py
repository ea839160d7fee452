"""The leader's record of a row: round trips, ring, and what a death leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Verdict
from lb.shm.geometry import Geometry
from lb.shm.layout import RING_SIZE, Row
from lb.shm.record import (
    Cause,
    Memory,
    ProbeRecord,
    Record,
    Standing,
    mend_record,
    read_record,
    standing_cell,
    standing_in,
    write_probe,
    write_verdict,
)

GEOMETRY = Geometry(rows=2, slots=1)
AT = GEOMETRY.row(1)
TIMES = st.integers(0, 1 << 51).map(lambda us: us / 1e6)
PHASES = st.just(-1.0) | st.integers(0, 1 << 31).map(lambda us: us / 1e6)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
PROBES = st.builds(
    ProbeRecord,
    at=TIMES,
    duration_s=TIMES,
    ok=st.booleans(),
    detail=TEXTS.filter(lambda text: len(text.encode()) <= 64),
    connect_s=PHASES,
    head_s=PHASES,
)
SHARES = st.integers(0, 100)
STANDINGS = st.builds(
    Standing, st.sampled_from(Verdict), st.booleans(), st.booleans(), SHARES
)
MEMORIES = st.builds(
    Memory,
    ejections=st.integers(0, 99),
    ejected_at=TIMES,
    ejected_until=TIMES,
    cause=st.sampled_from(Cause),
    why=TEXTS.filter(lambda text: len(text.encode()) <= 96),
    warm_since=TIMES,
    held_until=TIMES,
    holds=st.integers(0, 99),
    changes=st.integers(0, 99),
    asked=st.none() | SHARES,
)


@pytest.fixture
def cells() -> memoryview:
    return some_cells()


def some_cells() -> memoryview:
    return memoryview(bytearray(GEOMETRY.file_bytes)).cast("Q")


@given(STANDINGS, TIMES, TEXTS, st.lists(PROBES, max_size=25), MEMORIES)
def test_a_record_is_read_as_it_was_written(
    standing: Standing,
    since: float,
    reason: str,
    probes: list[ProbeRecord],
    memory: Memory,
) -> None:
    """Standing, time, reason, memory, and the last ten probes from the oldest on."""
    cells = some_cells()
    for probe in probes:
        write_probe(cells, AT, 5, probe)
    write_verdict(cells, AT, 5, Record(standing, since, reason, memory=memory))
    kept = tuple(probes[-RING_SIZE:])
    assert read_record(cells, AT, 5) == Record(standing, since, reason, kept, memory)


@given(st.text(st.characters(codec="utf-8"), min_size=100, max_size=400))
def test_a_long_text_is_cut_between_letters(text: str) -> None:
    """What is read is a beginning of what was written, never a broken letter."""
    cells = some_cells()
    write_verdict(cells, AT, 1, Record(Standing(Verdict.UP), 1.0, text))
    reason = read_record(cells, AT, 1).reason
    assert text.startswith(reason)
    assert len(reason.encode()) >= min(len(text.encode()), 256 - 3)


def test_another_tenant_inherits_nothing(cells: memoryview) -> None:
    """A verdict about one id is none about the next id in that row."""
    write_probe(cells, AT, 1, ProbeRecord(1.0, 0.1, False, "refused"))
    write_verdict(cells, AT, 1, Record(Standing(Verdict.DOWN), 1.0, "gone"))
    assert read_record(cells, AT, 2) == Record()
    new = ProbeRecord(2.0, 0.2, True, "connected")
    write_probe(cells, AT, 2, new)
    assert read_record(cells, AT, 2) == Record(probes=(new,))
    assert read_record(cells, AT, 1).probes == ()


def test_a_record_that_stays_half_written_keeps_its_verdict(cells: memoryview) -> None:
    """Readers do not wait for a leader that died: they go on with the verdict."""
    write_verdict(cells, AT, 1, Record(Standing(Verdict.DOWN), 1.0, "gone"))
    cells[AT + Row.SEQUENCE] |= 1
    assert read_record(cells, AT, 1) == Record(Standing(Verdict.DOWN))


def test_the_next_leader_mends_it(cells: memoryview) -> None:
    """Text and probes are forgotten, the verdict is not, and writing works again."""
    write_verdict(cells, AT, 1, Record(Standing(Verdict.DOWN), 1.0, "gone"))
    assert not mend_record(cells, AT)
    cells[AT + Row.SEQUENCE] |= 1
    assert mend_record(cells, AT)
    assert read_record(cells, AT, 1) == Record(Standing(Verdict.DOWN))
    write_verdict(cells, AT, 1, Record(Standing(Verdict.UP), 2.0, "back"))
    assert read_record(cells, AT, 1) == Record(Standing(Verdict.UP), 2.0, "back")


@given(STANDINGS, st.integers(1, 1 << 40))
def test_a_standing_is_one_cell_that_names_its_backend(
    standing: Standing, row_id: int
) -> None:
    """Of any other backend it says nothing."""
    cell = standing_cell(standing, row_id)
    assert cell < 1 << 64
    assert standing_in(cell, row_id) == standing
    assert standing_in(cell, row_id + 1) == Standing()
