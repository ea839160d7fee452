"""Connections: persistence, pipelining, closing (RFC 9112 section 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.client import get, request
from tests.rfc.exam import CASE, SMUGGLED, Exam, answer_or_none, is_closed, is_gone
from tests.rfc.rows import Table, gives, gives_no, sees
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.scripted import Talk

CASES = Table()
case, passed, answered = CASES.case, CASES.passed, CASES.answered

CLOSE = b"Connection: close"
OLD = get(CASE).replace(b"HTTP/1.1", b"HTTP/1.0")
OLD_KEEP = OLD[:-2] + b"Connection: keep-alive\r\n\r\n"


@case("9112-9.3-http-1.1-persists")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        for number in range(5):
            target = b"/%d" % number
            assert client.ask(get(target)).body == target


@case("9112-9.6-close-is-obeyed")
def _(exam: Exam) -> None:
    """The server closes after the answer, and says so."""
    with exam.connect() as client:
        answer = client.ask(get(CASE, CLOSE))
        assert answer.values(b"connection") == [b"close"]
        assert is_closed(client)


@case("9112-9.6-nothing-after-close-is-processed")
def _(exam: Exam) -> None:
    """RFC: MUST NOT process further requests received on that connection."""
    with exam.connect() as client:
        client.send(get(CASE, CLOSE) + get(SMUGGLED))
        assert client.answer().body == CASE
        assert is_closed(client)
    exam.check_unharmed()
    assert exam.seen(SMUGGLED) == []


@case("9112-9.6-close-in-any-case-and-among-others")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.ask(get(CASE, b"Connection: x-other, CLOSE"))
        assert is_closed(client)


@case("9112-9.3-close-beats-keep-alive")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.ask(get(CASE, b"Connection: keep-alive", CLOSE))
        assert is_closed(client)


@case("9112-9.3-http-1.0-closes")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.send(OLD)
        assert client.answer().body == CASE
        assert is_closed(client)


@case("9112-9.3-http-1.0-keep-alive-is-answered-or-closed", own=True)
def _(exam: Exam) -> None:
    """A gateway may keep an HTTP/1.0 connection that asks for it, and must say so."""
    with exam.connect() as client:
        client.send(OLD_KEEP)
        answer = client.answer()
        assert answer.body == CASE
        assert answer.values(b"connection") == [b"keep-alive"]
        client.send(OLD)
        assert client.answer().body == CASE
        assert is_closed(client)


@case("9112-9.3-http-1.0-keep-alive-without-a-length-closes")
def _(exam: Exam) -> None:
    """What can only end by a close does."""

    def stream(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        talk.send(b"2\r\nok\r\n0\r\n\r\n")

    exam.script(stream)
    with exam.connect() as client:
        client.send(OLD_KEEP)
        answer = client.answer()
        assert (answer.body, answer.is_whole) == (b"ok", True)
        assert is_closed(client)


@case("9112-9.3.2-pipelined-answers-keep-their-order")
def _(exam: Exam) -> None:
    targets = [b"/%d" % number for number in range(20)]
    with exam.connect() as client:
        client.send(b"".join(get(target) for target in targets))
        assert [client.answer().body for _ in targets] == targets


@case("9112-9.3.2-pipelined-behind-bodies")
def _(exam: Exam) -> None:
    """Bodies of every framing between the heads, all in one packet."""
    exam.script(lambda talk: talk.reply(talk.read_body()))
    chunked = request(b"POST", CASE, b"Transfer-Encoding: chunked")
    data = [
        request(b"POST", CASE, body=b"one"),
        chunked + b"3\r\ntwo\r\n0\r\n\r\n",
        get(CASE),
        request(b"PUT", CASE, body=b"three"),
    ]
    with exam.connect() as client:
        client.send(b"".join(data))
        answers = [client.answer().body for _ in data]
    assert answers == [b"one", b"two", b"", b"three"]


@case("9112-9.3.2-slow-first-answer-does-not-change-places")
def _(exam: Exam) -> None:
    def slow(talk: Talk) -> None:
        wait_for(lambda: sent, "the second request to be sent")
        talk.reply(b"slow")

    sent: list[bool] = []
    exam.script(slow)
    with exam.connect() as client:
        client.send(get(CASE))
        client.send(get(b"/fast"))
        sent.append(True)
        assert [client.answer().body for _ in range(2)] == [b"slow", b"/fast"]


@case("9112-9.3.2-pipelined-head-then-get")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.send(request(b"HEAD", b"/head") + get(b"/get"))
        assert client.answer(b"HEAD").body == b""
        assert client.answer().body == b"/get"


@case("9112-9.3.2-bad-request-behind-a-good-one")
def _(exam: Exam) -> None:
    """The good one is answered, then the bad one refused, then the close."""
    with exam.connect() as client:
        client.send(get(CASE) + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + get(SMUGGLED))
        assert client.answer().body == CASE
        assert client.answer().status == 400
        assert is_closed(client)
    assert exam.seen(SMUGGLED) == []


@case("9112-2.2-empty-line-between-requests")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        client.send(get(b"/1") + b"\r\n" + get(b"/2"))
        assert [client.answer().body for _ in range(2)] == [b"/1", b"/2"]


@case("9110-7.6.1-close-of-a-client-is-not-passed-on")
def _(exam: Exam) -> None:
    """One backend connection serves clients that each close theirs."""
    for number in range(4):
        exam.ask(get(b"/%d" % number, CLOSE))
    if exam.is_own:
        assert len({talk.peer for talk in exam.talks}) == 1
    for talk in exam.talks:
        assert b"close" not in talk.values(b"connection")


@case("9110-7.6.1-close-of-a-backend-is-not-passed-on")
def _(exam: Exam) -> None:
    def script(talk: Talk) -> None:
        talk.reply(b"ok", CLOSE)
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        assert client.ask(get(CASE)).body == b"ok"
        assert client.ask(get(b"/again")).body == b"/again"


answered(
    "9112-9.3-backend-of-http-1.0-does-not-end-the-client",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    gives_no(b"keep-alive"),
    closes=True,
)
answered(
    "9112-9.3-keep-alive-field-is-not-passed-on",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=99\r\n\r\nok",
    gives_no(b"keep-alive"),
    own=True,
)
passed(
    "9112-9.3-proxy-connection-is-not-passed-on",
    get(CASE, b"Proxy-Connection: keep-alive"),
    sees(b"proxy-connection"),
    own=True,
)
answered(
    "9112-9.3-http-1.0-client-is-told-of-the-close",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    gives(b"connection", b"close"),
    ask=OLD,
)


@case("9112-9.8-backend-closes-while-idle")
def _(exam: Exam) -> None:
    """A pooled connection that its backend closed costs no request."""
    closed: list[Talk] = []

    def script(talk: Talk) -> None:
        talk.reply(b"ok")
        talk.close()
        closed.append(talk)

    exam.script(script)
    for number in range(5):
        answer = exam.ask(request(b"POST", CASE, body=b"x"))
        assert (answer.status, answer.body) == (200, b"ok")
        wait_for(lambda n=number: len(closed) > n, "the close")
    assert len(exam.talks) == 5


@case("9112-9.8-idle-408-of-a-backend-is-not-an-answer")
def _(exam: Exam) -> None:
    """Servers say 408 on an idle connection before they close it."""
    closed: list[Talk] = []

    def script(talk: Talk) -> None:
        talk.reply(b"ok")
        talk.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
        talk.close()
        closed.append(talk)

    exam.script(script)
    assert exam.ask(get(CASE)).body == b"ok"
    wait_for(lambda: closed, "the close")
    exam.check_unharmed(4)


@case("9112-9.6-client-gone-lets-the-backend-go")
def _(exam: Exam) -> None:
    """A client that leaves while its backend works cancels the request."""
    held: list[Talk] = []

    def hold(talk: Talk) -> None:
        held.append(talk)
        gone.append(is_gone(talk))

    gone: list[bool] = []
    exam.script(hold)
    with exam.connect() as client:
        client.send(get(CASE))
        wait_for(lambda: held, "the request")
    wait_for(lambda: gone, "the end")
    assert gone == [True]
    exam.check_unharmed()


@case("9112-9.6-answer-survives-unread-bytes", own=True)
def _(exam: Exam) -> None:
    """Bytes behind the last request do not destroy its answer by a reset."""
    body = b"x" * 200_000

    def script(talk: Talk) -> None:
        wait_for(lambda: sent, "more bytes from the client")
        talk.reply(body)

    sent: list[bool] = []
    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE, CLOSE))
        client.send(b"y" * 100_000)
        sent.append(True)
        answer = answer_or_none(client)
        assert answer is not None
        assert (answer.body, answer.is_whole) == (body, True)
