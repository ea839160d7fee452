"""Slots: counting, reading over processes, and what a death leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lb.errors import StateFileError
from lb.shm import SharedFile, publish
from tests.shm.children import Child, backends, until
from tests.shm.present import present

if TYPE_CHECKING:
    from pathlib import Path

WORK = """
import os, sys
from lb.shm import SharedFile
from tests.shm.present import present
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
file.cells[present(file, slot, 1).in_flight] += 3
file.cells[present(file, slot, 1).block] += 10
file.cells[present(file, slot, 1).connect_failures] += 2
slot.see(77)
print(slot.index, flush=True)
sys.stdin.readline()
"""


def numbers(file: SharedFile) -> tuple[int, int, int]:
    """What is known of row 1."""
    return file.in_flight(1), file.requests(1), file.failures(1)


def test_counts_are_summed_over_slots(path: Path, file: SharedFile) -> None:
    """Two opens of one process are two slots."""
    with SharedFile.open(path) as other:
        for user, amount in ((file, 1), (other, 4)):
            slot = user.take_slot()
            user.cells[present(user, slot, 1).in_flight] += amount
            user.cells[present(user, slot, 1).block] += 10 * amount
            user.cells[present(user, slot, 1).connect_failures] += 100 * amount
        assert numbers(file) == (5, 50, 500)
        assert file.in_flight(0) == file.requests(0) == file.failures(0) == 0


def test_a_slot_tells_who_it_is(file: SharedFile) -> None:
    """Pid, heartbeat and generation, for whoever asks."""
    import os

    slot = file.take_slot()
    slot.beat(1234.5)
    slot.see(9)
    (state,) = file.slots()
    assert (state.index, state.pid, state.alive) == (0, os.getpid(), True)
    assert (state.heartbeat, state.generation_seen) == (1234.5, 9)
    assert abs(state.started - time.time()) < 60


def test_a_released_slot_has_nothing_in_flight(file: SharedFile) -> None:
    """Its totals stay, and the next process gets it."""
    slot = file.take_slot()
    file.cells[present(file, slot, 1).in_flight] += 3
    file.cells[present(file, slot, 1).block] += 10
    slot.release()
    slot.release()
    assert not slot.is_ours
    assert numbers(file) == (0, 10, 0)
    assert [state.alive for state in file.slots()] == [False]
    assert file.take_slot().index == 0


def test_when_all_slots_are_taken_it_says_so(tmp_path: Path) -> None:
    """With advice."""
    publish(tmp_path / "state", backends(9001), slots=2)
    with SharedFile.open(tmp_path / "state") as file:
        assert [file.take_slot().index for _ in range(2)] == [0, 1]
        with pytest.raises(StateFileError, match=r"all 2 slots .* fewer workers"):
            file.take_slot()


def test_a_killed_processs_slot_is_taken_over(path: Path, file: SharedFile) -> None:
    """Nothing of the dead is in flight, its totals are kept."""
    with Child(WORK, path) as child:
        assert child.line() == "0"
        assert numbers(file) == (3, 10, 2)
        child.kill()
        until(lambda: file.in_flight(1) == 0, "not counting the dead", 2)
        slot = file.take_slot()
        assert slot.index == 0
        assert file.cells[present(file, slot, 1).in_flight] == 0
        assert numbers(file) == (0, 10, 2)


def test_a_sweep_names_the_dead_once(path: Path, file: SharedFile) -> None:
    """The living are left alone."""
    with Child(WORK, path) as dead, Child(WORK, path) as living:
        assert {dead.line(), living.line()} == {"0", "1"}
        dead.kill()
        until(lambda: file.sweep() == [dead.pid], "the sweep", 2)
        assert file.sweep() == []
        assert numbers(file) == (3, 20, 4)
        alive = {state.pid: state.alive for state in file.slots()}
        assert alive == {dead.pid: False, living.pid: True}
        seen = {state.generation_seen for state in file.slots()}
        assert seen == {77}


def test_a_slot_tells_its_settings_its_arbiter_and_that_it_leaves(
    path: Path, file: SharedFile
) -> None:
    """And the next owner begins without any of it."""
    slot = file.take_slot()
    slot.see_settings(3)
    slot.tell_arbiter(77)
    slot.leave()
    (state,) = file.slots()
    assert (state.settings_seen, state.arbiter, state.is_leaving) == (3, 77, True)
    slot.release()
    file.take_slot()
    (state,) = file.slots()
    assert (state.settings_seen, state.arbiter, state.is_leaving) == (0, 0, False)


def test_company_is_who_lives_and_does_not_leave(path: Path, file: SharedFile) -> None:
    slot = file.take_slot()
    assert not slot.has_company()
    with SharedFile.open(path) as other_file:
        other = other_file.take_slot()
        assert slot.has_company()
        assert other.has_company()
        slot.leave()
        assert not other.has_company()
        other.release()
        assert not slot.has_company()
