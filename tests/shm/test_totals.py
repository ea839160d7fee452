"""Totals over processes: right to the request, whoever comes, dies or leaves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lb.shm import BackendTotals, SharedFile, publish
from lb.shm.layout import Counter
from lb.shm.locks import ByteLocks
from lb.shm.slots import take_slot
from tests.shm.children import Child, backends, until
from tests.shm.requests import begin, passage, serve

if TYPE_CHECKING:
    from pathlib import Path

SERVE = """
import sys
from lb.shm import SharedFile
from tests.shm.requests import begin, serve
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
at = slot.row(1, 2)
recorder = slot.recorder()
for _ in range(7):
    serve(file, recorder, at, status=503, took_s=0.25)
begin(file, at)
file.cells[slot.connections_cell] += 1
file.cells[slot.accepted_cell] += 5
print(slot.index, flush=True)
sys.stdin.readline()
"""


def test_everything_that_was_counted_is_told(file: SharedFile) -> None:
    """Each counter of the one backend, and nothing of the other."""
    slot = file.take_slot()
    at = slot.row(1, 2)
    cells = file.cells
    recorder = slot.recorder()
    for status in (101, 200, 204, 404, 502):
        serve(file, recorder, at, status=status)
    cells[at.block + Counter.RETRIES] += 2
    cells[at.block + Counter.FAILURES + 9] += 3
    cells[at.connect_failures] += 3
    totals = file.totals()
    assert totals[2] == BackendTotals(
        attempts=5,
        retries=2,
        bytes_in=50,
        bytes_out=2500,
        connect_failures=3,
        responses=(0, 1, 2, 0, 1, 1, 0, 0, 0, 0),
        failures={"connection_refused": 3},
    )
    assert totals[2].requests == 5
    assert totals[0] == totals[1] == BackendTotals()
    assert (file.requests(1), file.failures(1)) == (5, 3)


def test_requests_without_a_backend_are_told_apart(file: SharedFile) -> None:
    """They are the processes' own, with their times."""
    slot = file.take_slot()
    told = passage(slot.no_backend, status=503, took_s=4.0)
    told.label = "destination_unavailable"
    slot.recorder().finish(told, 1004.0)
    assert file.totals()[0].responses[5] == 1
    assert file.latencies()[0].total.quantile(0.5) == pytest.approx(4.0, rel=0.05)
    workers = file.worker_totals()
    assert (workers.statuses[5], workers.requests) == (1, 1)
    assert workers.endings == {"destination_unavailable": 1}


def test_latencies_are_added_over_processes(path: Path, file: SharedFile) -> None:
    """Counts, sums and quantiles of all of them."""
    with SharedFile.open(path) as other:
        for user, took_s in ((file, 0.010), (other, 1.0)):
            slot = user.take_slot()
            recorder = slot.recorder()
            for _ in range(100):
                serve(user, recorder, slot.row(0, 1), took_s=took_s)
        found = file.latencies()[1]
    assert found.total.count == found.to_head.count == 200
    assert found.total.sum_s == pytest.approx(101.0)
    assert found.to_head.sum_s == pytest.approx(50.5)
    assert found.total.quantile(0.5) == pytest.approx(0.010, rel=0.05)
    assert found.total.quantile(0.51) == pytest.approx(1.0, rel=0.05)
    assert set(file.latencies([0])) == {0, 1}


def test_a_death_takes_nothing_away(path: Path, file: SharedFile) -> None:
    """And what was in flight or open there is so no more."""
    slot = file.take_slot()
    serve(file, slot.recorder(), slot.row(1, 2))
    reader = file.in_flight_reader()
    with Child(SERVE, path) as child:
        assert child.line() == "1"
        before = file.totals(), file.latencies(), file.worker_totals()
        assert reader.of(1) == reader.all()[1] == 1
        assert (before[2].connections, before[2].accepted) == (1, 5)
        child.kill()
        until(lambda: file.sweep() == [child.pid], "the sweep", 2)
        reader.refresh()
        assert reader.of(1) == reader.all()[1] == 0
    with SharedFile.open(path) as successor:
        assert successor.take_slot().row(1, 2).in_flight
        assert (file.totals(), file.latencies()) == before[:2]
        after = file.worker_totals()
    assert (after.statuses, after.accepted, after.connections) == (
        before[2].statuses, 5, 0,
    )  # fmt: skip


