"""Interim responses and Expect (RFC 9110 sections 10.1.1 and 15.2, RFC 8297)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.client import get, request
from tests.rfc.exam import CASE, Exam, answer_or_none, is_closed, send
from tests.rfc.rows import Table, body_is, gives_no, interim_is, sees, status_is
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.client import Client
    from tests.live.scripted import Talk

CASES = Table()
case, passed, answered, broken, refused = (
    CASES.case,
    CASES.passed,
    CASES.answered,
    CASES.broken,
    CASES.refused,
)

FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = b"Expect: 100-continue"

answered("8297-2-early-hints-pass", HINTS + FINAL, interim_is(103), body_is(b"ok"))
answered(
    "8297-2-several-early-hints",
    HINTS + HINTS + FINAL,
    interim_is(103, 103),
    body_is(b"ok"),
)
answered(
    "9110-15.2-unknown-interim-passes",
    b"HTTP/1.1 199 Odd\r\n\r\n" + FINAL,
    interim_is(199),
    body_is(b"ok"),
)
answered(
    "9110-15.2-unasked-100-does-not-end-the-request",
    CONTINUE + FINAL,
    status_is(200),
    body_is(b"ok"),
)
answered(
    "9110-15.2-no-interim-for-http-1.0",
    HINTS + FINAL,
    interim_is(),
    body_is(b"ok"),
    ask=get(CASE).replace(b"HTTP/1.1", b"HTTP/1.0"),
)
answered(
    "9110-8.6-interim-with-length-has-no-body",
    b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + FINAL,
    body_is(b"ok"),
)
answered(
    "8297-2-hints-before-an-error",
    HINTS + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    status_is(404),
    gives_no(b"link"),
)
answered(
    "8297-2-hints-before-head-answer",
    HINTS + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    status_is(200),
    ask=request(b"HEAD", CASE),
)
broken("9110-15.2-interim-and-then-nothing", HINTS)
broken("9110-15.2.2-101-unasked", b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + FINAL)


@case("8297-2-hints-leave-at-once", own=True)
def _(exam: Exam) -> None:
    """The hint is with the client while the backend still works."""
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.send(HINTS)
        wait_for(lambda: got, "the client to have the hint")
        talk.send(FINAL)

    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE))
        got.append(client.sock.recv(65536))
        assert got[0].startswith(b"HTTP/1.1 103 ")


# Expect ------------------------------------------------------------------------------------


def upload(client: Client, body: bytes = b"body") -> None:
    """Send a head that expects 100-continue."""
    client.send(request(b"PUT", CASE, EXPECT, b"Content-Length: %d" % len(body)))


@case("9110-10.1.1-body-after-100")
def _(exam: Exam) -> None:
    """The client is asked for the body, and the backend gets it."""

    def script(talk: Talk) -> None:
        if talk.values(b"expect"):
            talk.send(CONTINUE)
        talk.reply(talk.read_body())

    exam.script(script)
    with exam.connect() as client:
        upload(client)
        assert client.sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.send(b"body")
        answer = client.answer(b"PUT")
    assert (answer.status, answer.body) == (200, b"body")


@case("9110-10.1.1-refused-upload-is-never-sent", own=True)
def _(exam: Exam) -> None:
    """A final status instead of 100: the body is not asked for."""
    exam.script(
        lambda talk: (talk.reply(b"", status=b"403 Forbidden"), talk.close())[0]
    )
    with exam.connect() as client:
        upload(client)
        answer = client.answer(b"PUT")
        assert (answer.status, answer.interim) == (403, [])
        assert is_closed(client)
    exam.check_unharmed()


@case("9110-10.1.1-401-passes-and-nothing-is-mixed-up")
def _(exam: Exam) -> None:
    """A client may send its body after a refusal; it is never the next request."""

    def script(talk: Talk) -> None:
        talk.reply(b"", status=b"401 Unauthorized")
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        upload(client, get(b"/smuggled"))
        answer = client.answer(b"PUT")
        if answer.interim == []:
            assert answer.status == 401
        send(client, get(b"/smuggled"))
    exam.check_unharmed()
    assert exam.seen(b"/smuggled") == []


@case("9110-10.1.1-backend-that-never-says-100")
def _(exam: Exam) -> None:
    """The client gets its 100 after a while, as from a server that knows it."""
    exam.script(lambda talk: talk.reply(talk.read_body()))
    with exam.connect() as client:
        upload(client)
        assert client.sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.send(b"body")
        assert client.answer(b"PUT").body == b"body"


@case("9110-10.1.1-hint-instead-of-100", own=True)
def _(exam: Exam) -> None:
    """103 is not leave to send the body: the client waits for 100 and gets it."""

    def script(talk: Talk) -> None:
        talk.send(HINTS)
        talk.reply(talk.read_body())

    exam.script(script)
    with exam.connect() as client:
        upload(client)
        data = b""
        while b"HTTP/1.1 100 " not in data:
            data += client.sock.recv(65536)
        client.send(b"body")
        assert client.answer(b"PUT").body == b"body"


@case("9110-10.1.1-client-that-does-not-wait")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.reply(talk.read_body()))
    with exam.connect() as client:
        upload(client)
        client.send(b"body")
        answer = client.answer(b"PUT")
    assert (answer.status, answer.body) == (200, b"body")


@case("9110-10.1.1-body-with-the-head")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.reply(talk.read_body()))
    answer = exam.ask(request(b"PUT", CASE, EXPECT, body=b"body"))
    assert (answer.status, answer.body) == (200, b"body")


@case("9110-10.1.1-chunked-upload")
def _(exam: Exam) -> None:
    def script(talk: Talk) -> None:
        if talk.values(b"expect"):
            talk.send(CONTINUE)
        talk.reply(talk.read_body())

    exam.script(script)
    with exam.connect() as client:
        client.send(request(b"PUT", CASE, EXPECT, b"Transfer-Encoding: chunked"))
        assert client.sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.send(b"4\r\nbody\r\n0\r\n\r\n")
        assert client.answer(b"PUT").body == b"body"


@case("9110-10.1.1-http-1.0-expectation-is-ignored")
def _(exam: Exam) -> None:
    """RFC: a server MUST ignore it in an HTTP/1.0 request."""
    data = request(b"PUT", CASE, EXPECT, body=b"body").replace(b"HTTP/1.1", b"HTTP/1.0")
    exam.script(lambda talk: talk.reply(talk.read_body()))
    with exam.connect() as client:
        client.send(data)
        answer = answer_or_none(client, b"PUT")
    assert answer is not None
    assert (answer.status, answer.interim, answer.body) == (200, [], b"body")
    assert exam.seen()[0].values(b"expect") == []


@case("9110-10.1.1-expectation-named-by-connection", own=True)
def _(exam: Exam) -> None:
    """Taken away by `Connection`, it is nobody's; the client is not kept waiting."""
    data = request(b"PUT", CASE, EXPECT, b"Connection: expect", body=b"body")
    exam.script(lambda talk: talk.reply(talk.read_body()))
    assert exam.ask(data).body == b"body"
    assert exam.seen()[0].values(b"expect") == []


refused(
    "9110-10.1.1-unknown-expectation",
    request(b"PUT", CASE, b"Expect: 200-maybe", body=b"body"),
    417,
    own=True,
)
passed(
    "9110-10.1.1-expect-in-any-case",
    request(b"PUT", CASE, b"Expect: 100-Continue", body=b"body"),
    status_is(200),
)
passed("9110-10.1.1-expect-without-body", get(CASE, EXPECT), status_is(200))
passed("9110-10.1.1-none-is-added", request(b"PUT", CASE, body=b"x"), sees(b"expect"))
