"""One connection: what its answers and its failures are taken for."""

from __future__ import annotations

import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import (
    ResponseError,
    ResponseTimeoutError,
    ResponseTooLargeError,
    Sent,
    TerminatedError,
)
from lb.http1.response import ResponseParser
from lb.model import Address, Backend
from lb.streams.blocking import BlockingTransport
from lb.upstream.backend import LiveBackend, PoolLimits
from tests.streams.pairs import reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.upstream.connection import Body, Connection

PATIENCE_S = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Line:
    """A connection and the far end that a test plays the backend at."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            backend = LiveBackend(
                Backend("b", Address(*listener.getsockname())),
                BlockingTransport(),
                ResponseParser(limit_bytes=1000),
                PoolLimits(idle=1, idle_s=60, age_s=60),
            )
            self.near: Connection = backend.connect(PATIENCE_S)
            self.far, _ = listener.accept()
        self.near.stream.deadline = monotonic() + PATIENCE_S
        self.near.requests = 1

    def answer(self, *pieces: bytes, end: str = "") -> None:
        for piece in pieces:
            self.far.sendall(piece)
        if end == "close":
            self.far.close()
        elif end == "reset":
            reset(self.far)

    def body(self, method: bytes = b"GET") -> Body:
        return self.near.take_body(self.near.read_head(method))


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.near.close()
    made.far.close()


def read_all(body: Body) -> bytes:
    data = body.first
    while piece := body.read():
        data += piece
    return data


def send_much(connection: Connection) -> None:
    for _ in range(100):
        connection.send(b"x" * 1_000_000)


def test_an_answer_is_read_and_the_connection_stays_good(line: Line) -> None:
    for _ in range(2):
        line.answer(OK)
        body = line.body()
        assert (read_all(body), body.is_done) == (b"ok", True)
        assert line.near.is_reusable


@pytest.mark.parametrize(
    "data",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x\r\nk\r\n"
        b"0\r\nX: 1\r\n\r\n",
    ],
)
def test_an_answer_in_single_bytes_is_the_same(line: Line, data: bytes) -> None:
    line.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = [data[i : i + 1] for i in range(len(data))]
    thread = threading.Thread(target=line.answer, args=pieces)
    thread.start()
    assert read_all(line.body()) == b"ok"
    assert line.near.is_reusable
    thread.join()


@pytest.mark.parametrize(
    "data",
    [
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        OK + b"x",
        OK + b"\r\n",
        b"HTTP/1.1 204 No\r\n\r\nx",
        b"HTTP/1.1 304 No\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx",
    ],
)
def test_surplus_bytes_poison_the_connection(line: Line, data: bytes) -> None:
    """What a backend sends behind its answer never becomes another's answer."""
    line.answer(data)
    body = line.body()
    assert read_all(body) in (b"ok", b"")
    assert not line.near.is_reusable


def test_a_body_of_head_poisons_the_connection(line: Line) -> None:
    line.answer(OK)
    assert read_all(line.body(b"HEAD")) == b""
    assert not line.near.is_reusable


@pytest.mark.parametrize(
    "fields", [b"Connection: close\r\nContent-Length: 2", b"X: until close"]
)
def test_an_answer_that_ends_its_connection_is_not_reused(
    line: Line, fields: bytes
) -> None:
    line.answer(b"HTTP/1.1 200 OK\r\n%b\r\n\r\nok" % fields, end="close")
    assert read_all(line.body()) == b"ok"
    assert not line.near.is_reusable


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    ("requests", "received", "sent"),
    [
        (1, b"", Sent.YES),
        (2, b"", Sent.MAYBE),
        (2, b"HTTP/1.1 2", Sent.YES),
        (1, b"HTTP/1.1 200 OK\r\n", Sent.YES),
    ],
    ids=["first use", "stale", "reused, but it began", "first, and it began"],
)
def test_a_close_before_the_answer_says_what_may_have_happened(
    line: Line, requests: int, received: bytes, sent: Sent, end: str
) -> None:
    """Only a reused connection that dies without a byte may just have been stale."""
    line.near.requests = requests
    line.near.send(b"GET / HTTP/1.1\r\n\r\n")
    assert line.far.recv(100)
    if received:
        line.answer(received)
        line.near._buffer = line.near.stream.read()  # so a reset cannot overtake it
    line.answer(end=end)
    with pytest.raises(TerminatedError) as caught:
        line.near.read_head(b"GET")
    assert caught.value.sent is sent
    assert caught.value.status == 502


