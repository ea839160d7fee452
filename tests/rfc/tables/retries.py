"""Attempts: what is sent again, where, and what never is (RFC 9110 section 9.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.client import in_chunks, request
from tests.rfc.exam import CASE, Exam, answer_or_none, send
from tests.rfc.rows import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.scripted import Script, Talk

CASES = Table()
case = CASES.case

SAFE = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE")
UNSAFE = (b"POST", b"PATCH", b"BREW")


def first_fails(fail: Callable[[Talk], None]) -> Script:
    """The first attempt fails so, the next is answered."""
    calls: list[Talk] = []

    def script(talk: Talk) -> None:
        calls.append(talk)
        if len(calls) == 1:
            fail(talk)
        else:
            talk.read_body()
            talk.reply(b"again")

    return script


def die(talk: Talk) -> None:
    talk.close()


def reset(talk: Talk) -> None:
    talk.reset()


def garble(talk: Talk) -> None:
    talk.send(b"this is not HTTP\r\n\r\n")
    talk.close()


def half_a_head(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    talk.close()


FAILURES = {"close": die, "reset": reset, "garbled": garble, "half-a-head": half_a_head}


def asked(method: bytes) -> bytes:
    return request(method, CASE, body=b"" if method in (b"GET", b"HEAD") else b"body")


def add_rows(method: bytes, name: str, fail: Callable[[Talk], None]) -> None:
    """Two cases: an idempotent method goes elsewhere, another one never."""
    label = f"{method.decode().lower()}-{name}"

    def run(exam: Exam) -> None:
        exam.script(first_fails(fail))
        answer = exam.ask(asked(method))
        talks = exam.seen()
        if method in SAFE:
            assert answer.status == 200
            assert len(talks) == 2
            if name == "garbled":  # else it may have been a stale connection
                assert talks[0].backend is not talks[1].backend
        else:
            assert answer.status == 502
            assert len(talks) == 1, "sent twice"

    case(f"9110-9.2.2-{label}", own=method in SAFE, variant="pair")(run)


for _method in SAFE + UNSAFE:
    for _name, _fail in FAILURES.items():
        if _name in ("close", "garbled") or _method in (b"GET", b"POST"):
            add_rows(_method, _name, _fail)


@case("9110-9.2.2-refused-connect-goes-elsewhere-for-any-method", variant="pair")
def _(exam: Exam) -> None:
    """Nothing was sent, so even a POST may go to the next backend."""
    down = exam.backends[0]
    down.close()
    try:
        for _ in range(4):
            answer = exam.ask(request(b"POST", CASE, body=b"x"))
            assert answer.status == 200
    finally:
        down.open()
    assert len(exam.seen()) == 4


@case("9110-9.2.2-stale-connection-get-goes-again", own=True)
def _(exam: Exam) -> None:
    """A reused connection dies at once: one fresh attempt at the same backend."""
    exam.check_unharmed(1)
    exam.script(first_fails(reset))
    answer = exam.ask(request(b"GET", CASE))
    assert (answer.status, answer.body) == (200, b"again")
    assert len(exam.seen()) == 2


@case("9110-9.2.2-stale-connection-post-is-never-sent-twice")
def _(exam: Exam) -> None:
    exam.check_unharmed(1)
    exam.script(first_fails(reset))
    answer = exam.ask(request(b"POST", CASE, body=b"x"))
    assert answer.status == 502
    assert len(exam.seen()) == 1


@case("9110-9.2.2-every-attempt-fails", variant="pair")
def _(exam: Exam) -> None:
    """One error in the end, and a bounded number of attempts."""
    exam.script(die)
    answer = exam.ask(request(b"GET", CASE))
    assert answer.status == 502
    assert len(exam.seen()) <= 3
    exam.check_unharmed()


@case("9110-9.2.2-kept-body-is-sent-again-whole", own=True, variant="pair")
def _(exam: Exam) -> None:
    """A chunked PUT of 60,000 bytes arrives whole at the second backend."""

    def fail(talk: Talk) -> None:
        talk.read_body()
        talk.close()

    body = bytes(range(250)) * 240
    exam.script(first_fails(fail))
    data = request(b"PUT", CASE, b"Transfer-Encoding: chunked") + in_chunks(body)
    assert exam.ask(data).body == b"again"
    assert [talk.body == body for talk in exam.seen()] == [True, True]


@case("9110-9.2.2-long-body-is-not-sent-again", own=True, variant="pair")
def _(exam: Exam) -> None:
    """Beyond `retries.body_bytes` it was not kept."""

    def fail(talk: Talk) -> None:
        talk.read_body()
        talk.close()

    exam.script(first_fails(fail))
    answer = exam.ask(request(b"PUT", CASE, body=b"x" * 100_000))
    assert answer.status == 502
    assert len(exam.seen()) == 1


@case("9110-9.2.2-nothing-goes-again-after-a-response-byte", variant="pair")
def _(exam: Exam) -> None:
    def fail(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        talk.close()

    exam.script(fail)
    with exam.connect() as client:
        send(client, request(b"GET", CASE))
        answer = answer_or_none(client)
    assert answer is None or not answer.is_whole or answer.status == 502
    if answer is not None and answer.status == 200:
        assert len(exam.seen()) == 1


@case("9110-15.6-a-backends-own-error-is-passed-and-not-repeated", variant="pair")
def _(exam: Exam) -> None:
    """500 and 503 of a backend are answers like others."""
    for status in (b"500 Oh", b"502 Oh", b"503 Oh", b"504 Oh"):
        exam.begin()
        exam.script(lambda talk, s=status: talk.reply(b"theirs", status=s))
        answer = exam.ask(request(b"GET", CASE))
        assert (answer.status, answer.body) == (int(status[:3]), b"theirs")
        assert len(exam.seen()) == 1
