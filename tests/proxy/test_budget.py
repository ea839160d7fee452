"""The retry budget: its rule as a table, and that no interleaving exceeds it."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from lb.proxy.budget import BudgetLimits, RetryBudget
from lb.proxy.loads import LiveLoads
from lb.proxy.tally import LockedTally, PlainTally
from lb.shm import SharedFile, publish
from lb.shm.layout import Counter
from tests.shm.children import backends

if TYPE_CHECKING:
    from lb.shm import RowCells

SHARE, LEAST = 20.0, 3
NOT_ASKED: Any = (None, None)
"""A grace is a matter of time alone: nothing is counted, nothing read."""

# percent, least, being tried again (with the one that asks), in flight: allowed?
TABLE = [
    (20, 3, 1, 0, True),
    (20, 3, 3, 0, True),
    (20, 3, 3, 1, True),
    (20, 3, 4, 19, False),
    (20, 3, 4, 20, True),
    (20, 3, 5, 24, False),
    (20, 3, 5, 25, True),
    (20, 3, 200, 1000, True),
    (20, 3, 201, 1000, False),
    (20, 0, 1, 4, False),
    (20, 0, 1, 5, True),
    (0, 0, 1, 1000, False),
    (0, 2, 2, 1000, True),
    (0, 2, 3, 1000, False),
    (100, 0, 7, 7, True),
    (100, 0, 8, 7, False),
    (12.5, 0, 1, 8, True),
    (12.5, 0, 1, 7, False),
]


@pytest.mark.parametrize(("percent", "least", "retrying", "in_flight", "is_it"), TABLE)
def test_what_the_budget_allows(
    percent: float, least: int, retrying: int, in_flight: int, is_it: bool
) -> None:
    limits = BudgetLimits(percent=percent, least=least)
    assert limits.allow(retrying, in_flight) is is_it


# seconds since a grace began: is what fails then forgiven, and does a new one begin?
GRACE = [
    (0.0, True, False),
    (0.24, True, False),
    (0.26, False, False),
    (24.9, False, False),
    (25.1, True, True),
    (1e9, True, True),
]


@pytest.mark.parametrize(("age_s", "is_forgiven", "is_new"), GRACE)
def test_a_grace_is_short_and_rare(
    age_s: float, is_forgiven: bool, is_new: bool
) -> None:
    failed = SimpleNamespace(grace_began=1000.0)
    budget = RetryBudget(BudgetLimits(grace_s=0.25), *NOT_ASKED)
    assert budget.forgives(failed, 1000.0 + age_s) is is_forgiven  # type: ignore[arg-type]
    assert failed.grace_began == 1000.0 + age_s * is_new


def test_without_a_grace_nothing_is_forgiven() -> None:
    failed = SimpleNamespace(grace_began=-math.inf)
    budget = RetryBudget(BudgetLimits(grace_s=0.0), *NOT_ASKED)
    assert not budget.forgives(failed, 1000.0)  # type: ignore[arg-type]


class Process:
    """One worker: its own open file, slot and cells, and its retries by stage."""

    def __init__(self, path: Path) -> None:
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        self.tally = PlainTally(self.slot)
        self.members: list[Any] = [
            SimpleNamespace(
                row=state.row, cells=self.slot.row(state.row, state.id), id=state.id
            )
            for state in self.file.backends()
        ]
        self.loads = LiveLoads(self.file.in_flight_reader())
        self.budget = RetryBudget(BudgetLimits(SHARE, LEAST), self.tally, self.loads)
        self.counted_in: list[RowCells] = []
        self.admitted: list[RowCells] = []
        self.in_flight: list[RowCells] = []

    def die(self) -> None:
        """Its lock falls; nothing is tidied up."""
        self.file.close()


class BudgetMachine(RuleBasedStateMachine):
    """Workers come and die; between any two steps of one, others may do anything."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = self.path = Path(self.folder.name, "state")
        publish(path, backends(1, 2), slots=6)
        self.file = SharedFile.open(path)
        self.keeper = self.file.take_slot()
        self.workers = [Process(path) for _ in range(2)]

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for worker in self.workers:
                worker.file.close()
            self.file.close()
            self.folder.cleanup()

    def _worker(self, which: int) -> Process:
        return self.workers[which % len(self.workers)]

    @rule()
    @precondition(lambda self: len(self.workers) < 4)
    def come(self) -> None:
        self.workers.append(Process(self.path))

    @rule(which=st.integers(0, 3))
    @precondition(lambda self: len(self.workers) > 1)
    def die(self, which: int) -> None:
        worker = self._worker(which)
        self.workers.remove(worker)
        worker.die()
        for other in self.workers:  # as with each heartbeat
            other.loads._in_flight.refresh()

    @rule(which=st.integers(0, 3), row=st.integers(0, 1), count=st.integers(1, 20))
    def begin(self, which: int, row: int, count: int) -> None:
        worker = self._worker(which)
        for _ in range(count):
            worker.in_flight.append(worker.tally.enter(worker.members[row]))

    @rule(which=st.integers(0, 3), count=st.integers(1, 20))
    def finish(self, which: int, count: int) -> None:
        worker = self._worker(which)
        for _ in range(min(count, len(worker.in_flight))):
            worker.tally.leave(worker.in_flight.pop())

    @rule(which=st.integers(0, 3), row=st.integers(0, 1))
    def count_in(self, which: int, row: int) -> None:
        worker = self._worker(which)
        worker.counted_in.append(worker.budget.count_in(worker.members[row]))

    @rule(which=st.integers(0, 3))
    def look(self, which: int) -> None:
        worker = self._worker(which)
        if not worker.counted_in:
            return
        entered = worker.counted_in.pop(0)
        if worker.budget.has_room(worker.members):
            worker.admitted.append(entered)
            running = sum(len(w.in_flight) for w in self.workers)
            retrying = sum(len(w.admitted) for w in self.workers)
            assert retrying <= max(LEAST, running * SHARE / 100)
        else:
            worker.tally.leave_retry(entered)

    @rule(which=st.integers(0, 3), row=st.integers(0, 1))
    def enter(self, which: int, row: int) -> None:
        """All of it, with nobody in between."""
        worker = self._worker(which)
        worker.counted_in.append(worker.budget.count_in(worker.members[row]))
        worker.counted_in.insert(0, worker.counted_in.pop())
        self.look(which)

    @rule(which=st.integers(0, 3))
    def leave(self, which: int) -> None:
        worker = self._worker(which)
        if worker.admitted:
            worker.budget.leave(worker.admitted.pop(0))

    @invariant()
    def all_are_counted(self) -> None:
        """Whoever is in is seen, and nothing stays behind of those that died."""
        if not hasattr(self, "folder"):
            return
        rows = [state.row for state in self.file.backends()]
        reader = self.file.in_flight_reader()
        admitted = sum(len(w.admitted) + len(w.counted_in) for w in self.workers)
        assert reader.retrying(rows) == admitted
        assert reader.of_many(rows) == sum(len(w.in_flight) for w in self.workers)


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_a_set_that_does_nothing_may_still_retry(tmp_path: Path) -> None:
    """Three at once over all workers, and the fourth is refused and counted."""
    publish(tmp_path / "state", backends(1, 2), slots=4)
    a, b = Process(tmp_path / "state"), Process(tmp_path / "state")
    held = [p.budget.enter(p.members[0], p.members) for p in (a, b, a)]
    assert None not in held
    assert b.budget.enter(b.members[1], b.members) is None
    b.budget.refuse(b.members[1])
    totals = a.file.totals()
    assert totals[b.members[1].id].refused_retries == 0, "nothing was ever tried there"
    b.tally.attempt(b.members[1], is_retry=False)
    assert a.file.totals()[b.members[1].id].refused_retries == 1
    assert held[0] is not None
    a.budget.leave(held[0])
    assert b.budget.enter(b.members[1], b.members) is not None
    a.die()
    b.die()