@pytest.mark.parametrize(("requests", "sent"), [(1, Sent.YES), (2, Sent.MAYBE)])
def test_a_write_that_fails_says_the_same(
    line: Line, requests: int, sent: Sent
) -> None:
    line.near.requests = requests
    line.answer(end="reset")
    with pytest.raises(TerminatedError) as caught:
        send_much(line.near)
    assert caught.value.sent is sent


def test_no_answer_in_time_is_a_504(line: Line) -> None:
    line.near.stream.deadline = monotonic() + 0.02
    with pytest.raises(ResponseTimeoutError) as caught:
        line.near.read_head(b"GET")
    assert caught.value.status == 504


def test_a_backend_that_takes_nothing_is_a_504(line: Line) -> None:
    line.near.stream.deadline = monotonic() + 0.05
    with pytest.raises(ResponseTimeoutError):
        send_much(line.near)


def test_an_answer_that_is_not_http_is_a_502(line: Line) -> None:
    line.answer(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(ResponseError):
        line.near.read_head(b"GET")


def test_a_head_without_end_is_bounded(line: Line) -> None:
    line.answer(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000)
    with pytest.raises(ResponseTooLargeError):
        line.near.read_head(b"GET")


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    ],
)
def test_a_body_cut_short_never_looks_whole(line: Line, data: bytes, end: str) -> None:
    line.answer(data)
    body = line.body()
    line.answer(end=end)
    with pytest.raises(TerminatedError):
        read_all(body)
    assert not body.is_done


def test_a_body_until_close_that_is_reset_never_looks_whole(line: Line) -> None:
    line.answer(b"HTTP/1.1 200 OK\r\n\r\nok")
    body = line.body()
    line.answer(end="reset")
    with pytest.raises(TerminatedError):
        read_all(body)
    assert not body.is_done


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"2\nok\n", b"2\r\nokay\r\n", b"-1\r\n"])
def test_a_broken_chunk_is_a_502_and_the_end_of_the_connection(
    line: Line, chunk: bytes
) -> None:
    line.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    with pytest.raises(ResponseError):
        read_all(line.body())
    assert not line.near.is_reusable


def test_a_body_that_stalls_ends_at_its_deadline(line: Line) -> None:
    line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
    body = line.body()
    line.near.stream.deadline = monotonic() + 0.02
    with pytest.raises(ResponseTimeoutError):
        read_all(body)


def test_trailers_are_there_at_the_end(line: Line) -> None:
    line.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    body = line.body()
    assert read_all(body) == b"ok"
    assert body.trailers == [b"X-Sum: 1"]


def test_an_interim_answer_leaves_the_final_one_behind_it(line: Line) -> None:
    line.answer(b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + OK)
    assert line.near.read_head(b"GET").status == 103
    assert read_all(line.body()) == b"ok"
    assert line.near.is_reusable


LATE = {
    "the body of a HEAD": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"),
    "the body of a chunked HEAD": (
        b"HEAD",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    "the body of a 304": (b"GET", b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n"),
}


@pytest.mark.parametrize(("method", "head"), LATE.values(), ids=LATE)
def test_a_body_that_must_not_come_could_come_late(
    line: Line, method: bytes, head: bytes
) -> None:
    """It would be the answer to another client's request, so nobody may be next."""
    line.answer(head)
    body = line.body(method)
    assert body.is_done
    assert not line.near.is_reusable


@pytest.mark.parametrize(
    ("method", "head"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_answers_that_promise_no_body_leave_the_connection_fit(
    line: Line, method: bytes, head: bytes
) -> None:
    line.answer(head)
    line.body(method)
    assert line.near.is_reusable


def test_a_head_whose_rest_comes_after_a_deadline_is_still_one_head(
    line: Line,
) -> None:
    """Whoever waits on must not take its tail for a head of its own."""
    line.answer(b"HTTP/1.1 4")
    line.near.stream.deadline = monotonic() + 0.05
    with pytest.raises(ResponseTimeoutError):
        line.near.read_head(b"PUT")
    line.answer(b"03 No\r\nContent-Length: 0\r\n\r\n")
    line.near.stream.deadline = monotonic() + PATIENCE_S
    assert line.near.read_head(b"PUT").status == 403


def test_what_came_behind_an_interim_head_is_news(line: Line) -> None:
    """An answer in the same segment as a 103 is not to be waited for."""
    line.answer(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 413 Too Large\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert line.near.read_head(b"POST").status == 103
    assert not line.near.is_quiet()
    assert line.near.read_head(b"POST").status == 413
    assert line.near.is_quiet()
