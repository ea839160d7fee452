"""What the engine tries again: budget, statuses, deadline, limits, backups, POST."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import (
    AttemptError,
    ConnectRefusedError,
    DeadlineError,
    FullError,
    ResponseError,
    TerminatedError,
)
from lb.http1.request import RequestParser
from lb.model import Address, Backend
from lb.proxy.budget import BudgetLimits
from lb.proxy.exchange import Request
from lb.proxy.retry import RetryOptions
from lb.proxy.upload import Upload
from lb.proxy.waiting import QueueLimits
from tests.proxy.test_engine import CLOSES, HANGS, OK, REFUSES, Scene, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lb.proxy.exchange import Response

    Make = Callable[..., Scene]

ONCE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
"""Its connection is not used again: each request meets a script of its own."""

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
LONG_BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nbusy"
GARBAGE = b"220 mail.example ESMTP\r\n\r\n"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes scenes; when all is over, nothing is in flight nor tried again."""
    made: list[Scene] = []

    def scene(**options: object) -> Scene:
        # One at a time: each is a process of its own.
        one = Scene(tmp_path / f"state{len(made)}", **options)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield scene
    for one in made:
        assert one.in_flight() == [0, 0]
        assert retrying(one) == 0
        one.close()


def retrying(scene: Scene) -> int:
    """Requests that are counted in the budget now."""
    rows = [state.row for state in scene.file.backends()]
    return scene.file.in_flight_reader().retrying(rows)


def refused(scene: Scene) -> int:
    """Retries that the budget refused so far."""
    return sum(total.refused_retries for total in scene.file.totals().values())


def turn_to(scene: Scene, port: int) -> None:
    """Let the next choice be the backend at `port`."""
    while scene.turn().address.port == port:
        pass


def ask(scene: Scene, method: bytes = b"GET", *, first: int = 1) -> Response:
    """The response to a request whose first backend is `first`."""
    turn_to(scene, first)
    return scene.exchange(method)[1]


# Budget ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [CLOSES, GARBAGE])
def test_over_the_budget_the_error_goes_to_the_client_and_is_counted(
    make: Make, fault: bytes
) -> None:
    scene = make(options=RetryOptions(BudgetLimits(20, 2)))
    scene.script(1, *[Script(fault) for _ in range(5)])
    scene.script(2, *[Script(ONCE) for _ in range(3)])
    held = [ask(scene), ask(scene)]
    assert retrying(scene) == 2, "they are tried again until their responses are over"
    with pytest.raises(AttemptError) as caught:
        ask(scene)
    assert "over the budget" in caught.value.detail
    assert (retrying(scene), refused(scene)) == (2, 1)
    held.pop().finish()
    assert retrying(scene) == 1
    held.append(ask(scene))
    assert refused(scene) == 1
    for response in held:
        response.close()


def test_what_a_backend_fails_as_it_begins_to_may_go_over_the_budget(
    make: Make,
) -> None:
    """And takes no room in it from others."""
    scene = make(options=RetryOptions(BudgetLimits(0, 1, grace_s=60)))
    scene.script(1, *[Script(GARBAGE) for _ in range(3)])
    scene.script(2, *[Script(ONCE) for _ in range(3)])
    held = [ask(scene), ask(scene), ask(scene)]
    assert (retrying(scene), refused(scene)) == (1, 0)
    for response in held:
        response.finish()


def test_a_share_of_the_requests_in_flight_may_be_retries(make: Make) -> None:
    scene = make(options=RetryOptions(BudgetLimits(50, 0)))
    scene.script(1, *[Script(CLOSES) for _ in range(5)])
    scene.script(2, *[Script(ONCE) for _ in range(8)])
    held = [ask(scene, first=2) for _ in range(4)]
    held += [ask(scene), ask(scene), ask(scene)]
    assert (retrying(scene), len(held)) == (3, 7)
    with pytest.raises(TerminatedError):
        make_one_more_than_half(scene)
    for response in held:
        response.finish()


def make_one_more_than_half(scene: Scene) -> None:
    """Four of seven would be."""
    ask(scene)


def test_requests_of_a_backend_that_died_go_elsewhere_whatever_the_budget(
    make: Make,
) -> None:
    """Over the budget it is looked, once for many, whether anybody listens there."""
    scene = make(options=RetryOptions(BudgetLimits(0, 0)))
    scene.script(1, Script(CLOSES), REFUSES, Script(CLOSES), Script(OK))
    scene.script(2, Script(ONCE))
    response = ask(scene)
    assert (retrying(scene), refused(scene)) == (0, 0)
    response.finish()
    with pytest.raises(TerminatedError):
        ask(scene)  # it lives again
    scene.script(1, Script(CLOSES), REFUSES)
    with pytest.raises(TerminatedError):
        ask(scene)  # it did, a moment ago
    assert refused(scene) == 2


