"""Who is ahead with connections: by what is held and what came just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.shm import SharedFile, publish
from lb.shm.arrivals import Arrivals
from lb.shm.geometry import Geometry

if TYPE_CHECKING:
    from pathlib import Path

MOST = 300
"""Connections of one process in the examples."""


class Workers:
    """Some processes that accept, over bare cells, and their clock."""

    def __init__(self, count: int) -> None:
        self.now = 100.0
        geometry = Geometry(rows=1, slots=count)
        heads = bytearray(8 * geometry.head(count))
        self._cells = memoryview(heads).cast("Q")
        self.all = [
            Arrivals(self._cells, geometry, slot, clock=lambda: self.now)
            for slot in range(count)
        ]
        for arrivals in self.all:
            arrivals.open()

    def ahead(self) -> list[bool]:
        return [arrivals.is_ahead() for arrivals in self.all]


def take(arrivals: Arrivals, count: int) -> None:
    """Accept so many connections and keep them."""
    for held in range(1, count + 1):
        arrivals.accepted(held)


def test_who_has_more_than_the_others_is_ahead() -> None:
    workers = Workers(2)
    assert workers.ahead() == [False, False]
    take(workers.all[0], 3)
    assert workers.ahead() == [True, False]
    take(workers.all[1], 3)
    assert workers.ahead() == [False, False]


@pytest.mark.parametrize("kept", [True, False])
def test_of_two_workers_none_gets_three_fifths_of_64(*, kept: bool) -> None:
    """If the quicker one waits whenever it is ahead, whether clients stay or leave."""
    workers = Workers(2)
    quick, slow = workers.all
    taken = [0, 0]
    for _ in range(64):
        who = 1 if quick.is_ahead() else 0
        taken[who] += 1
        (quick, slow)[who].accepted(taken[who] if kept else 0)
    assert max(taken) / 64 <= 0.6


def test_a_worker_that_replaced_another_gets_the_next_ones() -> None:
    """Until it has accepted so many in one window that they weigh as much."""
    workers = Workers(2)
    take(workers.all[0], 20)
    workers.now += 1
    take(workers.all[1], 7)
    assert workers.ahead() == [True, False]


def test_connections_that_ended_count_until_their_window_is_over() -> None:
    workers = Workers(2)
    take(workers.all[0], 9)
    workers.all[0].left(0)
    assert workers.ahead() == [True, False]
    workers.now += 1
    assert workers.ahead() == [False, False]


def test_connections_that_stay_count_for_ever() -> None:
    workers = Workers(2)
    take(workers.all[0], 9)
    workers.now += 1000
    assert workers.ahead() == [True, False]


def test_nobody_waits_for_one_that_accepts_none() -> None:
    """It is full, or it stops."""
    workers = Workers(2)
    take(workers.all[0], 9)
    workers.all[1].close()
    assert workers.ahead() == [False, False]
    workers.all[1].open()
    workers.now += 1
    assert workers.ahead() == [True, False]


def test_others_tells_that_another_accepted_one() -> None:
    workers = Workers(3)
    workers.all[0].is_ahead()
    before = workers.all[0].others()
    workers.all[0].accepted(1)
    assert workers.all[0].others() == before
    workers.all[2].accepted(1)
    assert workers.all[0].others() != before


@given(st.lists(st.tuples(st.integers(0, MOST), st.integers(0, MOST)), min_size=1))
def test_there_is_always_one_that_need_not_wait(loads: list[tuple[int, int]]) -> None:
    """Whatever each accepted just now, and holds: else clients would wait."""
    workers = Workers(len(loads))
    for arrivals, (accepted, held) in zip(workers.all, loads, strict=True):
        take(arrivals, accepted)
        arrivals.left(held)
    assert not all(workers.ahead())


def test_a_slot_that_is_given_back_has_no_connections(tmp_path: Path) -> None:
    publish(tmp_path / "state", [])
    with SharedFile.open(tmp_path / "state") as file:
        slot = file.take_slot()
        arrivals = slot.arrivals()
        arrivals.open()
        take(arrivals, 3)
        (state,) = file.slots()
        assert (state.connections, state.accepted) == (3, 3)
        slot.release()
        (state,) = file.slots()
        assert (state.connections, state.accepted) == (0, 3)
