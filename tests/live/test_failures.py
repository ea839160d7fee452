"""What a client gets when backends fail, in each lane: statuses, labels, and limits."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.live.client import Answer, Client, get, in_chunks, request
from tests.live.rig import Rig, running_rig
from tests.processes import free_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import StartServer
    from tests.live.scripted import Script, Talk

pytestmark = pytest.mark.live

LANES = ["fast", "gthread"]

SETTINGS = {
    "LB_HEALTH__INTERVAL": "600",
    "LB_TIMEOUTS__CONNECT": "0.4",
    "LB_TIMEOUTS__RESPONSE": "0.4",
    "LB_TIMEOUTS__IDLE": "0.4",
    "LB_LIMITS__BODY_BYTES": "100000",
    "LB_LIMITS__HEAD_BYTES": "4096",
}


@pytest.fixture(scope="module", params=LANES)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp(request.param)
    with running_rig(request.param, folder, **SETTINGS) as rig:
        yield rig


def fault_of(answer: Answer) -> tuple[int, bytes]:
    """The status and the RFC 9209 label of an answer that the balancer made."""
    name, _, label = answer.value(b"proxy-status").partition(b"; error=")
    assert name == b"evenhand"
    assert answer.values(b"cache-control") == [b"no-store"]
    assert answer.body.startswith(b"%d " % answer.status)
    return answer.status, label


def close(talk: Talk) -> None:
    talk.close()


def reset(talk: Talk) -> None:
    talk.reset()


def hang(talk: Talk) -> None:
    talk.await_close()


def say(data: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.send(data)
        talk.close()

    return script


def say_and_hang(data: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.send(data)
        talk.await_close()

    return script


def read_and_close(talk: Talk) -> None:
    talk.read_body()
    talk.close()


TERMINATED = (502, b"connection_terminated")
NOT_HTTP = (502, b"http_protocol_error")
TOO_LARGE = (502, b"http_response_header_section_size")
SILENT = (504, b"http_response_timeout")

FAULTS = {
    "close": (close, TERMINATED),
    "reset": (reset, TERMINATED),
    "half a head": (say(b"HTTP/1.1 200 OK\r\nX-Half: "), TERMINATED),
    "garbage": (say(b"220 mail.example ESMTP\r\n\r\n"), NOT_HTTP),
    "two framings": (
        say(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        NOT_HTTP,
    ),
    "two lengths": (
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        NOT_HTTP,
    ),
    "a bare LF": (say(b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nab"), NOT_HTTP),
    "a folded line": (say(b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n"), NOT_HTTP),
    "unasked 101": (say(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), NOT_HTTP),
    "a large head": (say(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000), TOO_LARGE),
    "silence": (hang, SILENT),
    "silence amid the head": (
        say_and_hang(b"HTTP/1.1 200 OK\r\nX: "),
        SILENT,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_all_backends_is_said(rig: Rig, name: str) -> None:
    script, expected = FAULTS[name]
    target = b"/fault/" + name.replace(" ", "-").encode()
    rig.script(target, script)
    assert fault_of(rig.fetch(get(target))) == expected
    # A silent backend has had its time; every other fault is tried elsewhere.
    assert len(rig.seen(target)) == (1 if expected == SILENT else 2)


@pytest.mark.parametrize("name", [n for n, f in FAULTS.items() if f[1] != SILENT])
def test_a_fault_of_one_backend_is_hidden_from_a_get(rig: Rig, name: str) -> None:
    """Whichever comes first, the client has its answer from the healthy one."""
    target = b"/hidden/" + name.replace(" ", "-").encode()
    rig.backends[0].scripts[target] = FAULTS[name][0]
    answers = [rig.fetch(get(target)) for _ in range(2)]
    assert [answer.body for answer in answers] == [b"two", b"two"]


@pytest.mark.parametrize(
    "name", ["close", "reset", "half a head", "a bare LF", "silence"]
)
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_post_is_never_sent_to_two_backends(rig: Rig, name: str, coding: str) -> None:
    script, expected = FAULTS[name]
    target = b"/post/%b/%b" % (coding.encode(), name.replace(" ", "-").encode())
    rig.script(target, script)
    if coding == "length":
        data = request(b"POST", target, body=b"once")
    else:
        data = request(b"POST", target, b"Transfer-Encoding: chunked")
        data += in_chunks(b"once")
    assert fault_of(rig.fetch(data)) == expected
    assert len(rig.seen(target)) == 1


def test_a_small_put_is_sent_again_with_its_body(rig: Rig) -> None:
    rig.backends[0].scripts[b"/again"] = read_and_close
    for _ in range(2):
        answer = rig.fetch(request(b"PUT", b"/again", body=b"x" * 50_000))
        assert answer.body == b"two"
    assert {talk.body for talk in rig.seen(b"/again")} == {b"x" * 50_000}


def test_a_stalled_body_is_cut(rig: Rig) -> None:
    def stall(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        talk.await_close()

    rig.script(b"/stall", stall)
    answer = rig.fetch(get(b"/stall"))
    assert (answer.status, answer.body, answer.is_whole) == (200, b"half", False)


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_above_the_limit_is_refused(rig: Rig, coding: str) -> None:
    target = b"/large/" + coding.encode()
    if coding == "length":
        data = request(b"POST", target, b"Content-Length: 100001")
    else:
        data = request(b"POST", target, b"Transfer-Encoding: chunked")
        data += in_chunks(b"x" * 120_000)[:-5]  # its end never comes
    answer = rig.fetch(data)
    assert fault_of(answer) == (413, b"http_request_error")
    assert all(talk.body == b"" for talk in rig.seen(target))


def test_a_body_at_the_limit_is_taken(rig: Rig) -> None:
    assert rig.fetch(request(b"POST", b"/fits", body=b"x" * 100_000)).status == 200


def test_errors_of_the_backends_own_are_passed_on(rig: Rig) -> None:
    rig.script(b"/own", lambda talk: talk.reply(b"mine", status=b"503 Mine"))
    answer = rig.fetch(get(b"/own"))
    assert (answer.status, answer.reason, answer.body) == (503, b"Mine", b"mine")
    assert answer.values(b"proxy-status") == []


def test_nothing_is_in_flight_after_all_of_it(rig: Rig) -> None:
    wait_for(lambda: rig.server.in_flight() == 0, "no request in flight")


@pytest.mark.parametrize("lane", LANES)
def test_without_any_backend_the_answer_is_502_then_503(
    start_server: StartServer, lane: str
) -> None:
    """502 while their connects are refused, 503 once the checker has seen it."""
    a, b = free_port(), free_port()
    server = start_server(
        lane,
        LB_BACKENDS=f"a=127.0.0.1:{a},b=127.0.0.1:{b}",
        LB_HEALTH__FAST_INTERVAL="0.3",
    )
    server.wait_answering()
    with Client(server.port) as client:
        answer = client.ask(get())
        assert fault_of(answer) == (502, b"connection_refused")
        assert answer.values(b"retry-after") == []
    server.wait_verdict("a", "DOWN")
    server.wait_verdict("b", "DOWN")
    for method in (b"GET", b"POST", b"HEAD"):
        with Client(server.port) as client:
            answer = client.ask(request(method, b"/"))
            assert answer.value(b"retry-after") == b"5"
            label = b"evenhand; error=destination_unavailable"
            assert answer.value(b"proxy-status") == label
            assert bool(answer.body) == (method != b"HEAD")
    assert server.stop() == 0


@pytest.mark.parametrize("lane", LANES)
def test_a_backend_that_does_not_answer_connects_is_504(
    start_server: StartServer, lane: str
) -> None:
    with full_listener() as port:
        server = start_server(lane, LB_BACKENDS=f"127.0.0.1:{port}", **SETTINGS)
        server.wait_answering()
        with Client(server.port) as client:
            answer = client.ask(get())
        assert fault_of(answer) == (504, b"connection_timeout")


@contextmanager
def full_listener() -> Iterator[int]:
    """The port of a socket whose queue of connections is full: connects hang."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
