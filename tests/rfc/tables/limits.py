"""Timeouts and limits, each with its status (RFC 9110 section 15, RFC 6585)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import CASE, Exam, answer_or_none, is_closed, send
from tests.rfc.rows import Table, body_is, got_body
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.scripted import Talk

CASES = Table()
case, refused, passed, broken = CASES.case, CASES.refused, CASES.passed, CASES.broken

OVER = b"x" * 10_001

# Sizes -------------------------------------------------------------------------------------

refused("6585-5-head-too-large", get(CASE, b"X: " + b"x" * 70_000), 431, 400)
refused("6585-5-one-field-name-too-large", get(CASE, b"x" * 70_000 + b": 1"), 431, 400)
refused("9110-15.5.15-target-too-long", get(b"/" + b"x" * 70_000), 414, 431, 400)
refused("9112-3-target-too-long-is-414", get(b"/" + b"x" * 70_000), 414)
refused("6585-5-too-many-fields", get(CASE, *[b"X: 1"] * 2000), 431, 400)
refused(
    "6585-5-head-that-never-ends",
    b"GET /case HTTP/1.1\r\nX: " + b"x" * 70_000,
    431,
    400,
)
refused(
    "6585-5-head-over-the-setting",
    get(CASE, b"X: " + b"x" * 5000),
    431,
    own=True,
    variant="small",
)
passed(
    "6585-5-head-within-the-setting",
    get(CASE, b"X: " + b"x" * 3000),
    own=True,
    variant="small",
)
refused(
    "9110-15.5.14-body-over-the-setting",
    request(b"POST", CASE, body=OVER),
    413,
    own=True,
    variant="small",
)
refused(
    "9110-15.5.14-announced-body-over-the-setting",
    request(b"POST", CASE, b"Content-Length: 10001"),
    413,
    own=True,
    variant="small",
)
refused(
    "9110-15.5.14-chunked-body-over-the-setting",
    request(b"POST", CASE, b"Transfer-Encoding: chunked") + in_chunks(OVER),
    413,
    own=True,
    variant="small",
)
refused(
    "9110-15.5.14-chunk-announced-over-the-setting",
    request(b"POST", CASE, b"Transfer-Encoding: chunked") + b"fffffff\r\n" + OVER,
    413,
    own=True,
    variant="small",
)
passed(
    "9110-15.5.14-body-of-exactly-the-setting",
    request(b"POST", CASE, body=OVER[1:]),
    got_body(OVER[1:]),
    own=True,
    variant="small",
)


@case("9110-10.1.1-too-large-a-body-is-not-asked-for", own=True, variant="small")
def _(exam: Exam) -> None:
    """413 at once instead of 100."""
    lines = (b"Expect: 100-continue", b"Content-Length: 10001")
    with exam.connect() as client:
        client.send(request(b"PUT", CASE, *lines))
        answer = client.answer(b"PUT")
    assert (answer.status, answer.interim) == (413, [])
    exam.check_nothing_reached()


broken(
    "own-response-head-over-the-setting",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"x" * 5000 + b"\r\n\r\n",
    own=True,
    variant="small",
)
broken(
    "9112-4-response-head-that-never-ends", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000
)
passed(
    "9110-2.3-response-head-of-some-kib",
    get(CASE),
    body_is(b"ok"),
    script=lambda talk: talk.reply(b"ok", b"X: " + b"x" * 3000),
)

# Times -------------------------------------------------------------------------------------


@case("9110-15.5.9-slow-head", own=True, variant="short")
def _(exam: Exam) -> None:
    """408 and the close, counted from its first byte."""
    with exam.connect() as client:
        client.send(b"GET /case HTTP/1.1\r\nHo")
        answer = answer_or_none(client)
        assert answer is not None
        assert answer.status == 408
        assert is_closed(client)
    exam.check_nothing_reached()


@case("9110-15.5.9-dripping-head", own=True, variant="short")
def _(exam: Exam) -> None:
    """A byte now and then does not stretch the deadline."""
    begun = monotonic()
    with exam.connect() as client:
        client.sock.settimeout(0.1)
        data = b""
        while not data and monotonic() - begun < 5:
            send(client, b"x")
            try:
                data = client.sock.recv(65536)
            except TimeoutError:
                continue
    assert data.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))
    exam.check_nothing_reached()


@case("9112-9.5-silent-new-connection-is-closed", own=True, variant="short")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        assert is_closed(client)


@case("9112-9.5-idle-connection-is-closed", own=True, variant="short")
def _(exam: Exam) -> None:
    """After `timeouts.keepalive`, without a word."""
    with exam.connect() as client:
        client.ask(get(CASE))
        assert is_closed(client)


@case("9112-2.2-empty-line-behind-a-request-is-no-slow-head", own=True, variant="short")
def _(exam: Exam) -> None:
    """Old clients send one more line end; the close then is an idle one, no 408."""
    with exam.connect() as client:
        client.ask(request(b"POST", CASE, body=b"x") + b"\r\n")
        assert is_closed(client)


@case("9110-15.5.9-stalled-length", own=True, variant="short")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.send(request(b"POST", CASE, b"Content-Length: 10") + b"half")
        answer = answer_or_none(client, b"POST")
        assert answer is not None
        assert answer.status == 408
        assert is_closed(client)
    exam.check_unharmed()


@case("9110-15.5.9-stalled-chunk", own=True, variant="short")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.send(request(b"POST", CASE, b"Transfer-Encoding: chunked") + b"5\r\nha")
        answer = answer_or_none(client, b"POST")
        assert answer is not None
        assert answer.status == 408
    exam.check_unharmed()


@case("9110-15.5.9-stalled-after-100", own=True, variant="short")
def _(exam: Exam) -> None:
    exam.script(lambda talk: (talk.send(b"HTTP/1.1 100 Continue\r\n\r\n"), None)[1])
    with exam.connect() as client:
        lines = (b"Expect: 100-continue", b"Content-Length: 4")
        client.send(request(b"PUT", CASE, *lines))
        answer = client.answer(b"PUT")
    assert (answer.interim, answer.status) == ([100], 408)
    exam.check_unharmed()


@case("9110-15.6.5-silent-backend", own=True, variant="short")
def _(exam: Exam) -> None:
    """504, and the backend's connection is closed."""
    exam.script(lambda talk: talk.await_close())
    with exam.connect() as client:
        answer = client.ask(get(CASE))
        assert answer.status == 504
        assert client.ask(get(b"/next")).body == b"/next"
    assert len(exam.seen()) == 1


