"""Turns: who has waited noticeably longer goes first, unless he does not come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from lb.shm import SharedFile, Turns
from lb.shm.geometry import Geometry
from lb.shm.layout import Head, SlotCell
from lb.shm.turns import COURTESY_S, HEAD_START_US

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = 900.0
A_MOMENT_S = HEAD_START_US / 1e6 / 2


class Waiters:
    """Some processes over bare cells, and their clock."""

    def __init__(self, count: int) -> None:
        self.now = 1000.0
        geometry = Geometry(rows=1, slots=count)
        self.cells = memoryview(bytearray(geometry.file_bytes)).cast("Q")
        for slot in range(count):
            self.cells[geometry.head(slot) + SlotCell.STATE] = 1
        self.cells[Head.SLOTS_TAKEN] = count
        self.all = [
            Turns(self.cells, geometry, slot=i, name="a", clock=lambda: self.now)
            for i in range(count)
        ]


def test_who_has_waited_longer_by_more_than_a_moment_goes_first() -> None:
    waiters = Waiters(3)
    one, two, _ = waiters.all
    assert not one.is_anothers(waiters.now), "nobody waits"
    two.wait_since(waiters.now - A_MOMENT_S)
    assert not one.is_anothers(waiters.now), "a moment is no matter"
    two.wait_since(waiters.now - 4 * A_MOMENT_S)
    assert one.is_anothers(waiters.now)
    assert not two.is_anothers(waiters.now - 4 * A_MOMENT_S)
    two.wait_since(None)
    assert not one.is_anothers(waiters.now)


def test_one_that_does_not_come_is_waited_for_once() -> None:
    """It hangs or has died; when it moves, it counts again."""
    waiters = Waiters(3)
    one, hung, other = waiters.all
    hung.wait_since(LONG_AGO)
    assert one.is_anothers(waiters.now)
    waiters.now += COURTESY_S
    assert not one.is_anothers(waiters.now)
    waiters.now += 1
    assert not one.is_anothers(waiters.now)
    other.wait_since(LONG_AGO + 10)
    assert one.is_anothers(waiters.now), "others still have their turns"
    other.wait_since(None)
    assert not one.is_anothers(waiters.now)
    hung.wait_since(LONG_AGO + 1)
    assert one.is_anothers(waiters.now)


@given(since=st.lists(st.none() | st.floats(LONG_AGO, 1000.0), min_size=1, max_size=8))
def test_it_is_always_somebodys_turn(since: list[float | None]) -> None:
    """No wait of all for each other: he who waits longest never lets one go first."""
    waiters = Waiters(len(since))
    for turns, at in zip(waiters.all, since, strict=True):
        turns.wait_since(at)
    waiting = [at for at in since if at is not None]
    for turns, at in zip(waiters.all, since, strict=True):
        if at is not None:
            late_us = (at - min(waiting)) * 1e6
            if abs(late_us - HEAD_START_US) > 2:
                assert turns.is_anothers(at) is (late_us > HEAD_START_US)


def test_sets_do_not_wait_for_each_other(file: SharedFile, path: Path) -> None:
    slot = file.take_slot()
    with SharedFile.open(path) as again:
        other = again.take_slot()
        slot.turns("one").wait_since(LONG_AGO)
        assert other.turns("one").is_anothers(1000.0)
        assert not other.turns("two").is_anothers(1000.0)
        other.release()
    slot.release()


def test_who_leaves_or_died_waits_no_more(file: SharedFile, path: Path) -> None:
    slot = file.take_slot()
    turns = slot.turns("one")
    with SharedFile.open(path) as other:
        left = other.take_slot()
        left.turns("one").wait_since(LONG_AGO)
        left.release()
        assert not turns.is_anothers(1000.0)
        other.take_slot().turns("one").wait_since(LONG_AGO)
    # Closed without a release, as the kernel does it for the dead.
    assert slot.turns("one").is_anothers(1000.0)
    file.sweep()
    assert not slot.turns("one").is_anothers(1000.0)
    slot.release()
