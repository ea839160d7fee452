"""Where a response's body ends, and what a client is told of it (RFC 9112 6.3, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import CASE, Exam, answer_or_none
from tests.rfc.rows import (
    Table,
    body_is,
    gives,
    gives_no,
    status_is,
)
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.scripted import Talk

CASES = Table()
answered, broken, case = CASES.answered, CASES.broken, CASES.case

OK = b"HTTP/1.1 200 OK\r\n"
CODED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
OLD = get(CASE).replace(b"HTTP/1.1", b"HTTP/1.0")
HEAD = request(b"HEAD", CASE)

answered(
    "9112-6.3-response-length",
    OK + b"Content-Length: 5\r\n\r\nhello",
    gives(b"content-length", b"5"),
    body_is(b"hello"),
)
answered(
    "9112-6.3-response-length-zero", OK + b"Content-Length: 0\r\n\r\n", body_is(b"")
)
answered(
    "9112-7.1-response-chunked",
    CODED + in_chunks(b"hello world", 4),
    body_is(b"hello world"),
)
answered("9112-7.1-response-chunked-empty", CODED + b"0\r\n\r\n", body_is(b""))
answered(
    "9112-7.1.1-response-extension-is-ignored",
    CODED + b'5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n',
    body_is(b"hello"),
)
answered(
    "9112-7.1.2-response-trailers-do-not-break",
    CODED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    body_is(b"hello"),
)
answered(
    "9112-6.3-response-until-close-is-whole",
    OK + b"X-One: 1\r\n\r\nhello",
    gives(b"x-one", b"1"),
    body_is(b"hello"),
    closes=True,
)
answered(
    "9112-6.3-response-until-close-empty",
    OK + b"X: 1\r\n\r\n",
    body_is(b""),
    closes=True,
)
answered(
    "9112-7.1-response-http-1.0-client-gets-no-chunks",
    CODED + in_chunks(b"hello"),
    gives_no(b"transfer-encoding"),
    body_is(b"hello"),
    ask=OLD,
)
answered(
    "9112-6.3-response-until-close-for-http-1.0",
    OK + b"\r\nhello",
    gives_no(b"transfer-encoding"),
    body_is(b"hello"),
    ask=OLD,
    closes=True,
)

# No body, whatever the fields say ---------------------------------------------------------

answered(
    "9110-9.3.2-head-keeps-length",
    OK + b"Content-Length: 5\r\n\r\n",
    gives(b"content-length", b"5"),
    body_is(b""),
    ask=HEAD,
)
answered("9110-9.3.2-head-chunked", CODED, status_is(200), body_is(b""), ask=HEAD)
answered("9110-9.3.2-head-without-framing", OK + b"\r\n", body_is(b""), ask=HEAD)
answered(
    "9110-9.3.2-head-with-a-body-anyway",
    OK + b"Content-Length: 5\r\n\r\nhello",
    body_is(b""),
    ask=HEAD,
)
answered(
    "9110-15.3.5-204-has-no-body",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    status_is(204),
    body_is(b""),
    gives_no(b"transfer-encoding"),
)
answered(
    "9110-8.6-204-loses-length",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    status_is(204),
    gives_no(b"content-length", b"transfer-encoding"),
)
answered(
    "9112-6.1-204-loses-coding",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    status_is(204),
    gives_no(b"content-length", b"transfer-encoding"),
)
answered(
    "9110-15.4.5-304-keeps-length",
    b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "x"\r\n\r\n',
    status_is(304),
    gives(b"etag", b'"x"'),
    gives(b"content-length", b"5"),
    body_is(b""),
)
answered(
    "9112-6.3-response-304-with-coding",
    b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    status_is(304),
    body_is(b""),
)
answered(
    "9112-6.3-response-204-with-a-body-anyway",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    status_is(204),
    body_is(b""),
)
answered(
    "9112-6.3-response-304-with-a-body-anyway",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
    status_is(304),
    body_is(b""),
)

# Broken framing never looks whole ---------------------------------------------------------

broken("9112-8-length-cut-short", OK + b"Content-Length: 10\r\n\r\nhello")
broken("9112-8-length-and-nothing", OK + b"Content-Length: 10\r\n\r\n")
broken("9112-8-chunk-cut-short", CODED + b"a\r\nhello")
broken("9112-8-no-last-chunk", CODED + b"5\r\nhello\r\n")
broken("9112-8-last-chunk-cut-short", CODED + b"5\r\nhello\r\n0\r\n")
for name, body in {
    "size-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size-word": b"xyz\r\nhello\r\n0\r\n\r\n",
    "size-minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "size-over-64-bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "data-longer-than-size": b"4\r\nhello\r\n0\r\n\r\n",
}.items():
    broken(f"9112-7.1-response-{name}", CODED + body)
broken("9112-7.1-response-bare-lf", CODED + b"5\nhello\n0\n\n", own=True)
for name, value in {
    "negative": b"-5",
    "plus-sign": b"+5",
    "hexadecimal": b"0x5",
    "word": b"five",
    "empty": b"",
    "list-of-different": b"5, 6",
}.items():
    broken(
        f"9112-6.3-response-length-{name}",
        OK + b"Content-Length: " + value + b"\r\n\r\nhello",
    )
broken(
    "9112-6.3-response-two-different-lengths",
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
)
broken(
    "9112-6.3-response-two-equal-lengths",
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    accepts=gives(b"content-length", b"5"),
)
broken(
    "9112-6.3-response-both-framings",
    OK
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    accepts=gives_no(b"content-length"),
)
broken(
    "9112-6.1-response-coding-in-http-1.0",
    CODED.replace(b"HTTP/1.1", b"HTTP/1.0") + in_chunks(b"hello"),
    own=True,
)
for name, value in {
    "unknown": b"xchunked",
    "chunked-twice": b"chunked, chunked",
    "chunked-not-last": b"chunked, gzip",
}.items():
    broken(
        f"9112-6.1-response-coding-{name}",
        OK + b"Transfer-Encoding: " + value + b"\r\n\r\n" + in_chunks(b"hello"),
        own=name != "unknown",
    )

# Bytes that nobody asked for ---------------------------------------------------------------

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@case("9112-9.2-second-response-is-never-used")
def _(exam: Exam) -> None:
    """A backend answers twice: the second answer is nobody's."""
    exam.script(lambda talk: talk.send(OK + b"Content-Length: 2\r\n\r\nok" + EVIL))
    with exam.connect() as client:
        assert client.ask(get(CASE)).body == b"ok"
        assert client.ask(get(b"/other")).body == b"/other"
    exam.check_unharmed(4)