@case("9110-15.6.5-dripping-response-head", own=True, variant="short")
def _(exam: Exam) -> None:
    """Bytes of a head do not stretch the deadline for the whole of it."""

    def drip(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nX: ")
        talk.sock.settimeout(0.1)
        for _ in range(100):
            try:
                talk.sock.recv(1)
                break
            except TimeoutError:
                talk.send(b"x")

    exam.script(drip)
    begun = monotonic()
    assert exam.ask(get(CASE)).status == 504
    assert monotonic() - begun < 3


@case("9112-8-stalled-response-body", own=True, variant="short")
def _(exam: Exam) -> None:
    """After `timeouts.idle` the answer is broken off visibly."""

    def stall(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        talk.await_close()

    exam.script(stall)
    answer = exam.ask(get(CASE))
    assert (answer.status, answer.body, answer.is_whole) == (200, b"half", False)


@case("own-slow-but-steady-body-is-not-cut", own=True, variant="short")
def _(exam: Exam) -> None:
    """Longer than the timeout in all, never between two bytes."""
    moments: list[float] = []

    def steady(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        begun = monotonic()
        for number in range(8):
            wait_for(lambda n=number: monotonic() - begun > n * 0.1, "its moment")
            talk.send(b"%d" % number)
            moments.append(monotonic() - begun)

    exam.script(steady)
    assert exam.ask(get(CASE)).body == b"01234567"
    assert moments[-1] > 0.6


@case("own-slow-but-steady-upload-is-not-cut", own=True, variant="short")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.reply(talk.read_body()))
    with exam.connect() as client:
        client.send(request(b"POST", CASE, b"Content-Length: 8"))
        begun = monotonic()
        for number in range(8):
            wait_for(lambda n=number: monotonic() - begun > n * 0.1, "its moment")
            client.send(b"%d" % number)
        assert client.answer(b"POST").body == b"01234567"


@case("own-reader-that-stands-still-is-cut", own=True, variant="short")
def _(exam: Exam) -> None:
    """A client that takes nothing holds its backend no longer than `timeouts.idle`."""
    gone: list[float] = []

    def flood(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        begun = monotonic()
        try:
            talk.send(*[b"x" * 100_000] * 1000)
        finally:
            gone.append(monotonic() - begun)

    exam.script(flood)
    with exam.connect() as client:
        client.send(get(CASE))
        wait_for(lambda: gone, "the backend to be let go")
    assert gone[0] < 5
    exam.check_unharmed()


@case("own-backend-that-takes-nothing-is-let-go", own=True, variant="short")
def _(exam: Exam) -> None:
    def ignore(talk: Talk) -> None:
        # Reads nothing: its kernel's buffers fill up.
        wait_for(lambda: answered, "the client to be answered")
        talk.is_body_read = True
        talk.close()

    answered: list[int] = []
    exam.script(ignore)
    with exam.connect() as client:
        client.send(request(b"POST", CASE, b"Content-Length: 50000000"))
        client.sock.settimeout(0.2)
        try:
            while True:
                client.send(b"x" * 1_000_000)
        except (TimeoutError, ConnectionError):
            pass
        client.sock.settimeout(5)
        answer = answer_or_none(client, b"POST")
        answered.append(1)
    assert answer is not None
    assert answer.status == 504
    exam.check_unharmed()