def test_a_dead_workers_requests_are_in_flight_until_the_next_refresh(
    path: Path, file: SharedFile
) -> None:
    """Without a sweep, too."""
    reader = file.in_flight_reader()
    assert reader.of(1) == 0
    with Child(SERVE, path) as child:
        child.line()
        assert reader.of(1) == 1, "who comes is seen at the next question"
        child.kill()
        until(lambda: reader.refresh() or not reader.of(1), "forgetting the dead", 2)
    assert file.in_flight(1) == 0


def test_a_rows_next_tenant_inherits_nothing(tmp_path: Path) -> None:
    """Not even from a process that is dead, or has not seen the change yet."""
    path = tmp_path / "state"
    publish(path, backends(9001))
    with SharedFile.open(path) as file, SharedFile.open(path) as late:
        slots = [file.take_slot(), late.take_slot()]
        for user, slot in zip((file, late), slots, strict=True):
            serve(user, slot.recorder(), slot.row(0, 1), took_s=0.5)
            user.cells[slot.row(0, 1).connect_failures] += 1
        until_row_0_is_given_again(path, file)
        (state,) = file.backends()
        assert file.totals() == {0: BackendTotals(), state.id: BackendTotals()}
        assert file.latencies()[state.id].total.count == 0
        at = slots[0].row(state.row, state.id)
        serve(file, slots[0].recorder(), at)
        assert file.totals()[state.id].attempts == file.requests(0) == 1
        assert file.failures(0) == 0


def until_row_0_is_given_again(path: Path, file: SharedFile) -> None:
    """Change backends until every row was used."""
    for port in range(1, 200):
        publish(path, backends(port), replace=True)
        if file.backends()[0].row == 0:
            return
    raise AssertionError("row 0 was never given again")


def test_the_totals_of_all_requests_outlive_their_backends(
    path: Path, file: SharedFile
) -> None:
    """What the processes answered does not depend on the table."""
    slot = file.take_slot()
    serve(file, slot.recorder(), slot.row(1, 2))
    publish(path, backends(9001), replace=True)
    assert file.worker_totals().requests == 1
    assert sum(state.requests for state in file.slots()) == 1


def test_the_space_of_a_slot_is_there_before_it_is_used(
    path: Path, file: SharedFile
) -> None:
    """Ring and columns when it is taken, a row's block when that is asked for."""
    geometry = file.geometry
    size = path.stat().st_blocks
    slot = file.take_slot()
    taken = path.stat().st_blocks
    assert (taken - size) * 512 >= 8 * (geometry.block(0, 0) - geometry.body(0))
    slot.row(0, 1)
    assert (path.stat().st_blocks - taken) * 512 >= 4096


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs Linux")  # noqa: PTH112
def test_readers_fill_no_holes() -> None:
    """On a memory file system a hole that is read through a map takes memory."""
    path = f"/dev/shm/evenhand-test-{os.getpid()}.state"
    publish(path, backends(9001, 9002))
    try:
        with SharedFile.open(path) as file:
            slot = file.take_slot()
            serve(file, slot.recorder(), slot.row(0, 1))
            before = os.stat(path).st_blocks  # noqa: PTH116
            reader = file.in_flight_reader()
            assert reader.all()[0] == reader.of(0) == 0
            file.totals(), file.latencies(), file.worker_totals(), file.slots()
            assert len(list(file.recent())) == 1
            file.faults(0, 1), file.faults_by_row(), file.bells(), file.sweep()
            assert os.stat(path).st_blocks == before  # noqa: PTH116
    finally:
        os.unlink(path)  # noqa: PTH108


def test_a_full_file_system_costs_figures_not_requests(
    path: Path, file: SharedFile
) -> None:
    """A row without space is counted away, but in flight it is seen."""
    import errno

    full = False

    def reserve(first: int, count: int, spare: int) -> None:
        assert (spare > 0) == (first == file.geometry.block(0, 0))
        if full:
            raise OSError(errno.ENOSPC, "no space")
        os.posix_fallocate(fd, first * 8, count * 8)

    fd = os.open(path, os.O_RDWR)
    try:
        slot = take_slot(
            file.cells, file.geometry, ByteLocks(fd), reserve=reserve, pid=1, now=1.0
        )
        full = True
        at = slot.row(0, 1)
        assert slot.unkept_rows == [0]
        begin(file, at)
        slot.recorder().finish(passage(at), 1001.0)
        assert file.in_flight(0) == 1
        assert file.totals()[1] == BackendTotals()
        assert file.worker_totals().requests == len(list(file.recent())) == 1
        full = False
        serve(file, slot.recorder(), slot.row(0, 1))
        assert slot.unkept_rows == []
        assert file.totals()[1].attempts == 1
    finally:
        os.close(fd)
