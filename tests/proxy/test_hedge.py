"""Hedging: a second backend is asked beside a slow one, and the first answer wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event

from lb.balance.ask import NO_ASK
from lb.balance.round_robin import RoundRobin
from lb.balance.set_cookie import CookieAttributes
from lb.balance.sticky import Sticky
from lb.errors import ClientGoneError, ConnectRefusedError, TerminatedError
from lb.http1.request import RequestParser
from lb.proxy.backend_set import Judging
from lb.proxy.budget import BudgetLimits
from lb.proxy.exchange import Request
from lb.proxy.retry import RetryOptions
from lb.streams.race import race
from lb.upstream.backend import LiveBackend
from tests.proxy.test_engine import CLOSES, OK, REFUSES, Scene, Script
from tests.streams.pairs import PATIENCE_S, hub_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lb.proxy.exchange import Response
    from tests.proxy.test_engine import Step

    Make = Callable[..., Scene]

HEDGE_S = 0.02
HEDGED = RetryOptions(hedge_s=HEDGE_S)
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"


class Slow(Script):
    """Says its lines when it is told to go on."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(*steps)
        self.go = Event()
        self.interruption: Exception | None = None

    def read(self) -> bytes:
        assert self.go.wait(PATIENCE_S)
        if self.interruption is not None:
            raise self.interruption
        return super().read()

    def interrupt(self, error: Exception) -> None:
        self.interruption = error
        self.go.set()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes scenes; when all is over, nothing is in flight nor tried again."""
    made: list[Scene] = []

    def scene(**options: object) -> Scene:
        options = {"options": HEDGED, "race": race} | options
        made.append(Scene(tmp_path / f"state{len(made)}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield scene
    for one in made:
        assert (one.in_flight(), retrying(one)) == ([0, 0], 0)
        one.close()


def once(condition: Callable[[], object], act: Callable[[], object]) -> None:
    """Do something as soon as the condition holds, while others go on."""

    def wait() -> None:
        hub_until(condition)
        act()

    gevent.spawn(wait)


def failures(scene: Scene) -> int:
    """Attempts that failed at any backend."""
    return sum(sum(t.failures.values()) for t in scene.file.totals().values())


def refused(scene: Scene) -> int:
    """Second attempts that the budget did not bear."""
    return sum(t.refused_retries for t in scene.file.totals().values())


def retrying(scene: Scene) -> int:
    """Requests that are counted in the budget now."""
    return scene.file.in_flight_reader().retrying([0, 1])


def test_the_second_answer_wins_and_the_first_attempt_is_cancelled(
    make: Make,
) -> None:
    scene = make()
    slow, quick = Slow(OK), Script(SECOND)
    scene.script(1, slow)
    scene.script(2, quick)
    request, response = scene.exchange()
    assert response.body.first == b"second"
    assert (slow.is_closed, quick.is_closed) == (True, False)
    assert scene.in_flight() == [0, 1]
    assert retrying(scene) == 1, "it is a retry until its response is over"
    assert request.backend is not None
    assert (request.attempts, request.backend.name) == (2, "b2")
    assert request.to_head_s >= 0
    response.finish()
    assert not quick.is_closed, "it is kept for the next"
    totals = scene.file.totals()
    assert [totals[b.id].attempts for b in scene.file.backends()] == [1, 1]
    assert [totals[b.id].retries for b in scene.file.backends()] == [0, 1]


def test_an_answer_in_time_costs_no_second_attempt(make: Make) -> None:
    scene = make(options=RetryOptions(hedge_s=PATIENCE_S))
    scene.script(1, Script(OK))
    request, response = scene.exchange()
    assert (request.attempts, scene.ports(), retrying(scene)) == (1, [1], 0)
    response.finish()


def test_the_first_may_still_win_and_the_second_is_cancelled(make: Make) -> None:
    scene = make()
    first, second = Slow(OK), Slow(SECOND)
    scene.script(1, first)
    scene.script(2, second)
    answers: list[Response] = []
    asking = gevent.spawn(lambda: answers.append(scene.exchange()[1]))
    hub_until(lambda: second.written)
    assert (scene.in_flight(), retrying(scene)) == ([1, 1], 1)
    first.go.set()
    asking.join(PATIENCE_S)
    assert answers[0].body.first == b"ok"
    assert (first.is_closed, second.is_closed) == (False, True)
    assert (scene.in_flight(), retrying(scene)) == ([1, 0], 0)
    answers[0].finish()


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_a_post_is_never_hedged(make: Make, method: bytes) -> None:
    scene = make(options=RetryOptions(hedge_s=0.001))
    slow = Slow(OK)
    scene.script(1, slow)
    gevent.spawn_later(0.1, slow.go.set)
    request, response = scene.exchange(method)
    assert (request.attempts, scene.ports()) == (1, [1])
    response.finish()


def test_a_request_of_a_session_waits_for_its_own_backend(make: Make) -> None:
    """Another would answer without the session, and its cookie would take it over."""
    scene = make()
    sticky = Sticky[LiveBackend](RoundRobin(0), (b"k" * 16,), CookieAttributes())
    scene.roster.refresh()
    scene.set.use_policy(sticky, "sticky")
    own = scene.set.members[0]
    cookie, _, _ = sticky.answer(NO_ASK, own).partition(b";")
    data = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %b\r\n\r\n" % cookie
    head = RequestParser(limit_bytes=4096).parse(data)
    assert head is not None
    slow = Slow(OK)
    scene.script(1, slow)
    gevent.spawn_later(5 * HEDGE_S, slow.go.set)
    request = Request(head, data)
    response = scene.engine.exchange(request)
    assert (request.backend, request.attempts, scene.ports()) == (own, 1, [1])
    response.finish()


def test_over_the_budget_the_first_is_waited_for(make: Make) -> None:
    scene = make(options=RetryOptions(BudgetLimits(0, 0), hedge_s=HEDGE_S))
    slow = Slow(OK)
    scene.script(1, slow)
    once(lambda: refused(scene), slow.go.set)
    request, response = scene.exchange()
    assert (request.attempts, scene.ports()) == (1, [1])
    (total,) = [t for t in scene.file.totals().values() if t.attempts]
    assert total.refused_retries == 1
    response.finish()


def test_attempts_are_bounded_with_hedges_too(make: Make) -> None:
    scene = make(attempts=1)
    slow = Slow(OK)
    scene.script(1, slow)
    gevent.spawn_later(5 * HEDGE_S, slow.go.set)
    request, response = scene.exchange()
    assert request.attempts == 1
    response.finish()


@pytest.mark.parametrize("fault", [Script(CLOSES), REFUSES])
def test_a_second_that_fails_leaves_it_to_the_first(
    make: Make, fault: Script | Exception
) -> None:
    scene = make()
    slow = Slow(OK)
    scene.script(1, slow)
    scene.script(2, fault)
    once(lambda: failures(scene), slow.go.set)
    request, response = scene.exchange()
    assert (response.body.first, request.attempts) == (b"ok", 2)
    assert failures(scene) == 1
    assert retrying(scene) == 0
    response.finish()


def test_a_first_that_fails_later_leaves_it_to_the_second(make: Make) -> None:
    """It is not tried again at the backend that is being asked already."""
    scene = make()
    first, second = Slow(CLOSES), Slow(SECOND)
    scene.script(1, first)
    scene.script(2, second)
    answers: list[Response] = []
    asking = gevent.spawn(lambda: answers.append(scene.exchange()[1]))
    hub_until(lambda: second.written)
    first.go.set()
    hub_until(lambda: scene.in_flight() == [0, 1])
    second.go.set()
    asking.join(PATIENCE_S)
    assert answers[0].body.first == b"second"
    assert scene.ports() == [1, 2]
    answers[0].finish()


def test_if_both_fail_the_first_error_is_the_clients(make: Make) -> None:
    scene = make()
    first, second = Slow(CLOSES), Slow(b"garbage\r\n\r\n")
    scene.script(1, first)
    scene.script(2, second)
    once(lambda: second.written, first.go.set)
    once(lambda: failures(scene), second.go.set)
    with pytest.raises(TerminatedError):
        scene.exchange()


@pytest.mark.parametrize("statuses", [frozenset({503}), frozenset()])
def test_a_failing_answer_of_the_second_does_not_beat_a_slow_first(
    make: Make, statuses: frozenset[int]
) -> None:
    """A backend that refuses at once is not the better one."""
    scene = make(options=RetryOptions(hedge_s=HEDGE_S, statuses=statuses))
    scene.set.use_judging(Judging(faults=frozenset({503})))
    slow, quick = Slow(OK), Script(BUSY)
    scene.script(1, slow)
    scene.script(2, quick)
    once(lambda: quick.written and not quick.steps, slow.go.set)
    request, response = scene.exchange()
    assert (response.body.first, request.attempts) == (b"ok", 2)
    assert request.backend is not None
    assert request.backend.name == "b1"
    assert retrying(scene) == 0
    faults = [scene.file.faults(b.row, b.id).faults for b in scene.file.backends()]
    assert faults == [0, 1]
    response.finish()


def test_a_failing_answer_of_the_first_leaves_it_to_the_second(make: Make) -> None:
    scene = make(options=RetryOptions(hedge_s=HEDGE_S, statuses=frozenset({503})))
    first, second = Slow(BUSY), Slow(SECOND)
    scene.script(1, first)
    scene.script(2, second)
    once(lambda: second.written, first.go.set)
    once(lambda: not first.steps, second.go.set)
    request, response = scene.exchange()
    assert response.body.first == b"second"
    assert scene.in_flight() == [0, 1]
    assert request.connection is response.connection
    response.finish()


def test_if_both_answers_fail_it_is_the_firsts(make: Make) -> None:
    scene = make(options=RetryOptions(hedge_s=HEDGE_S, statuses=frozenset({503})))
    first, second = Slow(BUSY), Slow(BUSY.replace(b"busy", b"also"))
    scene.script(1, first)
    scene.script(2, second)
    once(lambda: second.written, first.go.set)
    once(lambda: not first.steps, second.go.set)
    request, response = scene.exchange()
    assert response.body.first == b"busy"
    assert request.connection is response.connection
    assert (scene.in_flight(), retrying(scene)) == ([1, 0], 0)
    response.finish()


def test_a_client_that_leaves_ends_a_second_that_a_failing_first_waits_for(
    make: Make,
) -> None:
    scene = make(options=RetryOptions(hedge_s=HEDGE_S, statuses=frozenset({503})))
    first, second = Slow(BUSY), Slow(SECOND)
    scene.script(1, first)
    scene.script(2, second)
    request = scene.request()
    asking = gevent.spawn(ask_until_gone, scene, request)
    hub_until(lambda: second.written)
    first_connection = request.connection
    first.go.set()
    hub_until(lambda: request.connection is not first_connection)
    leave(request)
    assert asking.get(timeout=PATIENCE_S)
    assert second.is_closed


def test_a_first_that_fails_at_once_is_retried_as_ever(make: Make) -> None:
    scene = make(options=RetryOptions(hedge_s=PATIENCE_S))
    scene.script(1, REFUSES)
    scene.script(2, Script(OK))
    request, response = scene.exchange()
    assert (request.attempts, scene.ports()) == (2, [2])
    response.finish()
    scene.script(1, REFUSES)
    scene.set.members[1].close_idle()
    scene.script(2, REFUSES)
    with pytest.raises(ConnectRefusedError):
        scene.exchange()


def test_a_client_that_leaves_ends_both(make: Make) -> None:
    scene = make()
    first, second = Slow(OK), Slow(SECOND)
    scene.script(1, first)
    scene.script(2, second)
    request = scene.request()
    asking = gevent.spawn(ask_until_gone, scene, request)
    hub_until(lambda: second.written)
    leave(request)
    assert asking.get(timeout=PATIENCE_S)
    assert (first.is_closed, second.is_closed) == (True, True)


def ask_until_gone(scene: Scene, request: Request) -> bool:
    """Whether its client had gone before there was an answer."""
    try:
        scene.engine.exchange(request)
    except ClientGoneError:
        return True
    return False


def leave(request: Request) -> None:
    """What the session does when its client has gone."""
    request.is_abandoned = True
    assert request.connection is not None
    request.connection.stream.interrupt(ClientGoneError("left"))


def test_without_a_race_nothing_is_hedged(make: Make) -> None:
    """The portable lane's threads cannot be interrupted."""
    scene = make(race=None, options=RetryOptions(hedge_s=0.001))
    slow = Slow(OK)
    scene.script(1, slow)
    gevent.spawn_later(0.05, slow.go.set)
    request, response = scene.exchange()
    assert request.attempts == 1
    response.finish()


def test_what_may_be_hedged_leaves_the_short_cut_before_it_begins(make: Make) -> None:
    scene = make()
    scene.warm_next(OK)
    request = scene.request()
    assert scene.engine.begin(request, 0.0) is None
    assert (request.backend, scene.in_flight()) == (None, [0, 0])
    post = scene.request(b"POST")
    assert scene.engine.begin(post, 0.0) is not None
    scene.engine.drop(post)