def test_a_share_of_what_is_in_flight_is_allowed(tmp_path: Path) -> None:
    publish(tmp_path / "state", backends(1, 2), slots=4)
    worker = Process(tmp_path / "state")
    for _ in range(50):
        worker.tally.enter(worker.members[1])
    entered = [
        worker.budget.enter(worker.members[0], worker.members) for _ in range(30)
    ]
    assert sum(found is not None for found in entered) == 10
    worker.die()


@pytest.mark.parametrize("count", [2, 100])
def test_rows_of_other_sets_do_not_count(tmp_path: Path, count: int) -> None:
    """However they are summed: one by one, or whole columns."""
    publish(tmp_path / "state", backends(*range(1, 2 * count + 1)), slots=4)
    worker = Process(tmp_path / "state")
    ours, others = worker.members[:count], worker.members[count:]
    for member in others:
        worker.tally.enter(member)
        worker.tally.enter_retry(member)
    for member in ours[::2]:
        worker.tally.enter(member)
    assert worker.loads.under_way(ours) == len(ours[::2])
    assert worker.loads.retrying(ours) == 0
    assert worker.loads.retrying(others) == count
    worker.die()


def test_threads_count_under_the_lock(tmp_path: Path) -> None:
    """The portable lane's tally does the same."""
    publish(tmp_path / "state", backends(1, 2), slots=4)
    worker = Process(tmp_path / "state")
    tally = LockedTally(worker.slot)
    entered = tally.enter_retry(worker.members[0])
    assert worker.loads.retrying(worker.members) == 1
    tally.leave_retry(entered)
    assert worker.loads.retrying(worker.members) == 0
    tally.refuse_retry(worker.members[0])
    assert worker.file.cells[entered.block + Counter.REFUSED] == 1
    worker.die()