@case("9112-9.2-late-second-response-is-never-used")
def _(exam: Exam) -> None:
    """The same, when it comes a little later on the idle connection."""
    said: list[bool] = []

    def script(talk: Talk) -> None:
        talk.send(OK + b"Content-Length: 2\r\n\r\nok", EVIL)
        said.append(True)

    exam.script(script)
    with exam.connect() as client:
        assert client.ask(get(CASE)).body == b"ok"
        wait_for(lambda: said, "the backend's second answer")
    exam.check_unharmed(4)


@case("9112-6.3-response-bytes-behind-chunked-are-never-used")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.send(CODED + in_chunks(b"ok") + EVIL))
    with exam.connect() as client:
        assert client.ask(get(CASE)).body == b"ok"
    exam.check_unharmed(4)


@case("9112-6.3-response-body-of-head-is-never-the-next-answer")
def _(exam: Exam) -> None:
    exam.script(
        lambda talk: talk.send(OK + b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL)
    )
    with exam.connect() as client:
        client.send(HEAD)
        answer = answer_or_none(client, b"HEAD")
        assert answer is not None
        assert answer.body == b""
    exam.check_unharmed(4)


@case("9110-15.2-body-of-204-is-never-the-next-answer")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.send(b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL))
    assert exam.ask(get(CASE)).status == 204
    exam.check_unharmed(4)


@case("9112-9.3-closing-answer-ends-the-backend-connection")
def _(exam: Exam) -> None:
    """`Connection: close` of a backend: no second request goes there."""

    def script(talk: Talk) -> None:
        talk.reply(b"ok", b"Connection: close")
        talk.close()

    exam.script(script)
    assert exam.ask(get(CASE)).body == b"ok"
    exam.check_unharmed()
    peers = [talk.peer for talk in exam.talks]
    assert peers.count(peers[0]) == 1
