"""Tiers and limits: who may take a request, and who must wait, also for a retry."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import FullError, UnavailableError
from lb.model import Wish
from lb.proxy.course import COMEBACK_S
from lb.proxy.waiting import QueueLimits
from lb.shm import publish
from tests.proxy.house import House, Rival, a_request, backend
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lb.model import Backend
    from tests.proxy.house import Guest

PATIENCE_S = 30.0
SHORT_S = 0.6


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(*backends: Backend, hold_s: float = 0.0) -> House:
        limits = QueueLimits(timeout_s=PATIENCE_S, hold_s=hold_s)
        houses.append(House(tmp_path / "state", backends, limits))
        return houses[-1]

    yield make
    for each in houses:
        each.close()


@pytest.fixture
def rival(tmp_path: Path, house: Callable[..., House]) -> Iterator[Callable[[], Rival]]:
    rivals: list[Rival] = []

    def make() -> Rival:
        rivals.append(Rival(tmp_path / "state"))
        return rivals[-1]

    yield make
    for each in rivals:
        each.close()


def names(guests: list[Guest]) -> list[str]:
    backends = [guest.settle().request.backend for guest in guests]
    return sorted(b.name for b in backends if b is not None)


def test_each_backend_gets_what_it_may_have_and_no_more(
    house: Callable[..., House],
) -> None:
    """What one cannot take goes to the others; who has no limit takes all."""
    full = house(backend(1, limit=1), backend(2, limit=3))
    guests = [full.come() for _ in range(4)]
    assert names(guests) == ["b1", "b2", "b2", "b2"]
    assert [full.in_flight(row) for row in (0, 1)] == [1, 3]
    with pytest.raises(FullError):
        full.set.take(a_request())
    for guest in guests:
        guest.leave()


def test_the_limit_counts_what_all_processes_do(
    house: Callable[..., House], rival: Callable[[], Rival]
) -> None:
    full = house(backend(1, limit=2))
    other = rival()
    other.enter()
    inside = full.come()
    with pytest.raises(FullError):
        full.set.take(a_request())
    assert full.in_flight() == 2, "who found no room is not counted"
    other.leave()
    inside.leave()


def test_one_without_a_limit_is_never_full(house: Callable[..., House]) -> None:
    open_house = house(backend(1, limit=1), backend(2))
    guests = [open_house.come() for _ in range(9)]
    assert names(guests) == ["b1"] + ["b2"] * 8
    for guest in guests:
        guest.leave()


def test_backups_serve_only_while_no_other_may(house: Callable[..., House]) -> None:
    """Not while the others are full: then requests wait."""
    tiers = house(backend(1, limit=1), backend(2, backup=True))
    first, second = tiers.come(), tiers.come()
    assert not second.is_settled
    assert tiers.set.excluded() == [
        (tiers.live("b1"), "full"),
        (tiers.live("b2"), "backup"),
    ]
    tiers.file.set_wish(0, Wish.MAINT)
    assert names([second]) == ["b2"]
    tiers.file.set_wish(0, Wish.READY)
    first.leave()
    second.leave()
    third = tiers.come()
    assert names([third]) == ["b1"]
    third.leave()


def test_a_backup_takes_over_when_all_others_fail_a_request(
    house: Callable[..., House],
) -> None:
    """Before the checker knows; the least busy one of several."""
    tiers = house(backend(1), backend(2), backend(3, backup=True))
    tiers.transport.refused |= {1, 2}
    guest = tiers.come()
    assert names([guest]) == ["b3"]
    assert guest.request.attempts == 3
    guest.leave()


def test_a_retry_waits_where_the_others_are_full(house: Callable[..., House]) -> None:
    """It does not fail for want of room, and it goes over no limit."""
    full = house(backend(1), backend(2, limit=1))
    inside = [full.come(), full.come()]
    full.transport.refused.add(1)
    live = full.live("b1")
    inside[0].leave()
    live.close_idle()
    retried = full.come()
    wait_for(lambda: 1 in full.transport.asked[2:], "the attempt at b1")
    assert not retried.is_settled
    assert full.in_flight(1) == 1
    inside[1].leave()
    assert names([retried]) == ["b2"]
    assert retried.request.attempts == 2
    assert retried.request.tried == (live.id, 0, 0)
    retried.leave()


def test_a_retry_on_a_new_connection_keeps_the_limit_too(
    house: Callable[..., House], rival: Callable[[], Rival]
) -> None:
    """Another took its place when its stale connection failed: it waits for it."""
    full = house(backend(1, limit=1))
    other = rival()
    full.come().leave()
    (stale,) = full.transport.made
    stale.is_stale = True
    stale.before_read = other.enter
    guest = full.come()
    assert not guest.is_settled
    assert full.in_flight() == 1
    other.leave()
    guest.leave()
    assert guest.request.attempts == 2


def test_a_drained_backend_gets_no_retry_either(house: Callable[..., House]) -> None:
    draining = house(backend(1))
    draining.come().leave()
    (stale,) = draining.transport.made
    stale.is_stale = True
    stale.before_read = lambda: draining.file.set_wish(0, Wish.DRAIN)
    assert draining.come().settle().error
    assert len(draining.transport.made) == 1


def test_a_backend_may_be_removed_while_requests_wait_for_it(
    house: Callable[..., House], tmp_path: Path
) -> None:
    """They go to what there is then; who is under way there ends well."""
    full = house(backend(1, limit=1))
    inside, waiting = full.come(), full.come()
    publish(tmp_path / "state", [backend(2, limit=1)], replace=True)
    assert names([waiting]) == ["b2"]
    inside.leave()
    waiting.leave()


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_backends_that_redeploy_cost_time_not_errors(
    house: Callable[..., House], method: bytes, count: int
) -> None:
    """Held after refused connects, as nothing was sent; they are left alone between.

    Also where there are more of them than attempts.
    """
    ids = range(1, count + 1)
    held = house(*map(backend, ids), hold_s=PATIENCE_S)
    held.transport.refused.update(ids)
    begun = monotonic()
    guest = held.come(method)
    wait_for(lambda: len(held.transport.asked) == 5 * count, "some further attempts")
    assert monotonic() - begun >= 4 * COMEBACK_S
    held.transport.refused.clear()
    guest.leave()
    assert guest.request.attempts > held.set.attempts


@pytest.mark.parametrize("count", [1, 5])
def test_who_is_held_in_vain_is_told_so_in_time(
    house: Callable[..., House], count: int
) -> None:
    ids = range(1, count + 1)
    held = house(*map(backend, ids), hold_s=SHORT_S)
    held.transport.refused.update(ids)
    begun = monotonic()
    error = held.come().settle().error
    assert isinstance(error, UnavailableError)
    assert SHORT_S <= monotonic() - begun < SHORT_S + 1


def test_only_failed_connects_repeat_beyond_the_attempts(
    house: Callable[..., House],
) -> None:
    """A request that a backend dies of is not sent to it again and again."""
    held = house(backend(1), hold_s=PATIENCE_S)
    connect = held.transport.connect

    def dying(*arguments: object) -> object:
        stream = connect(*arguments)  # type: ignore[arg-type]
        stream.is_stale = True
        return stream

    held.transport.connect = dying  # type: ignore[method-assign,assignment]
    assert held.come().settle().error
    assert len(held.transport.made) == held.set.attempts
