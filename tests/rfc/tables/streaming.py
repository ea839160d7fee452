"""Streaming: bytes leave as they come, with back-pressure (RFC 9110 section 7.6)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import h11

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import CASE, Exam, wait_seen
from tests.rfc.rows import Table
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.client import Client
    from tests.live.scripted import Talk

CASES = Table()
case = CASES.case

BODY = bytes(range(251)) * 4000
HTTP = b"HTTP/1.1 200 OK\r\n"


def pieces_of(exam: Exam, head: bytes, *pieces: bytes) -> list[bytes]:
    """What a client gets of each piece before the backend sends the next."""
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.send(head)
        for number, piece in enumerate(pieces):
            wait_for(lambda n=number: len(got) >= n, "the client to have the last one")
            talk.send(piece)
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE))
        client.expect()
        assert isinstance(client.event(), h11.Response)
        while isinstance(event := client.event(), h11.Data):
            got.append(bytes(event.data))
        assert isinstance(event, h11.EndOfMessage)
    return got


@case("own-each-chunk-leaves-at-once", own=True)
def _(exam: Exam) -> None:
    head = (
        HTTP + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    pieces = [b"%d" % number for number in range(5)]
    chunks = [b"1\r\n%b\r\n" % piece for piece in pieces]
    assert pieces_of(exam, head, *chunks, b"0\r\n\r\n") == pieces


@case("own-each-piece-of-a-length-leaves-at-once", own=True)
def _(exam: Exam) -> None:
    pieces = [b"%d" % number for number in range(5)]
    assert pieces_of(exam, HTTP + b"Content-Length: 5\r\n\r\n", *pieces) == pieces


@case("own-each-piece-until-close-leaves-at-once", own=True)
def _(exam: Exam) -> None:
    pieces = [b"%d" % number for number in range(5)]
    assert pieces_of(exam, HTTP + b"\r\n", *pieces) == pieces


@case("own-head-leaves-before-the-body", own=True)
def _(exam: Exam) -> None:
    """A client sees status and fields of an answer whose body is yet to come."""
    head = HTTP + b"Content-Length: 2\r\n\r\n"
    seen: list[bool] = []

    def script(talk: Talk) -> None:
        talk.send(head)
        wait_for(lambda: seen, "the client to have the head")
        talk.send(b"ok")

    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE))
        client.expect()
        assert isinstance(client.event(), h11.Response)
        seen.append(True)
        event = client.event()
        assert isinstance(event, h11.Data)
        assert event.data == b"ok"


def upload_pieces(exam: Exam, head: bytes, wire: list[bytes]) -> list[bytes]:
    """What a backend gets of each piece of an upload before the next is sent."""
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        while len(got) < len(wire):
            got.append(talk.read())
        talk.is_body_read = True
        talk.reply(b"ok")

    exam.script(script)
    with exam.connect() as client:
        client.send(head)
        wait_seen(exam)
        for number, piece in enumerate(wire):
            client.send(piece)
            wait_for(lambda n=number: len(got) > n, "the backend to have the piece")
        assert client.answer(b"POST").body == b"ok"
    return got


@case("own-upload-leaves-as-it-comes", own=True)
def _(exam: Exam) -> None:
    pieces = [b"%d" % number for number in range(5)]
    head = request(b"POST", CASE, b"Content-Length: 5")
    assert upload_pieces(exam, head, pieces) == pieces


@case("own-chunked-upload-leaves-as-it-comes", own=True)
def _(exam: Exam) -> None:
    pieces = [b"1\r\n%d\r\n" % number for number in range(5)]
    head = request(b"POST", CASE, b"Transfer-Encoding: chunked")
    assert upload_pieces(exam, head, pieces) == pieces


@case("9110-6.4-a-mebibyte-down-by-length")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.reply(BODY))
    answer = exam.ask(get(CASE))
    assert (answer.is_whole, answer.body == BODY) == (True, True)


@case("9110-6.4-a-mebibyte-down-in-chunks")
def _(exam: Exam) -> None:
    head = HTTP + b"Transfer-Encoding: chunked\r\n\r\n"
    exam.script(lambda talk: talk.send(head + in_chunks(BODY, 1001)))
    answer = exam.ask(get(CASE))
    assert (answer.is_whole, answer.body == BODY) == (True, True)


@case("9110-6.4-a-mebibyte-down-until-close")
def _(exam: Exam) -> None:
    exam.script(lambda talk: (talk.send(HTTP + b"\r\n" + BODY), talk.close())[0])
    answer = exam.ask(get(CASE))
    assert (answer.is_whole, answer.body == BODY) == (True, True)


def check_upload(exam: Exam, data: bytes) -> None:
    def script(talk: Talk) -> None:
        talk.reply(hashlib.sha256(talk.read_body()).digest())

    exam.script(script)
    assert exam.ask(data).body == hashlib.sha256(BODY).digest()


@case("9110-6.4-a-mebibyte-up-by-length")
def _(exam: Exam) -> None:
    check_upload(exam, request(b"POST", CASE, body=BODY))


@case("9110-6.4-a-mebibyte-up-in-chunks")
def _(exam: Exam) -> None:
    coded = request(b"POST", CASE, b"Transfer-Encoding: chunked")
    check_upload(exam, coded + in_chunks(BODY, 1001))


def stands_still(send: object) -> bool:
    """Whether a sender of endless bytes is stopped by its full buffers."""
    try:
        for _ in range(400):
            send(b"x" * 100_000)  # type: ignore[operator]
    except TimeoutError:
        return True
    return False


@case("own-backend-waits-for-a-slow-reader", own=True)
def _(exam: Exam) -> None:
    """40 MB cannot leave the backend while the client reads nothing."""
    stopped: list[bool] = []

    def flood(talk: Talk) -> None:
        talk.send(HTTP + b"Content-Length: 40000000\r\n\r\n")
        talk.sock.settimeout(0.5)
        stopped.append(stands_still(talk.sock.sendall))
        talk.reset()

    exam.script(flood)
    with exam.connect() as client:
        client.send(get(CASE))
        wait_for(lambda: stopped, "the backend to stand still")
    assert stopped == [True]
    exam.check_unharmed()


@case("own-client-waits-for-a-slow-backend", own=True)
def _(exam: Exam) -> None:
    def ignore(talk: Talk) -> None:
        wait_for(lambda: stopped, "the client to stand still")
        talk.reset()

    stopped: list[bool] = []
    exam.script(ignore)
    with exam.connect() as client:
        client.send(request(b"POST", CASE, b"Content-Length: 40000000"))
        client.sock.settimeout(0.5)
        stopped.append(stands_still(client.sock.sendall))
    assert stopped == [True]
    exam.check_unharmed()


def early(exam: Exam, client: Client) -> None:
    """An upload is answered before it ends."""

    def refuse(talk: Talk) -> None:
        talk.reply(b"enough", b"Connection: close", status=b"413 Too Much")
        talk.await_close()
        talk.close()

    exam.script(refuse)
    client.send(request(b"POST", CASE, b"Content-Length: 1000000") + b"x" * 1000)


@case("9112-9.3-early-answer-is-heard")
def _(exam: Exam) -> None:
    """The client has sent a little and waits: it gets the backend's answer."""
    with exam.connect() as client:
        early(exam, client)
        answer = client.answer(b"POST")
    assert (answer.status, answer.body) == (413, b"enough")
    exam.check_unharmed()


@case("9112-9.3-rest-of-a-cut-upload-is-no-request")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        early(exam, client)
        assert client.answer(b"POST").status == 413
        try:
            client.send(get(b"/smuggled") * 10)
            while client.sock.recv(65536):
                pass
        except OSError:
            pass
    exam.check_unharmed()
    assert exam.seen(b"/smuggled") == []
