"""Robustness: any cut of the bytes, half-close, and ends at every moment."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import (
    CASE,
    Exam,
    answer_or_none,
    is_closed,
    is_gone,
    wait_seen,
)
from tests.rfc.rows import Table
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.client import Client
    from tests.live.scripted import Talk

CASES = Table()
case = CASES.case

CODED = b"Transfer-Encoding: chunked"
RESET = struct.pack("ii", 1, 0)


def echo_body(talk: Talk) -> None:
    talk.reply(talk.read_body())


def add_bytewise(name: str, data: bytes, body: bytes) -> None:
    """A request sent byte by byte is the same request."""

    def run(exam: Exam) -> None:
        exam.script(echo_body)
        with exam.connect() as client:
            client.send_slowly(data)
            answer = client.answer(data.partition(b" ")[0])
        assert (answer.status, answer.body) == (200, body)
        assert len(exam.seen()) == 1

    case(f"robust-byte-by-byte-{name}")(run)


add_bytewise("get", get(CASE, b"X-One: 1"), b"")
add_bytewise("length", request(b"POST", CASE, body=b"hello"), b"hello")
add_bytewise(
    "chunked", request(b"POST", CASE, CODED) + in_chunks(b"hello", 2), b"hello"
)


def add_response_bytewise(name: str, wire: bytes, body: bytes) -> None:
    """An answer that comes byte by byte is the same answer."""

    def script(talk: Talk) -> None:
        talk.send(*(bytes((byte,)) for byte in wire))
        talk.close()

    def run(exam: Exam) -> None:
        exam.script(script)
        answer = exam.ask(get(CASE))
        assert (answer.is_whole, answer.body) == (True, body)

    case(f"robust-answer-byte-by-byte-{name}")(run)


OK = b"HTTP/1.1 200 OK\r\n"
add_response_bytewise("length", OK + b"Content-Length: 5\r\n\r\nhello", b"hello")
add_response_bytewise(
    "chunked", OK + CODED + b"\r\n\r\n" + in_chunks(b"hello", 2), b"hello"
)
add_response_bytewise("until-close", OK + b"X: 1\r\n\r\nhello", b"hello")
add_response_bytewise(
    "interim",
    b"HTTP/1.1 103 Hints\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
    b"ok",
)


@case("robust-answer-cut-at-every-byte-of-its-head")
def _(exam: Exam) -> None:
    """Wherever the backend breaks off, the client gets an error, never half a head."""
    wire = OK + b"Content-Length: 5\r\nX-One: 1\r\n\r\n"
    cut = [0]

    def script(talk: Talk) -> None:
        talk.send(wire[: cut[0]])
        talk.close()

    exam.script(script)
    for end in range(0, len(wire), 3):
        cut[0] = end
        answer = exam.ask(request(b"POST", CASE))
        assert answer.status == 502, wire[:end]
    exam.check_unharmed()


@case("robust-answer-reset-at-every-byte-of-its-head")
def _(exam: Exam) -> None:
    wire = OK + b"Content-Length: 5\r\nX-One: 1\r\n\r\n"
    cut = [0]

    def script(talk: Talk) -> None:
        talk.send(wire[: cut[0]])
        talk.reset()

    exam.script(script)
    for end in range(0, len(wire), 3):
        cut[0] = end
        answer = exam.ask(request(b"POST", CASE))
        assert answer.status == 502, wire[:end]
    exam.check_unharmed()


@case("robust-request-cut-at-every-byte")
def _(exam: Exam) -> None:
    """A client that leaves amid its head is no request."""
    data = get(CASE)
    for end in range(1, len(data), 3):
        with exam.connect() as client:
            client.send(data[:end])
    exam.check_unharmed()
    assert exam.seen() == []


def leave(client: Client, *, with_reset: bool) -> None:
    if with_reset:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.sock.close()


def add_leaving(name: str, *, with_reset: bool) -> None:
    """A client that leaves: the backend is let go, and nobody else is harmed."""

    def amid_upload(exam: Exam) -> None:
        ends: list[str] = []

        def script(talk: Talk) -> None:
            try:
                talk.read_body()
                ends.append("whole")
            except Exception:
                ends.append("cut")
                raise

        exam.script(script)
        with exam.connect() as client:
            client.send(request(b"POST", CASE, b"Content-Length: 10") + b"half")
            wait_seen(exam)
            leave(client, with_reset=with_reset)
        wait_for(lambda: ends, "the backend to be let go")
        assert ends == ["cut"]
        exam.check_unharmed()

    def amid_chunks(exam: Exam) -> None:
        ends: list[str] = []

        def script(talk: Talk) -> None:
            try:
                talk.read_body()
                ends.append("whole")
            except Exception:
                ends.append("cut")
                raise

        exam.script(script)
        with exam.connect() as client:
            client.send(request(b"POST", CASE, CODED) + b"4\r\nhalf\r\n")
            wait_seen(exam)
            leave(client, with_reset=with_reset)
        wait_for(lambda: ends, "the backend to be let go")
        assert ends == ["cut"], "a cut upload looks whole to the backend"
        exam.check_unharmed()

    def amid_answer(exam: Exam) -> None:
        gone: list[bool] = []

        def script(talk: Talk) -> None:
            talk.send(OK + b"Content-Length: 10\r\n\r\nhalf")
            gone.append(is_gone(talk))

        exam.script(script)
        with exam.connect() as client:
            client.send(get(CASE))
            client.sock.recv(65536)
            leave(client, with_reset=with_reset)
        wait_for(lambda: gone, "the backend to be let go")
        assert gone == [True]
        exam.check_unharmed()

    def while_waiting(exam: Exam) -> None:
        gone: list[bool] = []
        exam.script(lambda talk: gone.append(is_gone(talk)))
        with exam.connect() as client:
            client.send(get(CASE))
            wait_seen(exam)
            leave(client, with_reset=with_reset)
        wait_for(lambda: gone, "the backend to be let go")
        assert gone == [True]
        exam.check_unharmed()

    case(f"9112-8-client-{name}-amid-its-upload")(amid_upload)
    case(f"9112-8-client-{name}-amid-its-chunks")(amid_chunks)
    case(f"robust-client-{name}-amid-the-answer")(amid_answer)
    case(f"robust-client-{name}-while-the-backend-works")(while_waiting)


add_leaving("leaves", with_reset=False)
add_leaving("resets", with_reset=True)


@case("9112-8-half-closed-client-never-takes-a-part-for-the-whole")
def _(exam: Exam) -> None:
    """A client says its last amid its answer: it gets all of it, or a visible break."""
    body = b"x" * 500_000
    exam.script(lambda talk: talk.reply(body))
    with exam.connect() as client:
        client.send(get(CASE, b"Connection: close"))
        first = client.sock.recv(1, socket.MSG_PEEK)
        assert first
        client.sock.shutdown(socket.SHUT_WR)
        answer = answer_or_none(client)
    assert answer is not None
    assert answer.is_whole == (len(answer.body) == len(body))


@case("9112-8-half-close-amid-an-upload-is-no-whole-request")
def _(exam: Exam) -> None:
    ends: list[bytes] = []

    def script(talk: Talk) -> None:
        ends.append(talk.read_body())
        talk.reply(b"ok")

    exam.script(script)
    with exam.connect() as client:
        client.send(request(b"POST", CASE, b"Content-Length: 10") + b"half")
        client.sock.shutdown(socket.SHUT_WR)
        answer = answer_or_none(client, b"POST")
    assert answer is None or answer.status >= 400
    assert ends == []
    exam.check_unharmed()


@case("robust-connect-and-leave")
def _(exam: Exam) -> None:
    """Two hundred connections without a byte harm nobody."""
    for _ in range(200):
        exam.connect().sock.close()
    exam.check_unharmed()


@case("robust-many-at-once-each-get-their-own")
def _(exam: Exam) -> None:
    clients = [exam.connect() for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(get(b"/%d" % number))
    for number, client in enumerate(clients):
        assert client.answer().body == b"/%d" % number
        client.sock.close()


@case("9112-9.3.2-pipelined-bodies-byte-by-byte")
def _(exam: Exam) -> None:
    exam.script(echo_body)
    data = request(b"POST", CASE, CODED) + in_chunks(b"one", 2)
    data += request(b"POST", CASE, body=b"two") + get(b"/three", b"Connection: close")
    with exam.connect() as client:
        client.send_slowly(data)
        answers = [client.answer(m).body for m in (b"POST", b"POST", b"GET")]
        assert answers == [b"one", b"two", b"/three"]
        assert is_closed(client)


@case("own-answer-before-its-request", own=True)
def _(exam: Exam) -> None:
    """What a backend says before it is asked is not an answer."""
    exam.script(lambda talk: talk.reply(b"ok"))
    assert exam.ask(get(CASE)).body == b"ok"
    talk = exam.seen()[0]
    talk.send(OK + b"Content-Length: 4\r\n\r\nevil")
    wait_for(lambda: is_gone(talk), "the spoilt connection to be closed")
    exam.check_unharmed(4)
