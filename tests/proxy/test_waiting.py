"""The line: in order, bounded, with deadlines, and nobody is ever forgotten."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lb.errors import ClientGoneError, FullError, UnavailableError
from lb.model import Wish
from lb.proxy.waiting import LOOK_S, QueueLimits
from tests.proxy.house import Guest, House, Rival, a_request, backend
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.model import Backend

LIMIT, LINE = 2, 4
PATIENCE_S = 30.0
SOON_S = 0.1
MARGIN_S = 1.0
"""How late a deadline may be noticed on a busy machine."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(
        *backends: Backend, size: int = LINE, timeout_s: float = PATIENCE_S, hold_s=0.0
    ) -> House:
        limits = QueueLimits(size=size, timeout_s=timeout_s, hold_s=hold_s)
        houses.append(House(tmp_path / "state", backends, limits))
        return houses[-1]

    yield make
    for each in houses:
        each.close()


def test_room_goes_to_the_first_in_line_at_once(house: Callable[..., House]) -> None:
    """By who makes it, not at the next look."""
    full = house(backend(1, limit=1))
    inside, first, second = full.come(), full.come(), full.come()
    assert (inside.is_settled, first.is_settled, len(full.line)) == (True, False, 2)
    inside.leave()
    first.settle()
    assert not second.is_settled
    assert first.request.queued_s > 0
    assert inside.request.queued_s < 0, "it did not wait"
    first.leave()
    second.leave()
    assert len(full.transport.made) == 1, "the connection went with the room"


def test_nobody_goes_past_those_that_wait(house: Callable[..., House]) -> None:
    """Neither by `exchange` nor by the short cut, even where there is room."""
    full = house(backend(1, limit=1))
    inside, first = full.come(), full.come()
    cell = full.live("b1").cells.in_flight
    full.file.cells[cell] -= 1  # room that nobody was told of
    shortcut = full.engine.begin(a_request(), monotonic())
    full.file.cells[cell] += 1
    assert shortcut is None
    second = full.come()
    inside.leave()
    first.leave()
    second.leave()


def test_the_line_is_bounded(house: Callable[..., House]) -> None:
    full = house(backend(1, limit=1), size=2)
    guests = [full.come() for _ in range(4)]
    error = guests[3].settle().error
    assert isinstance(error, FullError)
    assert (error.status, error.label) == (503, "connection_limit_reached")
    assert "2 requests wait already" in error.detail
    for guest in guests[:3]:
        guest.leave()


def test_a_wait_ends_at_its_deadline(house: Callable[..., House]) -> None:
    full = house(backend(1, limit=1), timeout_s=SOON_S)
    inside = full.come()
    begun = monotonic()
    error = full.come().settle().error
    took_s = monotonic() - begun
    assert isinstance(error, FullError)
    assert SOON_S <= took_s < SOON_S + MARGIN_S
    assert not len(full.line)
    inside.leave()


def test_no_patience_is_no_wait(house: Callable[..., House]) -> None:
    full = house(backend(1, limit=1), timeout_s=0.0)
    inside = full.come()
    assert isinstance(full.come().error, FullError)
    inside.leave()


def test_who_left_is_dropped_wherever_he_stands(house: Callable[..., House]) -> None:
    """Within moments, and the others keep their order."""
    full = house(backend(1, limit=1))
    inside, *line = (full.come() for _ in range(4))
    line[1].request.is_abandoned = True
    assert isinstance(line[1].settle().error, ClientGoneError)
    assert len(full.line) == 2
    for guest in (inside, line[0], line[2]):
        guest.leave()


def test_one_that_left_after_it_was_served_gives_its_room_back(
    house: Callable[..., House],
) -> None:
    """It leaves between being given a backend and waking up."""
    full = house(backend(1, limit=1))
    inside = full.come()
    waiting = full.come()
    waiting.request.is_abandoned = True
    inside.leave()
    assert isinstance(waiting.settle().error, ClientGoneError)
    assert full.in_flight() == 0


