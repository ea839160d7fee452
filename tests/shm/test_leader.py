"""Leadership: one at a time, handed on by death, by wish, or by preference."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lb.model import Verdict
from lb.shm import (
    Leadership,
    ProbeRecord,
    SharedFile,
    VerdictWriter,
    leader_pid,
    publish,
)
from lb.shm.layout import Row
from tests.shm.children import Child, backends, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAD = """
import sys
from lb.shm import Leadership, SharedFile
file = SharedFile.open(sys.argv[1])
leadership = Leadership(file, preferred=sys.argv[2] == "preferred")
print(leadership.try_acquire(), flush=True)
sys.stdin.readline()
"""
DIE_WRITING = """
import os, signal, sys
from lb.model import Verdict
from lb.shm import Leadership, SharedFile, VerdictWriter
from lb.shm.cells import writing
from lb.shm.layout import Row
file = SharedFile.open(sys.argv[1])
leadership = Leadership(file)
assert leadership.try_acquire()
writer = VerdictWriter(file, leadership)
state = file.backends()[0]
writer.set_verdict(state.row, state.id, Verdict.DOWN, reason="gone", at=1.0)
with writing(file.cells, file.geometry.row(state.row) + Row.SEQUENCE):
    print("inside", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def other(path: Path) -> Iterator[SharedFile]:
    """A second open, as another process has it."""
    with SharedFile.open(path) as opened:
        yield opened


def test_one_leads_at_a_time(file: SharedFile, other: SharedFile) -> None:
    """The second contender leads when the first one stops."""
    one, two = Leadership(file), Leadership(other)
    assert one.try_acquire()
    assert one.try_acquire()
    assert not two.try_acquire()
    assert (one.is_held, two.is_held) == (True, False)
    one.release()
    assert two.try_acquire()


def test_anybody_can_ask_who_leads(file: SharedFile, other: SharedFile) -> None:
    """Nobody does once the leader stopped, whatever the cell says."""
    leadership = Leadership(file)
    assert leader_pid(other) is None
    leadership.try_acquire()
    assert leader_pid(other) == leadership.holder_pid() == os.getpid()
    leadership.release()
    assert leader_pid(other) is None


def test_a_killed_leader_is_followed_within_two_seconds(
    path: Path, file: SharedFile
) -> None:
    """The kernel frees the lock; the next to ask has it."""
    follower = Leadership(file)
    with Child(LEAD, path, "ordinary") as child:
        assert child.line() == "True"
        assert not follower.try_acquire()
        assert follower.holder_pid() == child.pid
        child.kill()
        until(follower.try_acquire, "taking over", 2)
    assert follower.holder_pid() == os.getpid()


def test_a_leader_yields_to_one_that_is_preferred(
    file: SharedFile, other: SharedFile
) -> None:
    """And does not take the lead back while that one is there."""
    worker = Leadership(file)
    assert worker.try_acquire()
    assert not worker.should_yield()
    health = Leadership(other, preferred=True)
    assert not health.try_acquire()
    assert worker.should_yield()
    worker.release()
    assert not worker.try_acquire()
    assert health.try_acquire()
    assert not health.should_yield()
    health.release()
    assert worker.try_acquire()


def test_two_that_are_preferred_do_not_push_each_other(
    file: SharedFile, other: SharedFile
) -> None:
    """The first stays."""
    one, two = Leadership(file, preferred=True), Leadership(other, preferred=True)
    assert one.try_acquire()
    assert not two.try_acquire()
    assert not one.should_yield()


def test_a_preferred_one_that_was_killed_is_not_waited_for(
    path: Path, file: SharedFile
) -> None:
    """Its announcement dies with it."""
    worker = Leadership(file)
    with Child(LEAD, path, "preferred") as child:
        assert child.line() == "True"
        assert not worker.try_acquire()
        child.kill()
        until(worker.try_acquire, "taking over", 2)


def test_only_the_leader_writes(file: SharedFile) -> None:
    """A writer without the lead changes nothing."""
    leadership = Leadership(file)
    writer = VerdictWriter(file, leadership)
    before = file.cells.tobytes()
    state = file.backends()[0]
    assert not writer.record_probe(0, state.id, ProbeRecord(1.0, 0.1, True, "x"))
    assert not writer.set_verdict(0, state.id, Verdict.UP, reason="x", at=1.0)
    assert file.cells.tobytes() == before


def test_a_verdict_is_seen_by_others_with_a_new_generation(
    file: SharedFile, other: SharedFile
) -> None:
    """All that was said is read, for that backend only."""
    leadership = Leadership(file)
    leadership.try_acquire()
    writer = VerdictWriter(file, leadership)
    one, two = other.backends()
    generation = other.generation()
    probe = ProbeRecord(99.5, 0.25, False, "refused")
    assert writer.record_probe(two.row, two.id, probe)
    assert other.generation() == generation
    writer.set_verdict(two.row, two.id, Verdict.DOWN, reason="3 checks", at=99.5)
    assert other.generation() == generation + 1
    seen = other.backends()
    assert seen[0] == one
    assert (seen[1].verdict, seen[1].since, seen[1].reason, seen[1].last_probe) == (
        Verdict.DOWN,
        99.5,
        "3 checks",
        probe,
    )


def test_a_verdict_on_its_way_misses_the_rows_next_tenant(
    path: Path, file: SharedFile
) -> None:
    """Rows are named by id too."""
    leadership = Leadership(file)
    leadership.try_acquire()
    writer = VerdictWriter(file, leadership)
    gone = file.backends()[0]
    publish(path, backends(9002, 9003), replace=True)
    assert not writer.set_verdict(gone.row, gone.id, Verdict.DOWN, reason="x", at=1.0)
    assert not writer.record_probe(gone.row, gone.id, ProbeRecord(1.0, 0.1, True, "x"))
    assert {state.verdict for state in file.backends()} == {Verdict.UNKNOWN}


def test_a_leader_killed_while_it_writes_leaves_its_verdict(
    path: Path, file: SharedFile
) -> None:
    """Readers go on without waiting, and the next leader mends the record."""
    with Child(DIE_WRITING, path) as child:
        assert child.line() == "inside"
        child.wait()
    started = time.monotonic()
    state = file.backends()[0]
    assert time.monotonic() - started < 0.5
    assert (state.verdict, state.reason) == (Verdict.DOWN, "")
    assert Leadership(file).try_acquire()
    assert not file.cells[file.geometry.row(0) + Row.SEQUENCE] & 1
    assert file.backends()[0].verdict is Verdict.DOWN
