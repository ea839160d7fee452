"""The byte format: the essay's tables are what the code does, and nothing overlaps."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import StateFileError
from lb.shm import Ring, events, layout, record, spans
from lb.shm.events import EventCell
from lb.shm.geometry import (
    RING_CELLS,
    SPAN_RING_CELLS,
    Geometry,
    read_geometry,
    write_header,
)
from lb.shm.histogram import BUCKETS
from lb.shm.layout import (
    BLOCK_CELLS,
    PAGE_CELLS,
    Column,
    Counter,
    Head,
    RequestCell,
    Row,
    SlotCell,
)
from lb.shm.record import Probe
from lb.shm.spans import SpanCell

if TYPE_CHECKING:
    from enum import IntEnum

LINE = re.compile(
    r"^ +(\d+) +(\d+)f? +(creator|builder|leader|owner|keeper|exporter) +([A-Z_]+)",
    re.M,
)
TABLES = {
    "HEADER": Head,
    "ROW": Row,
    "PROBE": Probe,
    "HEAD": SlotCell,
    "EVENTS": EventCell,
    "BLOCK": Counter,
    "REQUEST": RequestCell,
    "SPAN": SpanCell,
}
ELSEWHERE = {"EVENTS": events, "PROBE": record, "SPAN": spans}
"""Where tables are that are not in the essay."""

ROOM = {
    "HEADER": layout.HEADER_CELLS,
    "ROW": layout.ROW_CELLS,
    "PROBE": layout.PROBE_CELLS,
    "HEAD": layout.HEAD_CELLS,
    "EVENTS": events.EVENT_CELLS,
    "BLOCK": layout.BLOCK_CELLS,
    "REQUEST": layout.REQUEST_CELLS,
    "SPAN": spans.SPAN_CELLS,
}


def table(title: str) -> dict[str, tuple[int, str]]:
    """A table of the essay: name to offset and width."""
    essay = ELSEWHERE.get(title, layout).__doc__
    assert essay
    found = re.search(rf"\n{title}\b", essay)
    assert found
    start = found.start()
    lines = essay[start + 1 :].split("\n\n", 1)[0]
    return {name: (int(at), cells) for at, cells, _, name in LINE.findall(lines)}


def header(geometry: Geometry) -> bytearray:
    data = bytearray(layout.HEADER_CELLS * 8)
    with memoryview(data) as view, view.cast("Q") as cells:
        write_header(cells, geometry, now_us=1, pid=2)
    return data


@pytest.mark.parametrize("title", TABLES)
def test_the_essays_tables_are_the_codes(title: str) -> None:
    """Each cell has the offset that the essay says, and no cell is missing there."""
    names: type[IntEnum] = TABLES[title]
    written = {name: at for name, (at, _) in table(title).items()}
    assert written == {member.name: member.value for member in names}


@pytest.mark.parametrize("title", TABLES)
def test_no_two_fields_of_a_table_overlap(title: str) -> None:
    """Each field ends before the next begins, within the area's stride."""
    fields = sorted((at, int(cells)) for at, cells in table(title).values())
    ends = [at + cells for at, cells in fields]
    starts = [at for at, _ in fields[1:]] + [ROOM[title]]
    assert all(end <= start for end, start in zip(ends, starts, strict=True))


def test_widths_of_the_essay_are_the_codes() -> None:
    """Text fields and the ring are as wide as the essay says."""
    row, probe, head, block = map(table, ("ROW", "PROBE", "HEAD", "BLOCK"))
    assert row["NAME"][1] == str(layout.NAME_CELLS)
    assert row["ADDRESS"][1] == str(layout.ADDRESS_CELLS)
    assert row["GROUP_EVEN"][1] == row["GROUP_ODD"][1] == str(layout.GROUP_CELLS)
    assert row["REASON"][1] == str(layout.REASON_CELLS)
    assert row["RING"][1] == str(layout.RING_SIZE * layout.PROBE_CELLS)
    assert row["EJECT_WHY"][1] == str(layout.EJECT_WHY_CELLS)
    assert probe["DETAIL"][1] == str(layout.DETAIL_CELLS)
    assert head["STATUSES"][1] == block["RESPONSES"][1] == str(layout.STATUS_CELLS)
    assert head["ENDINGS"][1] == block["FAILURES"][1] == str(layout.LABEL_CELLS)
    assert block["TO_HEAD"][1] == block["TOTAL"][1] == str(BUCKETS)
    assert head["WAITING"][1] == str(layout.WAITING_CELLS)
    event = table("EVENTS")
    assert event["WHO"][1] == str(events.WHO_CELLS)
    assert event["NAME"][1] == str(layout.NAME_CELLS)
    assert event["REASON"][1] == str(events.EVENT_REASON_CELLS)
    facts = table("REQUEST")["FACTS"][1]
    assert int(facts) * layout.CELL_BYTES == layout.FACTS.size
    facts = table("SPAN")["FACTS"][1]
    assert int(facts) * layout.CELL_BYTES == spans.FACTS.size


