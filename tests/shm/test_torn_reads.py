"""One process hammers what others read: readers never see a mix."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lb.model import Verdict
from lb.shm import SharedFile, publish
from tests.shm.children import PATIENCE_S, Child, backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_FOR_S = 1.0

HAMMER_RECORD = """
import sys
from lb.model import Verdict
from lb.shm import Leadership, ProbeRecord, SharedFile, VerdictWriter
file = SharedFile.open(sys.argv[1])
leadership = Leadership(file)
assert leadership.try_acquire()
writer = VerdictWriter(file, leadership)
state = file.backends()[0]
print("going", flush=True)
while True:
    for n in range(1, 10):
        verdict = Verdict(1 + n % 2)
        writer.set_verdict(0, state.id, verdict, reason=str(n) * 250, at=n * 1000.0)
        probe = ProbeRecord(n * 1.0, n * 2.0, n % 2 == 1, str(n) * 60)
        writer.record_probe(0, state.id, probe)
"""

HAMMER_CELL = """
import sys
from lb.shm import SharedFile
from tests.shm.present import present
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
cells, at = file.cells, present(file, slot, 0).block
low, high = 0x1111111111111111, 0x7777777777777777
cells[at] = low
print(at, flush=True)
while True:
    cells[at] = high
    cells[at] = low
"""

HAMMER_TABLE = """
import sys
from lb.shm import SharedFile, publish
from tests.shm.children import backends
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
print("going", flush=True)
while True:
    publish(sys.argv[1], backends(1111), replace=True)
    publish(sys.argv[1], backends(22222), replace=True)
"""


def reading(seen: set[int], *, of: int) -> Iterator[None]:
    """Turns to read for `READ_FOR_S`, and on until `of` versions were seen.

    How often a reader and a writer alternate on two busy cores is the kernel's to say.
    """
    begun = time.monotonic()
    while (now := time.monotonic()) < begun + PATIENCE_S:
        if len(seen) >= of and now > begun + READ_FOR_S:
            return
        yield


def test_a_record_is_read_whole(path: Path, file: SharedFile) -> None:
    """Verdict, time, reason and each probe always belong together."""
    seen: set[int] = set()
    with Child(HAMMER_RECORD, path) as child:
        child.line()
        for _ in reading(seen, of=4):
            state = file.backends()[0]
            if not state.reason:
                continue  # the reader gave up: allowed, a mix is not
            n = int(state.reason[0])
            seen.add(n)
            assert state.reason == str(n) * 250
            assert state.since == n * 1000.0
            assert state.verdict is Verdict(1 + n % 2)
            for probe in state.probes:
                m = int(probe.at)
                assert (probe.duration_s, probe.ok) == (m * 2.0, m % 2 == 1)
                assert probe.detail == str(m) * 60
    assert len(seen) >= 4


def test_a_cell_is_read_whole(path: Path, file: SharedFile) -> None:
    """A cell holds a number that was stored, never bytes of two."""
    with Child(HAMMER_CELL, path) as child:
        at = int(child.line())
        cells = file.cells
        seen: set[int] = set()
        for _ in reading(seen, of=2):
            seen.update(cells[at] for _ in range(1000))
    assert seen == {0x1111111111111111, 0x7777777777777777}


def test_a_row_that_changes_hands_is_read_whole(tmp_path: Path) -> None:
    """A name never stands beside another backend's address."""
    path = tmp_path / "state"
    publish(path, backends(1111))
    seen: set[int] = set()
    with SharedFile.open(path) as file, Child(HAMMER_TABLE, path) as child:
        child.line()
        for _ in reading(seen, of=2):
            for state in file.backends():
                assert state.backend.name == f"web{state.backend.address.port}"
                seen.add(state.backend.address.port)
    assert seen == {1111, 22222}


HAMMER_REQUESTS = """
import sys
from lb.shm import SharedFile
from tests.shm.requests import passage
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
recorder, at = slot.recorder(), slot.row(0, 1)
told = [passage(at) for _ in range(10)]
for n, each in enumerate(told):
    each.target = each.request_id = each.client = bytes([48 + n]) * 68
    each.method = each.policy = bytes([48 + n]) * 15
    each.status = each.attempts = each.bytes_in = each.bytes_out = 111 * n
    each.queued_s = each.connect_s = each.to_head_s = float(n)
    each.tried = (n + 1, n + 1, n + 1)
print("going", flush=True)
while True:
    for n, each in enumerate(told):
        recorder.finish(each, 1000.0 + n)
        recorder._mark += 2046  # the same place again, so that readers meet us
        sum(range(100))
"""

HAMMER_BLOCK = """
import sys
from lb.shm import SharedFile
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
cells, at = file.cells, slot.row(0, 1)
low, high = 0x0011111111111111, 0x0077777777777777
places = [at.block + n for n in range(0, 500)]
for place in places:
    cells[place] = low
print("going", flush=True)
while True:
    for value in (high, low):
        for place in places:
            cells[place] = value
"""


def test_a_recorded_request_is_read_whole(path: Path, file: SharedFile) -> None:
    """All its facts are of one request, whatever is written meanwhile."""
    seen: set[int] = set()
    with Child(HAMMER_REQUESTS, path) as child:
        child.line()
        for _ in reading(seen, of=10):
            # From the first place on, which is the only one.
            for record in (r for _ in range(50) for r in file.recent()):
                n = record.status // 111
                seen.add(n)
                digit = str(n)
                assert record.target == digit * 68
                assert record.request_id == record.client == digit * 40
                assert (record.method, record.policy) == (digit * 8, digit * 15)
                assert record.attempts == record.bytes_in == record.bytes_out == 111 * n
                phases = {record.queued_s, record.connect_s, record.to_head_s}
                assert phases == {record.total_s} == {float(n)}
                assert record.tried == (n + 1,) * 3
    assert len(seen) == 10


def test_cells_that_are_read_in_bulk_are_read_whole(
    path: Path, file: SharedFile
) -> None:
    """As single ones; the readers of totals copy a whole block at once."""
    seen: set[int] = set()
    with Child(HAMMER_BLOCK, path) as child:
        child.line()
        for _ in reading(seen, of=2):
            latencies = file.latencies()[1]
            seen.update(latencies.total.counts)
            seen.update(latencies.to_head.counts)
            seen.update(file.totals()[1].responses)
    assert seen == {0x0011111111111111, 0x0077777777777777}
