"""What only the fast lane can do: it talks HTTP on the client's socket itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.live.client import Client, get, request
from tests.live.rig import Rig, running_rig
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.scripted import Talk

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(
        "fast",
        tmp_path_factory.mktemp("fast"),
        LB_HEALTH__INTERVAL="600",
        LB_TIMEOUTS__REQUEST_HEAD="0.5",
        LB_TIMEOUTS__KEEPALIVE="1",
        LB_LIMITS__HEAD_BYTES="4096",
    ) as rig:
        yield rig


HOST = b"Host: a\r\n"

MALFORMED = {
    "no request at all": b"hello\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a Host that is none": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "a folded line": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a relative target": b"GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: +1\r\n\r\n",
    "two lengths": (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
    ),
    "length and chunked": (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked in HTTP/1.0": (
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("pace", ["whole", "slowly"])
def test_a_malformed_request_reaches_no_backend(rig: Rig, name: str, pace: str) -> None:
    """400, the connection is closed, and what stands behind it is not served."""
    before = len(rig.backends[0].talks) + len(rig.backends[1].talks)
    data = MALFORMED[name]
    with Client(rig.port) as client:
        if pace == "whole":
            client.send(data + get(b"/behind"))
        else:
            client.send_slowly(data)
        answer = client.answer()
        assert answer.status == 400
        assert answer.value(b"connection") == b"close"
        assert answer.value(b"proxy-status") == b"evenhand; error=http_request_error"
        assert client.is_closed()
    after = len(rig.backends[0].talks) + len(rig.backends[1].talks)
    assert after == before


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 1\r\n\r\n",
            417,
        ),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: endless" + b"x" * 9000, 431),
    ],
)
def test_what_is_not_offered_is_refused(rig: Rig, data: bytes, status: int) -> None:
    with Client(rig.port) as client:
        client.send(data)
        assert client.answer().status == status


def test_a_request_may_come_byte_by_byte(rig: Rig) -> None:
    with Client(rig.port) as client:
        client.send_slowly(b"\r\n" + request(b"PUT", b"/slowly", body=b"body"))
        assert client.answer(b"PUT").status == 200
    (talk,) = rig.seen(b"/slowly")
    assert talk.body == b"body"


def test_pipelined_requests_are_answered_in_order(rig: Rig) -> None:
    targets = [b"/pipe/%d" % i for i in range(5)]
    for target in targets:
        rig.script(target, lambda talk: talk.reply(talk.target))
    with Client(rig.port) as client:
        body = request(b"POST", targets[0], body=b"between them")
        client.send(body + b"".join(get(target) for target in targets[1:]))
        answers = [client.answer().body for _ in targets]
    assert answers == targets


def test_a_head_that_stalls_is_answered_408(rig: Rig) -> None:
    with Client(rig.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Ha")
        assert client.answer().status == 408
        assert client.is_closed()


def test_a_head_that_dribbles_has_one_deadline(rig: Rig) -> None:
    """A byte now and then does not buy more time than `timeouts.request_head`."""
    with Client(rig.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        client.sock.settimeout(0.1)
        begun = time.monotonic()
        while True:
            assert time.monotonic() - begun < 3.0
            client.send(b"x")
            try:
                answer = client.answer()
            except TimeoutError:
                continue
            assert answer.status == 408
            break


def test_an_idle_connection_is_closed_without_a_word(rig: Rig) -> None:
    with Client(rig.port) as client:
        assert client.ask(get()).status == 200
        assert client.is_closed()


def test_a_connection_without_a_request_is_closed(rig: Rig) -> None:
    with Client(rig.port) as client:
        assert client.is_closed()


def test_http_1_0_clients_are_served(rig: Rig) -> None:
    """They are not sent chunks, and kept alive only when they ask for it."""

    def stream(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        talk.send(b"5\r\nsmall\r\n0\r\n\r\n")

    rig.script(b"/old/stream", stream)
    with Client(rig.port) as client:
        client.send(b"GET /old/stream HTTP/1.0\r\n\r\n")
        answer = client.answer()
        assert (answer.body, answer.is_whole) == (b"small", True)
        assert answer.values(b"transfer-encoding") == []
    with Client(rig.port) as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.answer()
            assert answer.value(b"connection") == b"keep-alive"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        client.answer()
        assert client.is_closed()


def test_an_absolute_target_is_made_a_path(rig: Rig) -> None:
    data = b"GET http://other.test/abs?q HTTP/1.1\r\nHost: lb.test\r\n\r\n"
    answer, talk = rig.fetch_seen(b"/abs?q", data)
    assert answer.status == 200
    assert talk.values(b"host") == [b"other.test"]


def test_a_client_that_leaves_frees_its_backend_at_once(rig: Rig) -> None:
    closed: list[float] = []

    def work(talk: Talk) -> None:
        talk.await_close()
        closed.append(time.monotonic())

    rig.script(b"/leaver", work)
    with Client(rig.port) as client:
        client.send(get(b"/leaver"))
        wait_for(lambda: rig.seen(b"/leaver"), "the request at a backend")
        left = time.monotonic()
    wait_for(lambda: closed, "the backend to be let go")
    assert closed[0] - left < 1.0
    wait_for(lambda: rig.server.in_flight() == 0, "nothing in flight")


def test_the_backend_decides_about_100_continue(rig: Rig) -> None:
    """A refusal comes before the body is sent."""

    def refuse(talk: Talk) -> None:
        talk.reply(b"no", b"Connection: close", status=b"403 Forbidden")
        talk.await_close()
        talk.close()

    rig.script(b"/refused", refuse)
    lines = (b"Expect: 100-continue", b"Content-Length: 1000000")
    with Client(rig.port) as client:
        answer = client.ask(request(b"PUT", b"/refused", *lines))
    assert (answer.status, answer.interim) == (403, [])


def test_a_backend_that_knows_no_100_continue_gets_the_body(rig: Rig) -> None:
    rig.script(b"/unaware", lambda talk: talk.reply(talk.read_body()))
    lines = (b"Expect: 100-continue", b"Content-Length: 4")
    with Client(rig.port) as client:
        client.send(request(b"PUT", b"/unaware", *lines))
        client.expect(b"PUT")
        event = client.event()
        assert getattr(event, "status_code", 0) == 100
        client.send(b"body")
        assert client.answer(b"PUT").body == b"body"


def test_fields_with_underscores_are_dropped(rig: Rig) -> None:
    """A WSGI backend would take X_Real_IP for X-Real-IP."""
    _, talk = rig.fetch_seen(b"/under", get(b"/under", b"X_Real_IP: 6.6.6.6"))
    assert talk.values(b"x_real_ip") == []


def test_an_upload_larger_than_what_is_kept_is_streamed(rig: Rig) -> None:
    """Its first bytes are at the backend before its last are sent."""
    got: list[int] = []

    def watch(talk: Talk) -> None:
        got.append(len(talk.read()))
        talk.reply(b"ok", b"Connection: close")
        talk.await_close()
        talk.close()

    rig.script(b"/streamed", watch)
    with Client(rig.port) as client:
        client.send(request(b"POST", b"/streamed", b"Content-Length: 1000000"))
        client.send(b"x" * 1000)
        wait_for(lambda: got, "the first bytes at the backend")
        assert client.answer(b"POST").status == 200
