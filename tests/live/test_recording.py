"""Each way in which a request can end is one record, and counted as it really was.

What a record must say is taken from what the test's own client and backends saw, not
from the code: statuses and bytes that came, attempts that arrived. The sums of all
counters before and after each ending tell that nothing else was counted.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import pytest

from lb.model import Wish
from lb.shm import SharedFile
from tests.live.client import Answer, Client, fetch, get, in_chunks, request
from tests.live.rig import Rig, running_rig
from tests.live.scripted import RESET, answer_by_name
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.shm import RequestRecord
    from tests.live.scripted import Script, Talk

pytestmark = pytest.mark.live

LANES = ["fast", "gthread"]

SETTINGS: Final = {
    "LB_HEALTH__INTERVAL": "600",
    "LB_HEALTH__FAST_INTERVAL": "600",
    "LB_HEALTH__FALL": "10",
    "LB_TIMEOUTS__RESPONSE": "0.4",
    "LB_TIMEOUTS__IDLE": "0.4",
    "LB_LIMITS__BODY_BYTES": "3000000",
    "LB_LOG__ACCESS": "off",
}

LARGE: Final = b"x" * (2 << 20)
"""Too large for one piece; eight times as much is too large for the kernel's buffers."""


@dataclass
class Sums:
    """All counters of all processes, and the records of one target."""

    requests: int
    by_status: tuple[int, ...]
    endings: dict[str, int]
    attempts: int
    retries: int
    failures: dict[str, int]
    bytes_in: int
    bytes_out: int


@dataclass
class Ending:
    """What came of a request, as its client and the backends saw it.

    `failed` are the labels of attempts that failed; `label` says how it ended.
    """

    status: int
    body: int = 0
    sent: int = 0
    label: str = ""
    attempts: int = 1
    failed: tuple[str, ...] = ()


@pytest.fixture(scope="module", params=LANES)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp(request.param)
    with running_rig(request.param, folder, **SETTINGS) as rig:
        yield rig


def sums(rig: Rig) -> Sums:
    with SharedFile.open(rig.server.state) as file:
        workers, totals = file.worker_totals(), file.totals().values()
        failures: dict[str, int] = {}
        for each in totals:
            for label, count in each.failures.items():
                failures[label] = failures.get(label, 0) + count
        return Sums(
            requests=workers.requests,
            by_status=workers.statuses,
            endings=workers.endings,
            attempts=sum(each.attempts for each in totals),
            retries=sum(each.retries for each in totals),
            failures=failures,
            bytes_in=sum(each.bytes_in for each in totals),
            bytes_out=sum(each.bytes_out for each in totals),
        )


def newest(rig: Rig) -> RequestRecord:
    with SharedFile.open(rig.server.state) as file:
        return next(iter(file.recent()))


