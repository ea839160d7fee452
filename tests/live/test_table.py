"""What a client and a backend see of the balancer: one table for every lane."""

from __future__ import annotations

import hashlib
import random
import time
from functools import partial
from typing import TYPE_CHECKING

import h11
import pytest

from tests.live.client import Client, get, in_chunks, request
from tests.live.rig import Rig, running_rig
from tests.live.server import LANES
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.scripted import Talk

pytestmark = pytest.mark.live

SIZES = [0, 1, 65536, 8 << 20]

KEEP_ALIVE = ("fast", "gevent", "gthread")
"""Lanes whose server keeps a client's connection."""


@pytest.fixture(scope="module", params=LANES)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp(request.param)
    # Probes are rare: every connection that a test counts is of its own making.
    with running_rig(request.param, folder, LB_HEALTH__INTERVAL="600") as rig:
        yield rig


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_requests_alternate_over_the_backends(rig: Rig) -> None:
    names = [rig.fetch(get()).body for _ in range(6)]
    assert names in ([b"one", b"two"] * 3, [b"two", b"one"] * 3)


def test_requests_of_one_connection_alternate(rig: Rig) -> None:
    """A browser that keeps its connection is balanced per request."""
    if rig.lane not in KEEP_ALIVE:
        pytest.skip("this server keeps no connection alive")
    with Client(rig.port) as client:
        names = [client.ask(get()).body for _ in range(6)]
    assert names in ([b"one", b"two"] * 3, [b"two", b"one"] * 3)


@pytest.mark.parametrize(
    "method", [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD"]
)
def test_methods_are_passed_on(rig: Rig, method: bytes) -> None:
    target = b"/method/" + method
    answer, talk = rig.fetch_seen(target, request(method, target))
    assert answer.status == 200
    assert talk.line == b"%b %b HTTP/1.1" % (method, target)
    assert answer.body in ((b"",) if method == b"HEAD" else (b"one", b"two"))


def test_a_method_of_ones_own_is_passed_on(rig: Rig) -> None:
    if rig.lane not in ("fast", "flask"):
        pytest.skip("gunicorn's own parser refuses what it does not know")
    target = b"/method/own"
    _, talk = rig.fetch_seen(target, request(b"PURGE", target))
    assert talk.line == b"PURGE /method/own HTTP/1.1"


@pytest.mark.parametrize(
    "target",
    [
        b"/a%2Fb%2f%41",
        b"/x//a",
        b"/q?q=%20&x&&=",
        b"/p;p=1/.;/..;a/",
        b"/dots/../up/./x",
        b"/plus+and~tilde!$'()*,:@",
        b"/%F0%9F%91%8D?%zz",
        b"/?",
        b"/long/" + b"x" * 3000,
    ],
)
def test_targets_arrive_byte_by_byte(rig: Rig, target: bytes) -> None:
    answer, talk = rig.fetch_seen(target, get(target))
    assert answer.status == 200
    assert talk.target == target


def test_a_target_of_two_slashes_arrives(rig: Rig) -> None:
    """`//a` is a path, not another host."""
    if rig.lane == "flask":
        pytest.skip("Python's http.server makes it one slash")
    answer, talk = rig.fetch_seen(b"//a//b", get(b"//a//b"))
    assert answer.status == 200
    assert talk.target == b"//a//b"


def test_request_fields_arrive(rig: Rig) -> None:
    lines = (b"X-One: 1", b"x-empty:", b"Cookie: a=1; b=2", b"X-Latin: \xe9")
    _, talk = rig.fetch_seen(b"/fields", get(b"/fields", *lines))
    assert talk.values(b"host") == [b"lb.test"]
    assert talk.values(b"x-one") == [b"1"]
    assert talk.values(b"x-empty") == [b""]
    assert talk.values(b"cookie") == [b"a=1; b=2"]
    assert talk.values(b"x-latin") == [b"\xe9"]


def test_repeated_response_fields_keep_order_and_spelling(rig: Rig) -> None:
    fields = (b"Set-Cookie: a=1", b"X-b: 1", b"set-cookie: b=2", b"X-b: 2")
    rig.script(b"/repeated", lambda talk: talk.reply(b"ok", *fields))
    answer = rig.fetch(get(b"/repeated"))
    assert answer.values(b"set-cookie") == [b"a=1", b"b=2"]
    assert answer.values(b"x-b") == [b"1", b"2"]
    names = [n for n, _ in answer.raw if n.lower() in (b"set-cookie", b"x-b")]
    assert names == [b"Set-Cookie", b"X-b", b"set-cookie", b"X-b"]


def test_status_and_reason_are_the_backends(rig: Rig) -> None:
    rig.script(b"/status", lambda talk: talk.reply(status=b"418 Short And Stout"))
    answer = rig.fetch(get(b"/status"))
    assert (answer.status, answer.reason) == (418, b"Short And Stout")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_request_bodies_arrive_whole(rig: Rig, size: int, coding: str) -> None:
    target = b"/up/%b/%d" % (coding.encode(), size)
    body = content(size)
    if coding == "length":
        data = request(b"POST", target, b"Content-Length: %d" % size) + body
    else:
        chunked = b"Transfer-Encoding: chunked"
        data = request(b"POST", target, chunked) + in_chunks(body)
    answer, talk = rig.fetch_seen(target, data)
    assert answer.status == 200
    assert hashlib.sha256(talk.body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", ["length", "chunked", "close"])
def test_response_bodies_arrive_whole(rig: Rig, size: int, coding: str) -> None:
    target = b"/down/%b/%d" % (coding.encode(), size)
    body = content(size)
    heads = {
        "length": b"Content-Length: %d\r\n\r\n" % size + body,
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body),
        "close": b"\r\n" + body,
    }

    def answer(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n" + heads[coding])
        if coding == "close":
            talk.close()

    rig.script(target, answer)
    got = rig.fetch(get(target))
    assert got.is_whole
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        (b"HEAD", b"200 OK", [b"5"]),
        (b"GET", b"204 No Content", []),
        (b"GET", b"304 Not Modified", []),
    ],
)
def test_answers_without_a_body_end_at_their_head(
    rig: Rig, method: bytes, status: bytes, length: list[bytes]
) -> None:
    """And the next request on the same connections is not confused by them."""
    target = b"/none/" + method + status[:3]
    head = b"HTTP/1.1 " + status + b"\r\n"
    head += b"".join(b"Content-Length: %b\r\n" % n for n in length) + b"\r\n"
    rig.script(target, lambda talk: talk.send(head))
    with Client(rig.port) as client:
        answer = client.ask(request(method, target))
        assert (answer.body, answer.is_whole) == (b"", True)
        assert answer.values(b"content-length") == length
        if rig.lane in KEEP_ALIVE:
            assert client.ask(get()).body in (b"one", b"two")


