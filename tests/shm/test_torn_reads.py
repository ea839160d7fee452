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
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
cells, at = file.cells, slot.requests_cell(0)
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