def test_a_fault_of_the_policy_is_told_to_whose_request_it_is(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to the one that made room, nor to the one that looks."""
    full = house(backend(1, limit=1))
    inside, waiting = full.come(), full.come()

    def broken(_: object) -> None:
        raise LookupError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(full.set.policy, "choose", broken)
        inside.leave()
        assert isinstance(waiting.settle().error, LookupError)
    full.come().leave()


def test_room_that_another_process_makes_is_noticed(
    house: Callable[..., House], tmp_path: Path
) -> None:
    full = house(backend(1, limit=1))
    rival = Rival(tmp_path / "state")
    rival.enter()
    waiting = full.come()
    assert not waiting.is_settled
    rival.leave()
    waiting.leave()
    rival.close()


def test_a_process_lets_one_go_first_that_waits_longer(
    house: Callable[..., House], tmp_path: Path
) -> None:
    """So that a busy one does not keep all room for itself; but not for long."""
    full = house(backend(1, limit=1))
    rival = Rival(tmp_path / "state")
    inside, waiting = full.come(), full.come()
    rival.turns.wait_since(monotonic() - 1)
    newcomer_passes = full.line.lets_pass()
    inside.leave()
    assert not waiting.is_settled, "it is the other's turn"
    assert not newcomer_passes
    assert waiting.settle().response, "the other did not come: it hangs"
    waiting.leave()
    rival.close()


def test_while_all_are_down_requests_are_held(house: Callable[..., House]) -> None:
    """And served in order as soon as one is up again."""
    held = house(backend(1), hold_s=PATIENCE_S)
    held.file.set_wish(0, Wish.MAINT)
    guests = [held.come() for _ in range(3)]
    assert not any(guest.is_settled for guest in guests)
    held.file.set_wish(0, Wish.READY)
    for guest in guests:
        guest.leave()


def test_unless_told_so_nobody_is_held(house: Callable[..., House]) -> None:
    down = house(backend(1))
    down.file.set_wish(0, Wish.MAINT)
    error = down.come().error
    assert isinstance(error, UnavailableError)
    assert error.label == "destination_unavailable"


def test_a_line_behind_backends_that_went_down_does_not_grow(
    house: Callable[..., House],
) -> None:
    """Those in it may wait on; who comes now is told at once that all are down."""
    full = house(backend(1, limit=1))
    inside, waiting = full.come(), full.come()
    full.file.set_wish(0, Wish.MAINT)
    error = full.come().settle().error
    assert isinstance(error, UnavailableError)
    assert error.label == "destination_unavailable"
    assert not waiting.is_settled
    inside.leave()
    full.file.set_wish(0, Wish.READY)
    waiting.leave()


def test_who_is_held_too_long_is_told_that_all_are_down(
    house: Callable[..., House],
) -> None:
    down = house(backend(1), hold_s=SOON_S)
    down.file.set_wish(0, Wish.MAINT)
    error = down.come().settle().error
    assert error is not None
    assert (type(error), error.args) == (
        UnavailableError,
        ("no backend of the set default is up and ready",),
    )


def test_nobody_looks_once_the_line_is_empty(house: Callable[..., House]) -> None:
    """There is one thread that looks while somebody waits, and none after."""

    def lookers() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name == "queue"]

    full = house(backend(1, limit=1))
    guests = [full.come() for _ in range(4)]
    assert len(lookers()) == 1
    for guest in guests:
        guest.leave()
    wait_for(lambda: not lookers(), "the look-out to end", timeout_s=1 + 10 * LOOK_S)


class LineMachine(RuleBasedStateMachine):
    """Two backends with limits, a rival process, and requests that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "state"
        limits = QueueLimits(size=LINE, timeout_s=PATIENCE_S, hold_s=PATIENCE_S)
        self.house = House(
            path, [backend(1, limit=LIMIT), backend(2, limit=LIMIT)], limits
        )
        self.rival = Rival(path)
        self.rivals = [0, 0]
        self.down = [False, False]
        self.inside: list[Guest] = []
        self.line: list[Guest] = []

    def room(self) -> int:
        """Places at backends that are up."""
        return sum(
            max(0, LIMIT - self.house.in_flight(row))
            for row in (0, 1)
            if not self.down[row]
        )

    def is_settled(self) -> bool:
        """Whether everybody is in one place: who is given room is in two before."""
        waiting = len(self.house.line)
        places = waiting + self.house.in_flight(0) + self.house.in_flight(1)
        everybody = len(self.inside) + len(self.line) + sum(self.rivals)
        return places == everybody and not (waiting and self.room())

    def settle(self) -> None:
        """Wait until room and line agree; whoever got in did so in order."""
        wait_for(self.is_settled, "the first in line to be given the room")
        left = len(self.house.line)
        served = self.line[: len(self.line) - left]
        self.line = self.line[len(served) :]
        for guest in served:
            assert guest.settle().response, guest.error
        self.inside += served
        assert not any(guest.is_settled for guest in self.line), "first in, first out"

    @rule()
    def come(self) -> None:
        is_full = len(self.line) == LINE
        guest = self.house.come()
        if guest.error:
            assert is_full, guest.error
            assert isinstance(guest.error, FullError)
        else:
            self.line.append(guest)
        self.settle()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1))).leave()
        self.settle()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        guest = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
        guest.request.is_abandoned = True
        assert isinstance(guest.settle().error, ClientGoneError)
        self.settle()

    @rule(row=st.integers(0, 1))
    def rival_enters(self, row: int) -> None:
        if not len(self.line) and self.house.in_flight(row) < LIMIT:
            self.rival.enter(row)
            self.rivals[row] += 1

    @precondition(lambda self: any(self.rivals))
    @rule(data=st.data())
    def rival_leaves(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([r for r in (0, 1) if self.rivals[r]]))
        self.rival.leave(row)
        self.rivals[row] -= 1
        self.settle()

    @rule(row=st.integers(0, 1))
    def goes_down_or_up(self, row: int) -> None:
        self.down[row] = not self.down[row]
        self.house.file.set_wish(row, Wish.MAINT if self.down[row] else Wish.READY)
        self.settle()

    @invariant()
    def counts_are_true_and_bounded(self) -> None:
        counts = [self.house.in_flight(row) for row in (0, 1)]
        assert sum(counts) == len(self.inside) + sum(self.rivals)
        assert max(counts) <= LIMIT
        assert len(self.house.line) == len(self.line) <= LINE

    def teardown(self) -> None:
        for row in (0, 1):
            self.house.file.set_wish(row, Wish.READY)
            for _ in range(self.rivals[row]):
                self.rival.leave(row)
        self.rivals, self.down = [0, 0], [False, False]
        while self.inside or self.line:
            leaving, self.inside = self.inside, []
            for guest in leaving:
                guest.leave()
            self.settle()
        self.house.close()
        self.rival.close()
        self._folder.cleanup()


LineMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None
)
TestLine = LineMachine.TestCase