def test_a_slow_answer_is_streamed(rig: Rig) -> None:
    """Its first bytes are here long before its last are sent."""
    sent: list[float] = []

    def dribble(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        talk.send(b"5\r\nfirst\r\n")
        wait_for(lambda: sent, "the client to have the first bytes")
        talk.send(b"4\r\nlast\r\n0\r\n\r\n")

    rig.script(b"/slow", dribble)
    with Client(rig.port) as client:
        client.send(get(b"/slow"))
        client.expect()
        assert isinstance(client.event(), h11.Response)
        event = client.event()
        assert isinstance(event, h11.Data)
        assert event.data == b"first"
        sent.append(time.monotonic())
        event = client.event()
        assert isinstance(event, h11.Data)
        assert event.data == b"last"
        assert isinstance(client.event(), h11.EndOfMessage)


def test_forwarding_fields_are_set_and_spoofed_ones_dropped(rig: Rig) -> None:
    spoofed = (
        b"X-Forwarded-For: 6.6.6.6",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil",
        b"x-forwarded-FOR: 7.7.7.7",
        b"Forwarded: for=6.6.6.6",
        b"Via: 1.0 before",
    )
    _, talk = rig.fetch_seen(b"/forwarded", get(b"/forwarded", *spoofed))
    assert talk.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert talk.values(b"x-forwarded-proto") == [b"http"]
    assert talk.values(b"x-forwarded-host") == [b"lb.test"]
    assert b"6.6.6.6" not in b"".join(talk.values(b"forwarded"))
    vias = b", ".join(talk.values(b"via"))
    assert vias == b"1.0 before, 1.1 evenhand"


def test_the_answer_says_whom_it_came_through(rig: Rig) -> None:
    rig.script(b"/via", lambda talk: talk.reply(b"", b"Via: 1.1 cache"))
    answer = rig.fetch(get(b"/via"))
    assert b", ".join(answer.values(b"via")) == b"1.1 cache, 1.1 evenhand"


def test_hop_by_hop_fields_of_a_request_end_here(rig: Rig) -> None:
    lines = (
        b"Connection: keep-alive, X-Mine",
        b"X-Mine: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"Proxy-Authorization: secret",
        b"X-Stays: 1",
    )
    _, talk = rig.fetch_seen(b"/hops", get(b"/hops", *lines))
    names = {name.lower() for name, _ in talk.fields}
    assert b"x-stays" in names
    assert not names & {
        b"x-mine",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"proxy-authorization",
    }


def test_hop_by_hop_fields_of_an_answer_end_here(rig: Rig) -> None:
    fields = (
        b"Connection: X-Mine",
        b"X-Mine: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"X-Stays: 1",
    )
    rig.script(b"/back", lambda talk: talk.reply(b"ok", *fields))
    answer = rig.fetch(get(b"/back"))
    names = {name.lower() for name, _ in answer.raw}
    assert b"x-stays" in names
    assert not names & {b"x-mine", b"keep-alive", b"proxy-authenticate"}


def test_connections_to_backends_are_used_again(rig: Rig) -> None:
    """Twenty requests one after another need one connection to each backend."""
    for _ in range(20):
        assert rig.fetch(get(b"/reuse")).status == 200
    peers = {(talk.backend.name, talk.peer) for talk in rig.seen(b"/reuse")}
    assert len(peers) == 2


def test_an_answer_that_closes_is_followed_by_a_fresh_connection(rig: Rig) -> None:
    def close(talk: Talk) -> None:
        talk.reply(b"bye", b"Connection: close")
        talk.close()

    rig.script(b"/closing", close)
    assert [rig.fetch(get(b"/closing")).status for _ in range(6)] == [200] * 6
    assert len({(t.backend.name, t.peer) for t in rig.seen(b"/closing")}) == 6


def test_a_stale_connection_is_noticed(rig: Rig) -> None:
    """A backend closes without a word after its answer: no client may see that."""

    left: list[int] = []

    def leave(talk: Talk) -> None:
        talk.reply(b"ok")
        talk.close()
        left.append(len(left))

    rig.script(b"/stale", leave)
    for i in range(10):
        assert rig.fetch(request(b"POST", b"/stale", body=b"x")).status == 200
        wait_for(partial(left.__contains__, i), "the backend to have closed")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"Content-Length: 10\r\n\r\nhalf", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", id="chunked"),
    ],
)
@pytest.mark.parametrize("end", ["close", "reset"])
def test_half_a_body_never_looks_whole(rig: Rig, data: bytes, end: str) -> None:
    target = b"/half/%b/%d" % (end.encode(), len(data))

    def answer(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n" + data)
        wait_for(lambda: target in got, "the client to have the first half")
        talk.close() if end == "close" else talk.reset()

    got: set[bytes] = set()
    rig.script(target, answer)
    with Client(rig.port) as client:
        client.send(get(target))
        client.expect()
        assert isinstance(client.event(), h11.Response)
        got.add(target)
        while event := client.event():
            assert isinstance(event, h11.Data)


def test_nonsense_amid_a_body_never_looks_whole(rig: Rig) -> None:
    def answer(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        wait_for(lambda: seen, "the client to have the first half")
        talk.send(b"zz\r\n0\r\n\r\n")
        talk.await_close()

    seen: list[h11.Event] = []
    rig.script(b"/nonsense", answer)
    with Client(rig.port) as client:
        client.send(get(b"/nonsense"))
        client.expect()
        assert isinstance(client.event(), h11.Response)
        while event := client.event():
            assert isinstance(event, h11.Data)
            seen.append(event)


def test_a_backends_early_answer_reaches_the_client(rig: Rig) -> None:
    """It refuses an upload without reading it; the client learns why."""

    def refuse(talk: Talk) -> None:
        talk.reply(b"no", b"Connection: close", status=b"403 Forbidden")
        talk.await_close()
        talk.close()

    rig.script(b"/early", refuse)
    with Client(rig.port) as client:
        client.send(request(b"POST", b"/early", b"Content-Length: 200000"))
        client.send(b"x" * 200_000)
        answer = client.answer(b"POST")
    assert (answer.status, answer.body) == (403, b"no")


def test_an_interim_answer_does_not_end_the_request(rig: Rig) -> None:
    def hint(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        talk.reply(b"ok")

    rig.script(b"/hints", hint)
    answer = rig.fetch(get(b"/hints"))
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.interim == ([103] if rig.lane == "fast" else [])


def test_a_body_after_100_continue(rig: Rig) -> None:
    """The backend decides (fast lane), or the WSGI server at once (the others)."""

    def go_on(talk: Talk) -> None:
        if talk.values(b"expect"):
            talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.reply(talk.read_body())

    rig.script(b"/expect", go_on)
    lines = (b"Expect: 100-continue", b"Content-Length: 4")
    with Client(rig.port) as client:
        client.send(request(b"PUT", b"/expect", *lines))
        client.expect(b"PUT")
        assert isinstance(event := client.event(), h11.InformationalResponse)
        assert event.status_code == 100
        client.send(b"body")
        while isinstance(event := client.event(), h11.InformationalResponse):
            assert rig.lane == "flask"  # Werkzeug and http.server each say it
        assert isinstance(event, h11.Response)
        assert isinstance(event := client.event(), h11.Data)
        assert event.data == b"body"


def test_a_byte_by_byte_answer_is_understood(rig: Rig) -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += in_chunks(b"in small pieces", 3)
    rig.script(b"/bytes", lambda t: t.send(*(bytes((b,)) for b in wire)))
    assert rig.fetch(get(b"/bytes")).body == b"in small pieces"


def test_an_http_1_0_backend_is_understood(rig: Rig) -> None:
    def old(talk: Talk) -> None:
        talk.send(b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nold")
        talk.close()

    rig.script(b"/old", old)
    answer = rig.fetch(get(b"/old"))
    assert (answer.body, answer.is_whole) == (b"old", True)
