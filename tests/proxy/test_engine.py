"""Attempts and retries of the real engine, over streams whose bytes are scripted."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.balance.ask import NO_ASK
from lb.balance.round_robin import RoundRobin
from lb.errors import (
    AttemptError,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResponseError,
    ResponseTimeoutError,
    StreamClosedError,
    StreamTimeoutError,
    TerminatedError,
)
from lb.http1.request import RequestParser
from lb.http1.response import ResponseParser
from lb.model import Address, Backend, Wish
from lb.proxy.asker import Timeouts
from lb.proxy.backend_set import BackendSet
from lb.proxy.engine import Engine
from lb.proxy.exchange import Request, Response
from lb.proxy.loads import LiveLoads
from lb.proxy.retry import NO_OPTIONS, RetryOptions
from lb.proxy.roster import Roster
from lb.proxy.tally import PlainTally
from lb.proxy.waiting import QueueLimits, WaitingLine
from lb.shm import SharedFile, publish
from lb.upstream.backend import LiveBackend, PoolLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lb.proxy.hedge import Race

CLOSES, RESETS, HANGS = b"", StreamClosedError("reset"), StreamTimeoutError("late")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSES, NO_ANSWER = ConnectRefusedError("refused"), ConnectTimeoutError("none")

Step = bytes | Exception


class Script:
    """A stream that says its lines: bytes or an error for each read, in order."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.written = b""
        self.is_closed = False
        self.deadline = math.inf
        self.on_event: Callable[[], None] | None = None
        self.stays_armed = False

    def watch(self) -> None:
        self.stays_armed = True

    def read_nowait(self) -> bytes | None:
        step = self.steps[0] if self.steps else None
        if not isinstance(step, bytes):
            return None  # what was scripted is for `read` to raise
        if not step:
            return b""  # an end is there as often as one looks
        return self.steps.pop(0)  # type: ignore[return-value]

    def write_nowait(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def read(self) -> bytes:
        step = self.steps.pop(0) if self.steps else HANGS
        if isinstance(step, Exception):
            raise step
        return step

    def write(self, data: bytes | memoryview) -> None:
        self.written += data

    def has_input(self) -> bool:
        return not self.is_quiet()

    def is_quiet(self) -> bool:
        return not self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def interrupt(self, error: Exception) -> None:
        raise NotImplementedError

    def wake_reader(self, error: Exception) -> bool:
        raise NotImplementedError

    def wake_writer(self, error: Exception) -> bool:
        raise NotImplementedError

    def shut_write(self) -> None:
        raise NotImplementedError


class Scripts:
    """A transport: each connect to a port gets the next of its scripts."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[Script | Exception]] = {1: [], 2: [], 3: []}
        self.made: list[tuple[int, Script]] = []

    def connect(self, address: Address, timeout_s: float) -> Script:
        script = self.waiting[address.port].pop(0)
        if isinstance(script, Exception):
            raise script
        self.made.append((address.port, script))
        return script


class Scene:
    """Two backends, 1 and 2, of which 1 is chosen first."""

    def __init__(
        self,
        path: Path,
        attempts: int = 3,
        *,
        queue: QueueLimits | None = None,
        max_in_flight: int = 0,
        options: RetryOptions = NO_OPTIONS,
        backups: Sequence[int] = (),
        request_s: float = math.inf,
        race: Race | None = None,
        name: str = "default",
        published: Sequence[Backend] = (),
    ) -> None:
        addresses = [Address("127.0.0.1", port) for port in (1, 2, *backups)]
        backends = [
            Backend(
                f"b{a.port}",
                a,
                max_in_flight=max_in_flight,
                backup=a.port in backups,
            )
            for a in addresses
        ]
        publish(path, published or backends)
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        self.transport = Scripts()
        parser = ResponseParser(limit_bytes=4096)
        limits = PoolLimits(idle=5, idle_s=60, age_s=600)
        self.tally = PlainTally(self.slot)
        self.set = BackendSet(
            name,
            RoundRobin(0),
            policy_name="round_robin",
            attempts=attempts,
            line=WaitingLine(queue or QueueLimits(), self.slot.turns("default")),
            tally=self.tally,
            loads=LiveLoads(self.file.in_flight_reader()),
            options=options,
        )
        self.roster = Roster(
            self.file,
            self.slot,
            {name: self.set},
            lambda b: LiveBackend(b, self.transport, parser, limits),  # type: ignore[arg-type]
        )
        timeouts = Timeouts(connect_s=1, response_s=1, idle_s=1, request_s=request_s)
        self.engine = Engine(
            self.roster,
            self.tally,
            timeouts,
            find_set=lambda _: self.set,
            race=race,
        )

    def turn(self) -> LiveBackend:
        """The backend whose turn it is, which is then over."""
        self.roster.refresh()
        return self.set.policy.choose(NO_ASK)

    def warm_next(self, *steps: Step) -> Script:
        """The same at the backend whose turn is next: backend 1."""
        script = self.warm(1, *steps)
        self.turn()
        return script

    def made_by(self, port: int) -> list[tuple[int, Script]]:
        """The connections that were made to a port."""
        return [(p, script) for p, script in self.transport.made if p == port]

    def script(self, port: int, *scripts: Script | Exception) -> None:
        self.transport.waiting[port] += scripts

    def request(self, method: bytes = b"GET") -> Request:
        data = b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method
        head = RequestParser(limit_bytes=4096).parse(data)
        assert head is not None
        return Request(head, data)

    def exchange(self, method: bytes = b"GET") -> tuple[Request, Response]:
        request = self.request(method)
        return request, self.engine.exchange(request)

    def warm(self, port: int, *steps: Step) -> Script:
        """An idle connection that has carried a request, with `steps` still to say."""
        script = Script(OK, *steps)
        self.script(port, script)
        while not self.transport.made or self.transport.made[-1][0] != port:
            backend = self.turn()
            assert backend is not None
            if backend.address.port == port:
                connection = backend.connect(1)
                connection.requests = 1
                connection.take_body(connection.read_head(b"GET"))
                backend.put(connection, monotonic())
        script.written = b""
        return script

    def ports(self) -> list[int]:
        return [port for port, script in self.transport.made if script.written]

    def in_flight(self) -> list[int]:
        return [self.file.in_flight(row) for row in (0, 1)]

    def close(self) -> None:
        self.slot.release()
        self.file.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "state")
    yield made
    assert made.in_flight() == [0, 0], "every attempt is counted down again"
    made.close()


def test_one_attempt_is_enough_when_all_is_well(scene: Scene) -> None:
    script = Script(OK)
    scene.script(1, script)
    request, response = scene.exchange()
    assert scene.in_flight() == [1, 0]
    assert (response.head.status, response.body.first) == (200, b"ok")
    response.finish()
    response.finish()
    assert (request.attempts, script.written) == (1, request.wire)
    assert not script.is_closed, "it is kept for the next"
    scene.script(2, Script(OK))
    scene.exchange()[1].finish()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("failure", [REFUSES, NO_ANSWER])
def test_a_failed_connect_goes_elsewhere_with_any_method(
    scene: Scene, method: bytes, failure: Exception
) -> None:
    scene.script(1, failure)
    scene.script(2, Script(OK))
    request, response = scene.exchange(method)
    response.finish()
    assert (request.attempts, scene.ports()) == (2, [2])
    assert [scene.file.failures(row) for row in (0, 1)] == [1, 0]


@pytest.mark.parametrize("end", [CLOSES, RESETS])
def test_a_stale_connection_costs_one_attempt_on_a_new_one_elsewhere(
    scene: Scene, end: Step
) -> None:
    """New, because the next one from a pool may be as stale."""
    stale = scene.warm(1, end)
    scene.script(2, Script(OK), Script(OK))
    while True:  # until the turn is the first backend's
        request, response = scene.exchange()
        response.finish()
        if request.attempts > 1:
            break
    assert request.backend is not None
    assert (request.attempts, request.backend.name) == (2, "b2")
    assert stale.is_closed
    assert all(script.written.count(b"GET") == 1 for _, script in scene.made_by(2))


@pytest.mark.parametrize("end", [CLOSES, RESETS])
def test_a_stale_connection_of_the_only_backend_is_replaced(
    scene: Scene, end: Step
) -> None:
    stale = scene.warm(1, end)
    scene.file.set_wish(1, Wish.DRAIN)
    scene.script(1, Script(OK))
    request, response = scene.exchange()
    response.finish()
    assert request.backend is not None
    assert (request.attempts, request.backend.name) == (2, "b1")
    assert stale.is_closed


@pytest.mark.parametrize("end", [CLOSES, RESETS])
def test_a_post_that_may_have_been_processed_is_never_sent_twice(
    scene: Scene, end: Step
) -> None:
    """Even on a connection that was perhaps just stale."""
    scene.script(2, Script(OK))
    scene.warm(1, end)

    def post_to_both() -> None:
        for _ in range(2):
            scene.exchange(b"POST")[1].finish()

    with pytest.raises(TerminatedError):
        post_to_both()
    assert scene.ports().count(1) == 1


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((CLOSES,), TerminatedError),
        ((RESETS,), TerminatedError),
        ((b"HTTP/1.1 200", CLOSES), TerminatedError),
        ((b"HTTP/1.1 200 OK\r\nX: ", RESETS), TerminatedError),
        ((b"garbage, not HTTP at all\r\n",), ResponseError),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",), ResponseError),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000,), ResponseError),
        ((b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n",), ResponseError),
    ],
)
def test_a_broken_answer_goes_elsewhere_only_if_that_is_safe(
    scene: Scene, steps: tuple[Step, ...], error: type[AttemptError]
) -> None:
    broken = Script(*steps)
    scene.script(1, broken)
    scene.script(2, Script(OK, OK))
    request, response = scene.exchange(b"PUT")
    response.finish()
    assert (request.attempts, scene.ports()) == (2, [1, 2])
    assert broken.is_closed
    scene.exchange()[1].finish()  # a retry takes no turn, so it is 2's turn now
    scene.script(1, Script(*steps))
    with pytest.raises(error) as caught:
        scene.exchange(b"POST")
    assert caught.value.status == 502
    assert scene.ports() == [1, 2, 1]


def test_a_backend_that_does_not_answer_in_time_is_not_followed_by_another(
    scene: Scene,
) -> None:
    silent = Script(HANGS)
    scene.script(1, silent)
    scene.script(2, Script(OK))
    with pytest.raises(ResponseTimeoutError) as caught:
        scene.exchange()
    assert caught.value.status == 504
    assert (scene.ports(), silent.is_closed) == ([1], True)


def test_each_attempt_is_at_another_backend_until_none_is_left(scene: Scene) -> None:
    scene.script(1, REFUSES)
    scene.script(2, REFUSES)
    request = scene.request()
    with pytest.raises(ConnectRefusedError):
        scene.engine.exchange(request)
    assert request.attempts == 2


def test_attempts_are_bounded(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "one", attempts=1)
    scene.script(1, REFUSES)
    request = scene.request()
    with pytest.raises(ConnectRefusedError):
        scene.engine.exchange(request)
    assert request.attempts == 1
    scene.close()


def test_interim_answers_are_passed_on_in_order(scene: Scene) -> None:
    early = b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"
    scene.script(1, Script(early + early[:10], early[10:] + OK))
    request = scene.request()
    seen: list[int] = []
    request.on_interim = lambda head: seen.append(head.status)
    response = scene.engine.exchange(request)
    response.finish()
    assert (seen, response.head.status) == ([103, 103], 200)


def test_surplus_behind_an_answer_is_never_the_next_answer(scene: Scene) -> None:
    evil = Script(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    scene.script(1, evil, Script(OK))
    scene.script(2, Script(OK))
    for _ in range(3):
        _, response = scene.exchange()
        assert response.body.first == b"ok"
        response.finish()
    assert evil.is_closed


def test_a_response_that_is_given_up_closes_its_connection(scene: Scene) -> None:
    half = Script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    scene.script(1, half)
    _, response = scene.exchange()
    response.close()
    response.close()
    assert half.is_closed


def test_a_begun_attempt_is_answered_and_its_connection_kept(scene: Scene) -> None:
    """The short cut: one send, one look, no wait, and everything counted."""
    script = scene.warm_next(OK)
    request = scene.request()
    connection = scene.engine.begin(request, monotonic())
    assert connection is not None
    assert script.written == request.wire
    backend = request.backend
    assert backend is not None
    assert scene.file.cells[backend.cells.in_flight] == 1
    answer = scene.engine.answer(request, monotonic())
    assert answer is not None
    assert (answer[0].status, answer[1]) == (200, b"ok")
    assert request.connection is None
    assert scene.file.cells[backend.cells.in_flight] == 0
    assert backend.idle_connections == 1


def test_what_cannot_be_begun_costs_nothing_and_goes_on(scene: Scene) -> None:
    """No idle connection: the backend that was chosen is asked by `exchange`."""
    scene.script(1, Script(OK))
    request = scene.request()
    assert scene.engine.begin(request, monotonic()) is None
    chosen = request.backend
    response = scene.engine.exchange(request)
    assert response.head.status == 200
    assert request.backend is chosen
    assert request.attempts == 1
    response.close()


PARTS = [
    [OK[:10], OK[10:]],
    [OK[:-1], OK[-1:]],
    [b"HTTP/1.1 103 Early Hints\r\n\r\n", OK],
    [b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK],
]


@pytest.mark.parametrize("parts", PARTS)
def test_a_begun_attempt_that_is_not_whole_goes_on(
    scene: Scene, parts: list[bytes]
) -> None:
    """Whatever the short cut has read is not lost for who goes on."""
    scene.warm_next(*parts)
    request = scene.request()
    assert scene.engine.begin(request, monotonic()) is not None
    assert scene.engine.answer(request, monotonic()) is None
    response = scene.engine.exchange(request)
    assert response.head.status == 200
    assert response.body.first + response.body.read() == b"ok"
    assert request.attempts == 1
    response.finish()


@pytest.mark.parametrize("failure", [CLOSES, RESETS])
def test_a_begun_attempt_that_fails_is_tried_elsewhere(
    scene: Scene, failure: Step
) -> None:
    scene.warm_next(failure)
    scene.script(2, Script(OK))
    request = scene.request()
    assert scene.engine.begin(request, monotonic()) is not None
    first = request.backend
    assert scene.engine.answer(request, monotonic()) is None
    response = scene.engine.exchange(request)
    assert response.head.status == 200
    assert request.attempts == 2
    assert request.backend is not first
    assert first is not None
    assert scene.file.cells[first.cells.in_flight] == 0
    response.close()


def test_a_begun_attempt_can_be_dropped(scene: Scene) -> None:
    script = scene.warm_next(OK)
    request = scene.request()
    assert scene.engine.begin(request, monotonic()) is not None
    backend = request.backend
    assert backend is not None
    scene.engine.drop(request)
    assert script.is_closed
    assert scene.file.cells[backend.cells.in_flight] == 0
    scene.engine.drop(request)  # twice is no harm
    assert scene.file.cells[backend.cells.in_flight] == 0
