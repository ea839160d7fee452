"""The ring of spans: read once each, whole, and what was overwritten is counted."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from lb.shm import IS_1_1, IS_HTTPS, SharedFile, SpanReader, publish, span_counts
from lb.shm.layout import SlotCell
from lb.shm.spans import SPANS_KEPT, SpanWriter
from tests.shm.children import backends
from tests.shm.requests import passage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import Slot

IDS = b"0af7651916cd43dd8448eb211c80319c-%016x"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    publish(tmp_path / "state", backends(9001, 9002))
    with SharedFile.open(tmp_path / "state") as opened:
        yield opened


def write(slot: Slot, writer: SpanWriter, numbers: range) -> None:
    for number in numbers:
        made = passage(slot.row(0, 1))
        writer.write(made, 1000.5, (IDS % number, b"", b"lb.test:80", IS_1_1))


def read(file: SharedFile, limit: int = 10_000) -> list[int]:
    """The numbers of the spans that are new."""
    return [int(span.span, 16) for span in SpanReader(file).read(limit)]


def test_a_span_is_read_as_it_was_written(file: SharedFile) -> None:
    slot = file.take_slot()
    made = passage(slot.row(1, 2), status=502)
    made.label, made.queued_s = "connection_refused", 0.25
    parent = b"b7ad6b7169203331"
    slot.spans().write(made, 1001.5, (IDS % 5, parent, b"lb.test", IS_HTTPS))
    (span,) = SpanReader(file).read(10)
    assert (span.trace, span.span, span.parent) == (
        "0af7651916cd43dd8448eb211c80319c", "0000000000000005", parent.decode(),
    )  # fmt: skip
    assert (span.status, span.label, span.backend_id) == (502, "connection_refused", 2)
    assert (span.method, span.target, span.host) == ("GET", "/a?b=c", "lb.test")
    assert (span.is_1_1, span.is_https) == (False, True)
    assert (span.queued_s, span.connect_s, span.total_s) == (0.25, None, 1.5)
    assert (span.bytes_in, span.bytes_out, span.attempts) == (10, 500, 1)
    assert span.policy == "round_robin"


def test_each_is_read_once_and_in_order(file: SharedFile) -> None:
    slot = file.take_slot()
    writer = slot.spans()
    write(slot, writer, range(10))
    assert read(file, 4) == [0, 1, 2, 3]
    write(slot, writer, range(10, 12))
    assert read(file) == list(range(4, 12))
    assert read(file) == []


def test_a_slots_next_owner_goes_on(file: SharedFile) -> None:
    first = file.take_slot()
    write(first, first.spans(), range(3))
    first.release()
    second = file.take_slot()
    assert second.index == first.index
    write(second, second.spans(), range(3, 5))
    assert read(file) == list(range(5))


def test_one_without_tracing_leaves_no_ring(file: SharedFile) -> None:
    slot = file.take_slot()
    assert file.cells[file.geometry.head(slot.index) + SlotCell.SPANS] == 0
    assert read(file) == []


@profile(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=5))
def test_what_is_overwritten_is_lost_and_counted(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int]
) -> None:
    """Read and lost together are what was written."""
    path = tmp_path_factory.mktemp("ring") / "state"
    publish(path, backends(9001))
    with SharedFile.open(path) as file:
        slot = file.take_slot()
        writer, written, seen = slot.spans(), 0, 0
        for count in batches:
            write(slot, writer, range(written, written + count))
            written += count
            found = read(file)
            assert found == list(range(written - min(count, SPANS_KEPT), written))
            seen += len(found)
        assert seen + span_counts(file).lost == written


def test_one_that_is_being_written_is_not_read(file: SharedFile) -> None:
    """Its writer died in the middle: it is lost, and no more."""
    slot = file.take_slot()
    write(slot, slot.spans(), range(3))
    ring = file.geometry.spans(slot.index)
    file.cells[ring + 64] = 2 * 1 + 1
    assert read(file) == [0, 2]
    assert span_counts(file) == (0, 0, 1)


def test_one_process_exports_at_a_time(file: SharedFile) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(SharedFile.open(file.path))
        assert SpanReader(file).may_read()
        assert SpanReader(file).may_read()
        assert not SpanReader(other).may_read()
        SpanReader(file).close()
        assert SpanReader(other).may_read()


def test_who_exports_does_not_keep_a_file_in_use(file: SharedFile) -> None:
    """A balancer that starts alone makes its file anew, whoever looked at the old."""
    with SharedFile.open(file.path) as other:
        assert SpanReader(file).may_read()
        assert not other.is_in_use()


def test_counts_are_kept_in_the_file(file: SharedFile) -> None:
    SpanReader(file).count(sent=5, failed=2)
    SpanReader(file).count(sent=1, lost=3)
    assert span_counts(file)._asdict() == {"sent": 6, "failed": 2, "lost": 3}
