"""Faults noted by processes, and added up for the leader."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lb.shm import Passage, SharedFile, publish
from lb.shm.arrivals import WINDOWS_PER_S
from lb.shm.faults import FaultNotes
from lb.shm.layout import SlotCell
from tests.shm.children import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import Slot


class Worker:
    """A process that serves backend 1, as far as its cells are concerned."""

    def __init__(self, file: SharedFile) -> None:
        self.file = file
        self.slot: Slot = file.take_slot()
        self.cells = self.slot.row(0, 1)
        self.notes = self.slot.faults()
        self._recorder = self.slot.recorder()

    def respond(self, status: int) -> None:
        passage = Passage(self.cells)
        passage.status = status
        self._recorder.finish(passage, 0.0)

    def play(self, history: str) -> None:
        """`g` good, `f` fault, `b` body cut, `5` a status of 500 that is no fault."""
        for event in history:
            if event == "f":
                self.notes.note(self.cells)
            elif event == "b":
                self.respond(200)
                self.notes.note(self.cells, is_spoiled=True)
            else:
                self.respond(200 if event == "g" else 500)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    publish(tmp_path / "state", backends(9001, 9002))
    with SharedFile.open(tmp_path / "state") as opened:
        yield opened


@pytest.mark.parametrize(
    ("history", "faults", "good", "streak"),
    [
        ("", 0, 0, 0),
        ("ggg", 0, 3, 0),
        ("f", 1, 0, 1),
        ("gff", 2, 1, 2),
        ("fffgf", 4, 1, 3),
        ("ff5ff", 4, 0, 4),
        ("bbb", 3, 0, 3),
        ("gbgb", 2, 2, 1),
        ("bfb", 3, 0, 3),
    ],
)
def test_faults_in_a_row_end_with_a_good_response(
    file: SharedFile, history: str, faults: int, good: int, streak: int
) -> None:
    """Body cuts are faults, though they were counted as responses of status 200."""
    Worker(file).play(history)
    found = file.faults(0, 1)
    assert (found.faults, found.good, found.streak) == (faults, good, streak)


def test_what_all_processes_saw_is_added_up(file: SharedFile) -> None:
    """The streak is the longest that one of them saw."""
    with ExitStack() as stack:
        files = [stack.enter_context(SharedFile.open(file.path)) for _ in range(3)]
        workers = [Worker(each) for each in files]
        before = file.bells()
        for worker, history in zip(workers, ("gf", "fff", "gg"), strict=True):
            worker.play(history)
        found = file.faults(0, 1)
        assert file.bells() != before
    assert (found.faults, found.good, found.streak) == (4, 3, 3)
    assert file.faults_by_row()[:2] == [4, 0]


def test_another_backend_in_the_row_begins_anew(file: SharedFile) -> None:
    """Nobody is blamed for its predecessor."""
    worker = Worker(file)
    worker.play("ffff")
    worker.cells = worker.slot.row(0, 7)
    assert file.faults(0, 1).faults == 0
    worker.play("f")
    found = file.faults(0, 7)
    assert (found.faults, found.streak) == (1, 1)


def test_an_old_streak_is_not_told(file: SharedFile) -> None:
    """Only what was noted within the last window or this one."""
    worker = Worker(file)
    bell = file.geometry.head(worker.slot.index) + SlotCell.FAULTS
    worker.notes = FaultNotes(file.cells, bell=bell, clock=lambda: 5 / WINDOWS_PER_S)
    worker.play("fff")
    assert file.faults(0, 1).faults == 3
    assert file.faults(0, 1).streak == 0
