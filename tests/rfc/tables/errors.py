"""Answers that the proxy makes itself (RFC 9110 section 15, RFC 9209)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.live.client import get, request
from tests.rfc.exam import CASE, Exam, answer_or_none
from tests.rfc.rows import Table

if TYPE_CHECKING:
    from tests.live.client import Answer
    from tests.live.scripted import Talk

CASES = Table()
case = CASES.case

BAD = b"GET /case HTTP/1.1\r\nHost : x\r\n\r\n"


def label_of(answer: Answer) -> bytes:
    """The error type in Proxy-Status, whose grammar is checked."""
    value = answer.value(b"proxy-status")
    match = re.fullmatch(rb"evenhand; error=([a-z_]+)", value)
    assert match, value
    return match[1]


def garble(talk: Talk) -> None:
    talk.send(b"nonsense\r\n\r\n")
    talk.close()


def big_head(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")
    talk.close()


for name, script, label in (
    ("closed", lambda talk: talk.close(), b"connection_terminated"),
    ("garbled", garble, b"http_protocol_error"),
    ("head-too-large", big_head, b"http_response_header_section_size"),
):

    def _run(exam: Exam, script=script, label=label) -> None:  # type: ignore[no-untyped-def]
        exam.script(script)
        answer = exam.ask(request(b"POST", CASE))
        assert (answer.status, label_of(answer)) == (502, label)

    case(f"9209-2.3-{name}", own=True)(_run)


@case("9209-2.3-silent", own=True, variant="short")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.await_close())
    assert label_of(exam.ask(get(CASE))) == b"http_response_timeout"


@case("9209-2.3-refused", own=True, variant="short")
def _(exam: Exam) -> None:
    (backend,) = exam.backends
    backend.close()
    try:
        answer = exam.ask(get(CASE))
    finally:
        backend.open()
    assert answer.status in (502, 503)
    assert label_of(answer) in (b"connection_refused", b"destination_unavailable")


@case("9209-2.3-bad-request", own=True)
def _(exam: Exam) -> None:
    assert label_of(exam.ask(BAD)) == b"http_request_error"


@case("9209-2-proxy-status-of-a-backend-is-kept", own=True)
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.reply(b"ok", b"Proxy-Status: inner; error=x"))
    answer = exam.ask(get(CASE))
    assert answer.values(b"proxy-status") == [b"inner; error=x"]


@case("9209-2-no-proxy-status-on-good-answers", own=True)
def _(exam: Exam) -> None:
    assert exam.ask(get(CASE)).values(b"proxy-status") == []


@case("9110-9.3.2-error-to-head-has-no-body")
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.close())
    with exam.connect() as client:
        client.send(request(b"HEAD", CASE))
        answer = answer_or_none(client, b"HEAD")
        assert answer is not None
        assert (answer.status, answer.body) == (502, b"")
    exam.check_unharmed()


@case("9110-6.6.1-own-400-has-a-date")
def _(exam: Exam) -> None:
    """RFC: with a clock, MUST have one in each 2xx, 3xx and 4xx response it makes."""
    answer = exam.ask(BAD)
    assert answer.status == 400
    assert len(answer.values(b"date")) == 1


@case("9112-9.6-own-400-says-close")
def _(exam: Exam) -> None:
    answer = exam.ask(BAD)
    assert answer.values(b"connection") == [b"close"]


@case("9112-9.3-502-keeps-the-client", own=True)
def _(exam: Exam) -> None:
    """A backend's fault does not cost the client its connection."""
    exam.script(lambda talk: talk.close())
    with exam.connect() as client:
        assert client.ask(get(CASE)).status == 502
        assert client.ask(get(b"/next")).body == b"/next"


@case("own-errors-are-not-cached-and-name-nobody", own=True)
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.close())
    answer = exam.ask(get(CASE))
    assert answer.values(b"cache-control") == [b"no-store"]
    assert answer.values(b"content-type") == [b"text/plain; charset=utf-8"]
    said = answer.body + b"".join(value for _, value in answer.raw)
    assert str(exam.backends[0].port).encode() not in said
    assert exam.backends[0].name.encode() not in answer.body


@case("9110-15.6.4-503-says-when-to-come-back", own=True, variant="hasty")
def _(exam: Exam) -> None:
    """With no backend UP; the connection stays for the next request."""
    server, (backend,) = exam.server, exam.backends
    assert server is not None
    backend.close()
    try:
        server.wait_verdict(backend.name, "DOWN")
        with exam.connect() as client:
            answer = client.ask(get(CASE))
    finally:
        backend.open()
    assert (answer.status, label_of(answer)) == (503, b"destination_unavailable")
    assert answer.values(b"retry-after") == [b"5"]
    server.wait_verdict(backend.name, "UP")
    exam.check_unharmed()