def test_no_post_goes_elsewhere_because_its_backend_died(make: Make) -> None:
    scene = make(options=RetryOptions(BudgetLimits(0, 0)))
    scene.script(1, Script(CLOSES), REFUSES)
    with pytest.raises(TerminatedError):
        ask(scene, b"POST")


def test_what_reached_no_backend_costs_no_budget(make: Make) -> None:
    """Or none could die without errors: refused connects, and stale connections."""
    scene = make(options=RetryOptions(BudgetLimits(0, 0)))
    scene.script(1, REFUSES)
    scene.script(2, Script(ONCE), Script(ONCE))
    ask(scene, b"POST").finish()
    stale = scene.warm(1, CLOSES)
    turn_to(scene, 1)
    held = scene.exchange()[1]
    assert (held.head.status, retrying(scene)) == (200, 0)
    assert stale.is_closed
    held.finish()
    scene.script(1, Script(CLOSES), Script(OK))
    with pytest.raises(TerminatedError):
        ask(scene)
    assert refused(scene) == 1


def test_a_request_is_counted_once_however_often_it_fails(make: Make) -> None:
    scene = make(options=RetryOptions(BudgetLimits(0, 1)), backups=(3,))
    scene.script(1, Script(CLOSES))
    scene.script(2, Script(GARBAGE))
    scene.script(3, Script(ONCE))
    response = ask(scene)
    assert retrying(scene) == 1
    response.finish()


