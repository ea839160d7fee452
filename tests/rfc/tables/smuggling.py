"""Requests that two parsers could read in two ways (RFC 9112 section 11.2)."""

from __future__ import annotations

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import CASE, SMUGGLED, Exam, answer_or_none, is_closed, send
from tests.rfc.rows import Table

CASES = Table()
refused, case = CASES.refused, CASES.case

NEXT = get(SMUGGLED)
LENGTH = b"Content-Length: 5"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return request(b"POST", CASE, *lines) + body


def hides_length(talks) -> bool:  # type: ignore[no-untyped-def]
    """The backend got the chunked body only, as RFC 9112 section 6.3 allows."""
    return not talks[0].values(b"content-length")


refused(
    "9112-6.3-both-lengths",
    post(
        b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG" + NEXT
    ),
    repaired=hides_length,
    method=b"POST",
)
refused(
    "9112-6.3-both-lengths-other-order",
    post(
        b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\nG" + NEXT
    ),
    repaired=hides_length,
    method=b"POST",
)
refused(
    "9112-6.3-both-lengths-te-cl",
    post(
        b"Transfer-Encoding: chunked",
        b"Content-Length: 4",
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT),
    ),
    repaired=hides_length,
    method=b"POST",
)

# A second Transfer-Encoding that only one of two parsers sees ------------------------------

for name, te_line in {
    "space-before-colon": b"Transfer-Encoding : chunked",
    "tab-before-colon": b"Transfer-Encoding\t: chunked",
    "leading-space": b" Transfer-Encoding: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "vertical-tab": b"Transfer-Encoding: \x0bchunked",
    "form-feed": b"Transfer-Encoding: \x0cchunked",
    "nul": b"Transfer-Encoding: chunked\x00",
    "8-bit-space": b"Transfer-Encoding: \xa0chunked",
    "bare-cr-before": b"X: y\rTransfer-Encoding: chunked",
    "bare-lf-before": b"X: y\nTransfer-Encoding: chunked",
    "bare-cr-behind": b"Transfer-Encoding: chunked\rX: y",
    "comma": b"Transfer-Encoding: ,chunked",
    "comma-behind": b"Transfer-Encoding: chunked,",
    "identity-first": b"Transfer-Encoding: identity, chunked",
    "quoted": b"Transfer-Encoding: 'chunked'",
    "name-with-8-bit": b"Transfer-Encoding\xff: chunked",
    "name-with-nul": b"Transfer-Encoding\x00: chunked",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "cow": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
}.items():
    refused(
        f"9112-11.2-te-{name}",
        post(LENGTH, te_line, body=b"0\r\n\r\n" + NEXT),
        400,
        501,
        method=b"POST",
        repaired=lambda talks: (
            len(talks[0].values(b"content-length")) == 1
            and not [n for n, _ in talks[0].fields if b"ransfer" in n]
        ),
    )


@case("9112-11.2-te-with-underscore")
def _(exam: Exam) -> None:
    """A name that a WSGI backend would take for Transfer-Encoding is not passed on."""
    data = post(LENGTH, b"Transfer_Encoding: chunked", body=b"hello")
    exam.ask(data)
    (talk,) = exam.seen()
    assert talk.values(b"content-length") == [b"5"]
    assert talk.values(b"transfer_encoding") == []


# A second Content-Length that only one of two parsers sees ---------------------------------

for name, lines in {
    "different": (LENGTH, b"Content-Length: 0"),
    "zero-first": (b"Content-Length: 0", LENGTH),
    "space-before-colon": (b"Content-Length: 0", b"Content-Length : 5"),
    "leading-space": (b"Content-Length: 0", b" Content-Length: 5"),
    "folded": (b"Content-Length: 0", b"Content-Length:\r\n 5"),
    "bare-cr": (b"Content-Length: 0\rContent-Length: 5",),
    "bare-lf": (b"X: y\nContent-Length: 5", b"Content-Length: 0"),
    "nul": (b"Content-Length: 0", b"Content-Length\x00: 5"),
    "vertical-tab": (b"Content-Length: \x0b5",),
}.items():
    refused(
        f"9112-11.2-cl-{name}",
        post(*lines, body=b"hello" + NEXT),
        method=b"POST",
        repaired=lambda talks: False,
    )


@case("9112-11.2-chunk-data-that-looks-like-a-request")
def _(exam: Exam) -> None:
    """Data is data, whatever it spells."""
    body = NEXT + b"0\r\n\r\n" + NEXT
    data = post(b"Transfer-Encoding: chunked", body=in_chunks(body, 7))
    assert exam.ask(data).body == CASE
    assert exam.seen()[0].body == body
    assert exam.seen(SMUGGLED) == []


@case("9112-11.2-length-of-a-body-that-looks-like-a-request")
def _(exam: Exam) -> None:
    data = post(b"Content-Length: %d" % len(NEXT), body=NEXT)
    assert exam.ask(data).body == CASE
    assert exam.seen()[0].body == NEXT
    assert exam.seen(SMUGGLED) == []


@case("9112-11.2-bad-chunk-in-a-packet-of-its-own")
def _(exam: Exam) -> None:
    """What follows a bad chunk is never a request, also when the head was sent on."""
    with exam.connect() as client:
        client.send(post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"))
        exam.check_unharmed(1)
        send(client, b"0x5\r\nworld\r\n0\r\n\r\n" + NEXT)
        answer = answer_or_none(client, b"POST")
        assert answer is None or answer.status in (400, 502), answer.status
        assert is_closed(client)
    exam.check_unharmed()
    assert exam.seen(SMUGGLED) == []
    for talk in exam.seen():
        assert talk.body in (b"", b"hello")


@case("9112-11.2-connection-cannot-hide-framing")
def _(exam: Exam) -> None:
    """`Connection: content-length` must not take the body's length away."""
    data = post(b"Connection: content-length", LENGTH, body=b"hello")
    exam.ask(data)
    for talk in exam.seen():
        assert talk.body == b"hello"
    exam.check_unharmed()


@case("9112-11.2-connection-cannot-hide-coding")
def _(exam: Exam) -> None:
    data = post(
        b"Connection: transfer-encoding",
        b"Transfer-Encoding: chunked",
        body=in_chunks(b"hello"),
    )
    exam.ask(data)
    for talk in exam.seen():
        assert talk.body == b"hello"
    exam.check_unharmed()


@case("9112-11.2-get-with-length-hides-nothing")
def _(exam: Exam) -> None:
    data = request(b"GET", CASE, b"Content-Length: %d" % len(NEXT)) + NEXT
    assert exam.ask(data).body == CASE
    assert exam.seen(SMUGGLED) == []
    assert exam.seen()[0].body == NEXT


@case("9112-11.2-upgrade-with-body-hides-nothing")
def _(exam: Exam) -> None:
    """Bytes behind an upgrade that is not taken are the body, not a tunnel."""
    data = post(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Content-Length: %d" % len(NEXT),
        body=NEXT,
    )
    answer = exam.ask(data)
    assert answer.status != 101
    assert exam.seen(SMUGGLED) == []
    exam.check_unharmed()


@case("9112-11.1-no-splitting-by-encoded-line-ends")
def _(exam: Exam) -> None:
    """%0d%0a in a target stays encoded."""
    target = b"/x%0d%0aX-Injected:%201"
    exam.ask(get(target))
    (talk,) = exam.talks
    assert talk.target == target
    assert talk.values(b"x-injected") == []