def less(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    found = {label: count - before.get(label, 0) for label, count in after.items()}
    return {label: count for label, count in found.items() if count}


def counted(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: labels.count(label) for label in labels}


def say(data: bytes) -> Script:
    """Read the request, say that, and close."""

    def script(talk: Talk) -> None:
        talk.read_body()
        talk.send(data)
        talk.close()

    return script


def reply(body: bytes, status: bytes = b"200 OK") -> Script:
    def script(talk: Talk) -> None:
        talk.read_body()
        talk.reply(body, status=status)

    return script


def reset(talk: Talk) -> None:
    talk.read_body()
    talk.reset()


def hang(talk: Talk) -> None:
    talk.await_close()


def of(answer: Answer, **facts: object) -> Ending:
    """What a client saw that got an answer from a backend."""
    return Ending(answer.status, len(answer.body), **facts)  # type: ignore[arg-type]


def by_us(answer: Answer, **facts: object) -> Ending:
    """What a client saw that got an answer which the balancer made."""
    label = answer.value(b"proxy-status").decode().partition("error=")[2]
    return Ending(answer.status, 0, label=label, **facts)  # type: ignore[arg-type]


def plain(rig: Rig, target: bytes) -> Ending:
    rig.script(target, reply(b"x" * 1234))
    return of(rig.fetch(get(target)))


def not_found(rig: Rig, target: bytes) -> Ending:
    rig.script(target, reply(b"nothing here", b"404 Not Found"))
    return of(rig.fetch(get(target)))


def head(rig: Rig, target: bytes) -> Ending:
    rig.script(target, say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"))
    return of(rig.fetch(request(b"HEAD", target)))


def not_modified(rig: Rig, target: bytes) -> Ending:
    rig.script(target, say(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"))
    return of(rig.fetch(get(target)))


def chunked(rig: Rig, target: bytes) -> Ending:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    rig.script(target, say(head + in_chunks(b"y" * 30_000)))
    answer = rig.fetch(get(target))
    assert len(answer.body) == 30_000
    return of(answer)


def large(rig: Rig, target: bytes) -> Ending:
    rig.script(target, reply(LARGE))
    return of(rig.fetch(get(target)))


def small_upload(rig: Rig, target: bytes) -> Ending:
    answer = rig.fetch(request(b"POST", target, body=b"z" * 777))
    return of(answer, sent=len(rig.seen(target)[0].body))


def large_upload(rig: Rig, target: bytes) -> Ending:
    answer = rig.fetch(request(b"PUT", target, body=LARGE))
    assert len(rig.seen(target)[0].body) == len(LARGE)
    return of(answer, sent=len(LARGE))


def chunked_upload(rig: Rig, target: bytes) -> Ending:
    head = request(b"POST", target, b"Transfer-Encoding: chunked")
    answer = rig.fetch(head + in_chunks(b"c" * 50_000))
    return of(answer, sent=len(rig.seen(target)[0].body))


def cut_body(rig: Rig, target: bytes) -> Ending:
    rig.script(target, say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"))
    answer = rig.fetch(get(target))
    assert not answer.is_whole
    label = "connection_terminated"
    return of(answer, label=label, failed=(label,))


def retried(rig: Rig, target: bytes) -> Ending:
    """The first one that is asked breaks off; the other answers."""
    first = []

    def script(talk: Talk) -> None:
        first.append(talk)
        (reset if len(first) == 1 else answer_by_name)(talk)

    rig.script(target, script)
    answer = rig.fetch(get(target))
    assert len(first) == 2
    return of(answer, attempts=2, failed=("connection_terminated",))


def all_fail(rig: Rig, target: bytes) -> Ending:
    rig.script(target, reset)
    answer = rig.fetch(get(target))
    tries = len(rig.seen(target))
    return by_us(answer, attempts=tries, failed=("connection_terminated",) * tries)


def post_fails(rig: Rig, target: bytes) -> Ending:
    rig.script(target, reset)
    answer = rig.fetch(request(b"POST", target, body=b"once"))
    assert len(rig.seen(target)) == 1
    return by_us(answer, sent=4, failed=("connection_terminated",))


def too_late(rig: Rig, target: bytes) -> Ending:
    rig.script(target, hang)
    answer = rig.fetch(get(target))
    assert answer.status == 504
    return by_us(answer, failed=("http_response_timeout",))


def nonsense(rig: Rig, target: bytes) -> Ending:
    rig.script(target, say(b"what?\r\n\r\n"))
    answer = rig.fetch(request(b"POST", target, body=b"."))
    return by_us(answer, sent=1, failed=("http_protocol_error",))


def too_large(rig: Rig, target: bytes) -> Ending:
    """Nothing of the body was sent, however long it was said to be."""
    answer = rig.fetch(request(b"POST", target, b"Content-Length: 4000000"))
    assert answer.status == 413
    return by_us(answer, attempts=0)


def none_is_up(rig: Rig, target: bytes) -> Ending:
    with drained(rig):
        return by_us(rig.fetch(get(target)), attempts=0)


def answered_here(rig: Rig, target: bytes) -> Ending:
    answer = rig.fetch(request(b"OPTIONS", target, b"Max-Forwards: 0"))
    assert not rig.seen(target)
    return Ending(answer.status, attempts=0)


def left_amid_the_body(rig: Rig, target: bytes) -> Ending:
    """How much the kernel took for it, only the balancer knows."""
    rig.script(target, reply(LARGE * 8))
    with Client(rig.port) as client:
        client.send(get(target))
        client.expect()
        client.event()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return Ending(200, -1, label="client_left")


ENDINGS = [
    plain,
    not_found,
    head,
    not_modified,
    chunked,
    large,
    small_upload,
    large_upload,
    chunked_upload,
    cut_body,
    retried,
    all_fail,
    post_fails,
    too_late,
    nonsense,
    too_large,
    none_is_up,
    answered_here,
    left_amid_the_body,
]


@contextmanager
def drained(rig: Rig) -> Iterator[None]:
    """Both backends, as far as the block goes."""
    with SharedFile.open(rig.server.state) as file:
        for row in (0, 1):
            file.set_wish(row, Wish.DRAIN)
        yield
        for row in (0, 1):
            file.set_wish(row, Wish.READY)


def judge(rig: Rig, before: Sums, ending: Ending, target: str) -> RequestRecord:
    """The one record of a request that ended so, and compared with all that is known.

    `target` is what it must say; "" where the request never got so far.
    """
    wait_for(lambda: sums(rig).requests > before.requests, "it to be recorded")
    after, record = sums(rig), newest(rig)
    assert after.requests == before.requests + 1
    assert (record.target, record.client) == (target, "127.0.0.1")
    assert (record.status, record.label) == (ending.status, ending.label)
    sent, got = after.bytes_in - before.bytes_in, after.bytes_out - before.bytes_out
    if ending.body >= 0:
        assert got == ending.body
    assert (record.bytes_in, record.bytes_out) == (sent, got)
    assert sent == ending.sent
    assert record.attempts == after.attempts - before.attempts == ending.attempts
    assert after.retries - before.retries == max(0, ending.attempts - 1)
    assert less(after.failures, before.failures) == counted(ending.failed)
    ended = {ending.label: 1} if ending.label else {}
    assert less(after.endings, before.endings) == ended
    grown = [a - b for a, b in zip(after.by_status, before.by_status, strict=True)]
    assert grown == [int(at == ending.status // 100) for at in range(len(grown))]
    assert (record.backend != "") == (ending.attempts > 0)
    assert rig.server.in_flight() == 0
    return record


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
def test_each_ending_is_one_record_and_nothing_else(
    rig: Rig, end: Callable[[Rig, bytes], Ending]
) -> None:
    before, target = sums(rig), f"/{end.__name__}"
    ending = end(rig, target.encode())
    record = judge(rig, before, ending, target)
    seen = [talk.backend.name for talk in rig.seen(target.encode())]
    if seen:
        asked = [*record.tried_names, record.backend]
        assert sorted(asked[: len(seen)]) == sorted(seen)
        assert record.policy == "round_robin"
        assert len(record.request_id) > 8


# What only one lane can do ------------------------------------------------------


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("fast-only")
    with running_rig("fast", folder, **SETTINGS) as rig:
        yield rig


def test_a_refused_head_is_recorded_without_a_target(fast: Rig) -> None:
    before = sums(fast)
    answer = fast.fetch(b"GET / HTTP/1.1\r\nNo Host: here\r\n\r\n")
    assert answer.status == 400
    judge(fast, before, by_us(answer, attempts=0), "")


def test_a_client_that_leaves_before_the_answer(fast: Rig) -> None:
    """499, which nobody saw; the backend is let go."""
    before = sums(fast)
    fast.script(b"/gone", hang)
    with Client(fast.port) as client:
        client.send(get(b"/gone"))
        wait_for(lambda: fast.seen(b"/gone"), "the backend to work")
    judge(fast, before, Ending(499, label="client_left"), "/gone")


def test_a_client_that_leaves_amid_its_upload(fast: Rig) -> None:
    before = sums(fast)
    with Client(fast.port) as client:
        client.send(request(b"POST", b"/half", b"Content-Length: 9"), b"half")
        wait_for(lambda: fast.seen(b"/half"), "the backend to have the head")
    judge(fast, before, Ending(499, sent=4, label="client_left"), "/half")


def test_an_upload_that_stalls(fast: Rig) -> None:
    before = sums(fast)
    with Client(fast.port) as client:
        client.send(request(b"POST", b"/stall", b"Content-Length: 9"), b"half")
        answer = client.answer(b"POST")
    assert answer.status == 408
    judge(fast, before, by_us(answer, sent=4), "/stall")


def test_a_tunnel(fast: Rig) -> None:
    """One record when it ends, with the bytes of both ways."""
    before = sums(fast)

    def tunnel(talk: Talk) -> None:
        talk.send(
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Connection: Upgrade\r\nUpgrade: echo\r\n\r\nhello"
        )
        assert talk.read() == b"to the backend"
        talk.send(b" and bye")
        talk.close()

    fast.script(b"/tunnel", tunnel)
    with Client(fast.port) as client:
        client.send(get(b"/tunnel", b"Connection: Upgrade", b"Upgrade: echo"))
        data = b""
        while not data.endswith(b"hello"):
            data += client.sock.recv(65536)
        client.send(b"to the backend")
        while piece := client.sock.recv(65536):
            data += piece
    assert data.endswith(b"\r\n\r\nhello and bye")
    ending = Ending(101, body=len(b"hello and bye"), sent=len(b"to the backend"))
    judge(fast, before, ending, "/tunnel")


def test_a_client_that_leaves_while_it_is_told_of_progress(fast: Rig) -> None:
    """An interim answer that cannot be sent ends the request, too."""
    before, may_speak = sums(fast), threading.Event()

    def script(talk: Talk) -> None:
        assert may_speak.wait(DEADLINE_S)
        for _ in range(2000):
            talk.send(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 2000 + b"\r\n\r\n")
        talk.await_close()

    fast.script(b"/early", script)
    with Client(fast.port) as client:
        client.send(get(b"/early"))
        wait_for(lambda: fast.seen(b"/early"), "the backend to work")
        may_speak.set()
        assert client.sock.recv(100)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    judge(fast, before, Ending(499, label="client_left"), "/early")


def test_requests_behind_each_other_are_a_record_each(fast: Rig) -> None:
    before = sums(fast)
    with Client(fast.port) as client:
        client.send(b"".join(get(b"/pipe%d" % n) for n in range(5)))
        assert [client.answer().status for _ in range(5)] == [200] * 5
    wait_for(lambda: sums(fast).requests == before.requests + 5, "all five")
    with SharedFile.open(fast.server.state) as file:
        recent = [record.target for record in islice(file.recent(), 5)]
    assert sorted(recent) == [f"/pipe{n}" for n in range(5)]


def test_a_wish_for_a_tunnel_in_the_portable_lane(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("portable")
    with running_rig("gthread", folder, **SETTINGS) as rig:
        before = sums(rig)
        lines = (b"Connection: Upgrade", b"Upgrade: websocket")
        answer = fetch(rig.port, get(b"/", *lines))
        assert answer.status == 501
        judge(rig, before, by_us(answer, attempts=0), "")