@pytest.mark.parametrize(
    "last", [Script(CLOSES), REFUSES, Script(b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n")]
)
def test_a_retry_that_fails_leaves_the_budget(
    make: Make, last: Script | Exception
) -> None:
    scene = make()
    scene.script(1, Script(CLOSES))
    scene.script(2, last)
    with pytest.raises(AttemptError):
        ask(scene)
    assert retrying(scene) == 0


def test_a_retry_that_waits_in_vain_leaves_the_budget(make: Make) -> None:
    scene = make(max_in_flight=1, queue=QueueLimits(size=9, timeout_s=0.05))
    scene.script(1, Script(CLOSES))
    scene.script(2, Script(ONCE))
    other = ask(scene, first=2)
    with pytest.raises(FullError):
        ask(scene)
    assert retrying(scene) == 0
    other.finish()


def test_a_tunnel_takes_no_budget_once_it_is_there(make: Make) -> None:
    scene = make()
    scene.script(1, Script(CLOSES))
    scene.script(2, Script(b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n"))
    turn_to(scene, 1)
    data = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    head = RequestParser(limit_bytes=4096).parse(data)
    assert head is not None
    response = scene.engine.exchange(Request(head, data))
    assert (response.head.status, retrying(scene)) == (101, 0)
    response.close()


def test_a_retry_stays_in_its_set(tmp_path: Path) -> None:
    """Also where another set has backends that are idle, and this one has none left."""
    ours = [Backend(f"a{p}", Address("127.0.0.1", p), group="api") for p in (1, 2)]
    other = Backend("b", Address("127.0.0.1", 3))
    scene = Scene(tmp_path / "sets", published=[other, *ours], name="api")
    for port in (1, 2):
        scene.script(port, REFUSES)
    scene.script(3, Script(OK))
    request = scene.request()
    with pytest.raises(ConnectRefusedError):
        scene.engine.exchange(request)
    assert (request.attempts, scene.ports()) == (2, [])
    scene.close()


def test_other_settings_are_followed_at_once(make: Make) -> None:
    scene = make(options=RetryOptions(BudgetLimits(0, 0)))
    scene.script(1, Script(CLOSES), Script(OK), Script(BUSY))
    scene.script(2, Script(ONCE), Script(ONCE))
    with pytest.raises(TerminatedError):
        ask(scene)
    scene.set.use_retries(3, RetryOptions(BudgetLimits(0, 1), frozenset({503})))
    response = ask(scene)
    assert (response.head.status, retrying(scene)) == (200, 1)
    response.finish()


# Statuses ----------------------------------------------------------------------

AGAIN = RetryOptions(statuses=frozenset({502, 503}))


@pytest.mark.parametrize("answer", [BUSY, LONG_BUSY])
def test_a_chosen_status_goes_elsewhere(make: Make, answer: bytes) -> None:
    scene = make(options=AGAIN)
    busy = Script(answer)
    scene.script(1, busy)
    scene.script(2, Script(OK))
    turn_to(scene, 1)
    request, response = scene.exchange()
    assert (response.head.status, request.attempts) == (200, 2)
    assert (scene.ports(), retrying(scene)) == ([1, 2], 1)
    assert busy.is_closed is (answer is LONG_BUSY), "a whole one keeps its connection"
    assert request.tried[0] != 0
    response.finish()


def test_the_last_answer_is_passed_on(make: Make) -> None:
    scene = make(options=AGAIN)
    scene.script(1, Script(BUSY))
    scene.script(2, Script(BUSY))
    response = ask(scene)
    assert (response.head.status, response.body.first) == (503, b"busy")
    assert scene.ports() == [1, 2]
    response.finish()


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_a_status_sends_no_post_elsewhere(make: Make, method: bytes) -> None:
    scene = make(options=AGAIN)
    scene.script(1, Script(BUSY))
    response = ask(scene, method)
    assert (response.head.status, scene.ports()) == (503, [1])
    response.finish()


def test_a_status_that_was_not_chosen_stands(make: Make) -> None:
    scene = make(options=AGAIN)
    scene.script(1, Script(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    response = ask(scene)
    assert (response.head.status, scene.ports()) == (500, [1])
    response.finish()


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 1},
        {"options": RetryOptions(BudgetLimits(0, 0), frozenset({503}))},
    ],
)
def test_without_attempts_or_budget_left_the_answer_stands(
    make: Make, options: dict[str, object]
) -> None:
    scene = make(**{"options": AGAIN} | options)
    scene.script(1, Script(BUSY))
    response = ask(scene)
    assert (response.head.status, retrying(scene)) == (503, 0)
    response.finish()


def test_an_answer_stands_where_no_other_backend_has_room(make: Make) -> None:
    scene = make(options=AGAIN, max_in_flight=1)
    scene.script(1, Script(BUSY))
    scene.script(2, Script(OK))
    other = ask(scene, first=2)
    response = ask(scene)
    assert (response.head.status, scene.in_flight()) == (503, [1, 1])
    assert retrying(scene) == 0
    for each in (response, other):
        each.finish()


class Sent:
    """A source whose body was read; `Upload` asks no more of it here."""

    is_done, rest, trailers = True, b"", []

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    take = read

    def wake(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(("keep_bytes", "status"), [(100, 200), (3, 503)])
def test_a_body_must_be_kept_to_go_elsewhere_for_a_status(
    make: Make, keep_bytes: int, status: int
) -> None:
    scene = make(options=AGAIN)
    scene.script(1, Script(BUSY))
    scene.script(2, Script(OK))
    turn_to(scene, 1)
    request = scene.request(b"PUT")
    request.upload = Upload(
        Sent(b"body"), length=4, keep_bytes=keep_bytes, limit_bytes=0
    )
    response = scene.engine.exchange(request)
    assert response.head.status == status
    response.finish()


def test_a_chosen_status_leaves_the_short_cut(make: Make) -> None:
    """And nothing of the answer is lost, should it stand."""
    scene = make(options=AGAIN)
    scene.warm(1, BUSY)
    scene.warm(2, BUSY)
    turn_to(scene, 1)
    request = scene.request()
    assert scene.engine.begin(request, monotonic()) is not None
    assert scene.engine.answer(request, monotonic()) is None
    response = scene.engine.exchange(request)
    assert (response.head.status, response.body.first) == (503, b"busy")
    assert request.attempts == 2
    response.finish()


def test_a_status_then_a_failure_is_that_failure(make: Make) -> None:
    scene = make(options=AGAIN)
    scene.script(1, Script(BUSY))
    scene.script(2, Script(GARBAGE))
    with pytest.raises(ResponseError):
        ask(scene)


# One deadline over all attempts ------------------------------------------------


def late(scene: Scene, left_s: float) -> Request:
    """A request with so much left of the 10 s that it has."""
    request = scene.request()
    request.began = monotonic() - 10 + left_s
    return request


def test_waits_are_cut_to_what_is_left_of_the_requests_time(make: Make) -> None:
    scene = make(request_s=10)
    asked: list[float] = []
    connect = scene.transport.connect

    def note(address: object, timeout_s: float) -> Script:
        asked.append(timeout_s)
        return connect(address, timeout_s)  # type: ignore[arg-type]

    scene.transport.connect = note  # type: ignore[method-assign]
    script = Script(OK)
    scene.script(1, script)
    deadlines: list[float] = []
    read = script.read

    def look() -> bytes:
        deadlines.append(script.deadline)
        return read()

    script.read = look  # type: ignore[method-assign]
    request = late(scene, 0.5)
    scene.engine.exchange(request).finish()
    assert 0 < asked[0] <= 0.5
    assert deadlines[0] <= request.began + 10


def test_a_request_whose_time_is_over_is_not_tried_again(make: Make) -> None:
    """A connect that is cut to the rest of the time says nothing of its backend."""
    scene = make(request_s=10)

    class Late(Script):
        def read(self) -> bytes:
            request.began -= 10
            return b""

    scene.script(1, Late())
    scene.script(2, Script(OK))
    request = late(scene, 5)
    with pytest.raises(DeadlineError) as caught:
        scene.engine.exchange(request)
    assert (caught.value.status, caught.value.label) == (504, "http_response_timeout")
    assert (scene.ports(), request.attempts) == ([1], 1)


def test_silence_until_the_requests_time_is_over_is_504(make: Make) -> None:
    scene = make(request_s=10)
    scene.script(1, Script(HANGS))
    with pytest.raises(AttemptError) as caught:
        scene.engine.exchange(late(scene, 5))
    assert caught.value.status == 504


def test_a_request_whose_time_is_over_never_begins(make: Make) -> None:
    scene = make(request_s=10)
    with pytest.raises(DeadlineError):
        scene.engine.exchange(late(scene, -1))
    assert scene.transport.made == []


def test_the_line_is_left_when_the_requests_time_is_over(make: Make) -> None:
    scene = make(request_s=10, max_in_flight=1, queue=QueueLimits(size=9, timeout_s=30))
    scene.script(1, Script(OK))
    scene.script(2, Script(OK))
    held = [scene.engine.exchange(late(scene, 10)) for _ in range(2)]
    began = monotonic()
    with pytest.raises(DeadlineError) as caught:
        scene.engine.exchange(late(scene, 0.05))
    assert monotonic() - began < 5
    assert caught.value.status == 504
    for response in held:
        response.finish()


def test_the_short_cut_waits_no_longer_than_the_requests_time(make: Make) -> None:
    scene = make(request_s=0.5)
    script = scene.warm_next(OK)
    request = scene.request()
    request.began = now = monotonic()
    assert scene.engine.begin(request, now) is not None
    assert script.deadline == now + 0.5
    assert scene.engine.answer(request, monotonic()) is not None


# Where a retry goes ------------------------------------------------------------


def test_backups_are_asked_when_all_others_have_failed(make: Make) -> None:
    scene = make(backups=(3,))
    scene.script(1, Script(CLOSES))
    scene.script(2, REFUSES)
    scene.script(3, Script(OK))
    turn_to(scene, 1)
    request, response = scene.exchange()
    assert (request.attempts, scene.ports()) == (3, [1, 3])
    response.finish()


def test_a_retry_keeps_limits_and_waits_for_room(make: Make) -> None:
    """It goes to none that is full, nor back to the one that failed."""
    scene = make(max_in_flight=1, queue=QueueLimits(size=9, timeout_s=5))
    scene.script(2, Script(OK, OK))
    other = ask(scene, first=2)

    class FreesTheOther(Script):
        def read(self) -> bytes:
            assert scene.in_flight() == [1, 1]
            other.finish()
            return b""

    scene.script(1, FreesTheOther())
    response = ask(scene)
    assert (response.head.status, scene.ports()) == (200, [2, 1])
    assert scene.in_flight() == [0, 1]
    response.finish()


FAULTS = {
    "closes": CLOSES,
    "garbage": GARBAGE,
    "half a head": b"HTTP/1.1 200 OK\r\nConte",
    "busy": BUSY,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"LOCK"])
@pytest.mark.parametrize("is_warm", [True, False])
def test_no_option_sends_a_post_to_two_backends(
    make: Make, fault: str, method: bytes, is_warm: bool
) -> None:
    """Whatever the budget, the statuses and the hedge allow to others."""
    generous = RetryOptions(BudgetLimits(100, 100), frozenset(range(400, 600)), 0.001)
    scene = make(options=generous, attempts=16)
    steps = (FAULTS[fault], CLOSES)
    if is_warm:
        scene.warm(1, *steps)
    else:
        scene.script(1, Script(*steps))
    before = len(scene.ports())
    with suppress(AttemptError):
        ask(scene, method).close()
    assert len(scene.ports()) - before <= 1
    assert [port for port in scene.ports() if port == 2] == []


def test_a_refused_connect_is_no_attempt_at_two_backends(make: Make) -> None:
    scene = make()
    scene.script(1, REFUSES)
    scene.script(2, Script(CLOSES))
    with pytest.raises(TerminatedError):
        ask(scene, b"POST")
    assert scene.ports() == [2]
    with pytest.raises(ConnectRefusedError):
        again(scene)


def again(scene: Scene) -> None:
    """All refuse."""
    scene.script(1, REFUSES)
    scene.script(2, REFUSES)
    ask(scene)
