"""The leader's record of a row: round trips, ring, and what a death leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Verdict
from lb.shm.geometry import Geometry
from lb.shm.layout import RING_SIZE, Row
from lb.shm.record import (
    ProbeRecord,
    Record,
    mend_record,
    read_record,
    write_probe,
    write_verdict,
)

GEOMETRY = Geometry(rows=2, slots=1)
AT = GEOMETRY.row(1)
TIMES = st.integers(0, 1 << 51).map(lambda us: us / 1e6)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
PROBES = st.builds(
    ProbeRecord,
    at=TIMES,
    duration_s=TIMES,
    ok=st.booleans(),
    detail=TEXTS.filter(lambda text: len(text.encode()) <= 64),
)


@pytest.fixture
def cells() -> memoryview:
    return memory()


def memory() -> memoryview:
    return memoryview(bytearray(GEOMETRY.file_bytes)).cast("Q")


@given(st.sampled_from(Verdict), TIMES, TEXTS, st.lists(PROBES, max_size=25))
def test_a_record_is_read_as_it_was_written(
    verdict: Verdict, since: float, reason: str, probes: list[ProbeRecord]
) -> None:
    """Verdict, time, reason, and the last ten probes from the oldest on."""
    cells = memory()
    for probe in probes:
        write_probe(cells, AT, 5, probe)
    write_verdict(cells, AT, 5, Record(verdict, since, reason))
    kept = tuple(probes[-RING_SIZE:])
    failed = sum(not probe.ok for probe in probes)
    probing_s = read_record(cells, AT, 5).probing_s
    assert probing_s == pytest.approx(sum(p.duration_s for p in probes), abs=1e-4)
    wanted = Record(verdict, since, reason, kept, len(probes), failed, probing_s)
    assert read_record(cells, AT, 5) == wanted


@given(st.text(st.characters(codec="utf-8"), min_size=100, max_size=400))
def test_a_long_text_is_cut_between_letters(text: str) -> None:
    """What is read is a beginning of what was written, never a broken letter."""
    cells = memory()
    write_verdict(cells, AT, 1, Record(Verdict.UP, 1.0, text))
    reason = read_record(cells, AT, 1).reason
    assert text.startswith(reason)
    assert len(reason.encode()) >= min(len(text.encode()), 256 - 3)


def test_another_tenant_inherits_nothing(cells: memoryview) -> None:
    """A verdict about one id is none about the next id in that row."""
    write_probe(cells, AT, 1, ProbeRecord(1.0, 0.1, False, "refused"))
    write_verdict(cells, AT, 1, Record(Verdict.DOWN, 1.0, "gone"))
    assert read_record(cells, AT, 2) == Record()
    new = ProbeRecord(2.0, 0.2, True, "connected")
    write_probe(cells, AT, 2, new)
    assert read_record(cells, AT, 2) == Record(probes=(new,), probed=1, probing_s=0.2)
    assert read_record(cells, AT, 1).probes == ()


def test_a_record_that_stays_half_written_keeps_its_verdict(cells: memoryview) -> None:
    """Readers do not wait for a leader that died: they go on with the verdict."""
    write_verdict(cells, AT, 1, Record(Verdict.DOWN, 1.0, "gone"))
    cells[AT + Row.SEQUENCE] |= 1
    assert read_record(cells, AT, 1) == Record(Verdict.DOWN)


def test_the_next_leader_mends_it(cells: memoryview) -> None:
    """Text and probes are forgotten, the verdict is not, and writing works again."""
    write_verdict(cells, AT, 1, Record(Verdict.DOWN, 1.0, "gone"))
    assert not mend_record(cells, AT)
    cells[AT + Row.SEQUENCE] |= 1
    assert mend_record(cells, AT)
    assert read_record(cells, AT, 1) == Record(Verdict.DOWN)
    write_verdict(cells, AT, 1, Record(Verdict.UP, 2.0, "back"))
    assert read_record(cells, AT, 1) == Record(Verdict.UP, 2.0, "back")