@pytest.mark.parametrize(
    ("backends", "rows"),
    [(0, 64), (1, 64), (32, 64), (33, 128), (1000, 2048), (2048, 4096), (4096, 4096)],
)
def test_a_new_file_has_room_to_double(backends: int, rows: int) -> None:
    """Rows are a power of two, at least 64, and at most 4096."""
    assert Geometry.for_backends(backends).rows == rows


def test_too_many_backends_are_refused() -> None:
    """The limit is named."""
    with pytest.raises(StateFileError, match="at most 4096"):
        Geometry.for_backends(4097)


def test_what_has_its_space_from_the_start_is_small() -> None:
    """Two backends take less than a megabyte before anybody serves."""
    assert Geometry.for_backends(2).bodies_at * layout.CELL_BYTES < 745_000


@given(st.integers(1, 200), st.integers(1, 70))
def test_every_counter_has_a_cell_of_its_own(rows: int, slots: int) -> None:
    """No areas of the first and last rows and slots meet or leave the file."""
    geometry = Geometry(rows=rows, slots=slots)
    ends = sorted({0, slots - 1})
    areas = [(0, layout.HEADER_CELLS), (geometry.row(0), rows * layout.ROW_CELLS)]
    areas += [(geometry.head(slot), layout.HEAD_CELLS) for slot in ends]
    kept = events.EVENTS_KEPT * events.EVENT_CELLS
    areas += [(geometry.events(ring), kept) for ring in Ring]
    for slot in ends:
        areas += [(geometry.column(slot, column), rows) for column in Column]
        areas.append((geometry.requests(slot), RING_CELLS))
        blocks = [*sorted({0, rows - 1}), rows, rows + 1]
        areas += [(geometry.block(slot, row), BLOCK_CELLS) for row in blocks]
        areas.append((geometry.spans(slot), SPAN_RING_CELLS))
    after = [first for first, _ in areas[1:]] + [geometry.file_bytes // 8]
    for (first, count), following in zip(areas, after, strict=True):
        assert first + count <= following
    assert geometry.no_backend(slots - 1) == geometry.block(slots - 1, rows)
    assert geometry.nobody(slots - 1) == geometry.block(slots - 1, rows + 1)


@given(st.integers(1, 200), st.integers(1, 70))
def test_what_gets_its_space_by_itself_is_whole_pages(rows: int, slots: int) -> None:
    """So that giving one its space gives none to its neighbour by chance."""
    geometry = Geometry(rows=rows, slots=slots)
    last = slots - 1
    starts = [geometry.bodies_at, geometry.body(last), geometry.requests(last)]
    starts += [geometry.block(last, 0), geometry.block(last, rows)]
    starts.append(geometry.spans(last))
    assert [start % PAGE_CELLS for start in starts] == [0] * 6


@given(st.integers(1, 4096), st.integers(1, 256))
def test_a_header_tells_its_geometry(rows: int, slots: int) -> None:
    """What was written is what is read."""
    geometry = Geometry(rows=rows, slots=slots)
    assert read_geometry(bytes(header(geometry)), geometry.file_bytes) == geometry


@given(st.integers(0, 15 * 8 + 7), st.integers(1, 255))
def test_any_flipped_byte_of_the_header_is_noticed(at: int, flip: int) -> None:
    """No damage of the fixed cells passes for a valid file."""
    geometry = Geometry(rows=64, slots=64)
    data = header(geometry)
    data[at] ^= flip
    with pytest.raises(StateFileError):
        read_geometry(bytes(data), geometry.file_bytes)


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        (Head.MAGIC, 7, "not a state file"),
        (Head.BYTE_ORDER, 0x0807060504030201, "byte order"),
        (Head.MAJOR, 1, "version 1, this is 5"),
        (Head.ROWS, 65, "damaged"),
    ],
)
def test_the_reason_of_a_refusal_is_named(cell: int, value: int, message: str) -> None:
    """A person learns which condition does not hold."""
    geometry = Geometry(rows=64, slots=64)
    data = header(geometry)
    data[cell * 8 : cell * 8 + 8] = value.to_bytes(8, sys.byteorder)
    with pytest.raises(StateFileError, match=message):
        read_geometry(bytes(data), geometry.file_bytes)


def test_areas_that_do_not_fit_are_refused_even_with_a_right_checksum() -> None:
    """A checksum is no proof of sense."""
    bad = Geometry(rows=64, slots=64, body_cells=10)
    with pytest.raises(StateFileError, match="do not fit"):
        read_geometry(bytes(header(bad)), bad.file_bytes)


def test_a_file_of_another_size_is_refused() -> None:
    """Both sizes are named."""
    geometry = Geometry(rows=64, slots=64)
    with pytest.raises(StateFileError, match=r"has 4096 bytes where"):
        read_geometry(bytes(header(geometry)), 4096)


def test_a_later_minor_version_with_longer_strides_is_read() -> None:
    """Growth at the end of rows and slots does not need a new major version."""
    geometry = Geometry(
        rows=64, slots=4, row_cells=300, head_cells=200, body_cells=250_880
    )
    assert read_geometry(bytes(header(geometry)), geometry.file_bytes) == geometry
