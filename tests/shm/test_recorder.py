"""The flight recorder: what was told of a request is what is read of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import ResponseTimeoutError
from lb.shm import Passage, Recorder, RowCells, SharedFile, publish
from lb.shm.geometry import RING_CELLS
from lb.shm.layout import FACTS, REQUESTS_KEPT
from tests.shm.children import Child, backends
from tests.shm.requests import passage, serve

if TYPE_CHECKING:
    from pathlib import Path

DIE_WRITING = """
import os, signal, sys
from lb.shm import SharedFile
from tests.shm.requests import passage
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
recorder = slot.recorder()
at = slot.row(0, 1)
for n in range(3):
    recorder.finish(passage(at, status=200 + n), 1000.5)
file.cells[file.geometry.requests(slot.index) + 3 * 32] = 7  # the fourth is begun
print(slot.index, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_request_is_read_as_it_was_told(file: SharedFile) -> None:
    """Every fact of it, with the backends' names."""
    slot = file.take_slot()
    one, two = file.backends()
    told = Passage(slot.no_backend)
    told.client, told.policy = b"2001:db8::1", b"power_of_two"
    told.begin(slot.row(two.row, two.id), time.monotonic() - 2.0)
    told.method, told.target, told.request_id = b"OPTIONS", b"/x", b"abc"
    told.status, told.attempts, told.label = 504, 2, ResponseTimeoutError.label
    told.failed_at(one.id)
    told.queued_s, told.connect_s, told.to_head_s = 0.25, 0.5, -1.0
    told.bytes_in, told.bytes_out = 1 << 40, 77
    slot.recorder().finish(told, told.began + 1.5)
    (record,) = file.recent()
    assert abs(record.began - (time.time() - 2.0)) < 1.0
    assert record.ended == record.began + 1.5
    assert (record.slot, record.number) == (0, 0)
    assert (record.client, record.policy) == ("2001:db8::1", "power_of_two")
    assert (record.method, record.target) == ("OPTIONS", "/x")
    assert (record.request_id, record.status) == ("abc", 504)
    assert (record.label, record.attempts) == ("http_response_timeout", 2)
    assert (record.backend_id, record.backend) == (two.id, "web9002")
    assert (record.tried, record.tried_names) == ((one.id,), ("web9001",))
    assert (record.queued_s, record.connect_s, record.to_head_s) == (0.25, 0.5, None)
    assert (record.bytes_in, record.bytes_out) == (1 << 40, 77)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_texts_of_any_bytes_and_length_are_cut_not_refused(
    target: bytes, request_id: bytes, method: bytes
) -> None:
    """What a client sends never stops the recorder."""
    cells = memoryview(bytearray(8 * (1024 + RING_CELLS))).cast("Q")
    told = passage(RowCells(0, 0, 0, 0, 0))
    told.target, told.request_id, told.method = target, request_id, method
    Recorder(cells, statuses=512, endings=600, ring=1024).finish(told, 1001.0)
    *_, policy, method_kept, id_kept, client, target_kept = FACTS.unpack(
        cells[1025:1056].tobytes()
    )
    assert (method_kept, id_kept) == (
        method[:8].ljust(8, b"\0"),
        request_id[:40].ljust(40, b"\0"),
    )
    assert target_kept == target[:68].ljust(68, b"\0")
    assert (policy.rstrip(b"\0"), client.rstrip(b"\0")) == (told.policy, told.client)


def test_the_first_three_backends_that_failed_are_kept(file: SharedFile) -> None:
    """Also of a request that went on for longer."""
    told = Passage(file.take_slot().no_backend)
    for row_id in (4, 5, 6, 7):
        told.failed_at(row_id)
    assert told.tried == (4, 5, 6)
    told.begin(told.cells, 1.0)
    assert told.tried == (0, 0, 0)


def test_the_last_1024_are_kept_the_newest_first(file: SharedFile) -> None:
    """Numbers tell the order, over the ring's end too."""
    slot = file.take_slot()
    recorder, at = slot.recorder(), slot.row(0, 1)
    for n in range(REQUESTS_KEPT + 10):
        recorder.finish(passage(at, status=200 + n % 7), 1001.0 + n)
    records = list(file.recent())
    wanted = range(REQUESTS_KEPT + 9, 9, -1)
    assert [record.number for record in records] == list(wanted)
    assert [record.status for record in records] == [200 + n % 7 for n in wanted]


def test_requests_of_all_processes_come_in_order_of_their_ends(
    path: Path, file: SharedFile
) -> None:
    """Whoever served them."""
    with SharedFile.open(path) as other:
        slots = [file.take_slot(), other.take_slot()]
        for turn in range(6):
            slot = slots[turn % 2]
            slot.recorder().finish(passage(slot.row(0, 1)), 1001.0 + turn)
        records = list(file.recent())
    assert [record.slot for record in records] == [1, 0, 1, 0, 1, 0]


def test_a_backend_that_left_keeps_its_id_and_loses_its_name(
    path: Path, file: SharedFile
) -> None:
    """Never is a request told as another backend's."""
    slot = file.take_slot()
    serve(file, slot.recorder(), slot.row(0, 1))
    publish(path, backends(9002, 9003), replace=True)
    (record,) = file.recent()
    assert (record.backend_id, record.backend) == (1, "")


def test_a_killed_workers_requests_stay_and_its_successor_goes_on(
    path: Path, file: SharedFile
) -> None:
    """But for the one in the middle of which it died."""
    with Child(DIE_WRITING, path) as child:
        assert child.line() == "0"
        child.wait()
        assert [(r.number, r.status) for r in file.recent()] == [
            (2, 202), (1, 201), (0, 200),
        ]  # fmt: skip
        slot = file.take_slot()
        assert slot.index == 0
        serve(file, slot.recorder(), slot.row(0, 1), took_s=9.0)
        assert [record.number for record in file.recent()] == [4, 2, 1, 0]


@pytest.mark.parametrize("label", ["made_up", "client_left", "connection_refused"])
def test_an_end_is_counted_by_its_label(file: SharedFile, label: str) -> None:
    """One that is not known as other."""
    slot = file.take_slot()
    told = passage(slot.no_backend, status=0)
    told.label = label
    slot.recorder().finish(told, 1001.0)
    seen = "other" if label == "made_up" else label
    assert file.worker_totals().endings == {seen: 1}
    assert next(file.recent()).label == seen


def test_what_a_request_costs_stays_in_bounds(file: SharedFile) -> None:
    """Counted in cells touched, as a busy machine's clock would prove nothing."""
    slot = file.take_slot()
    recorder, at = slot.recorder(), slot.row(0, 1)
    before = file.cells.tolist()[: file.geometry.bodies_at]
    recorder.finish(passage(at), 1001.0)
    after = file.cells.tolist()[: file.geometry.bodies_at]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    block = file.cells[at.block : at.block + 512].tolist()
    assert sum(cell != 0 for cell in block) == 7
