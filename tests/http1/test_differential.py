"""A second opinion: whatever our parsers accept, h11 reads in the same way.

Messages are put together from good and bad parts, then mutated. Where h11 refuses
what we accept, the reason must be in `REQUEST_DIFFERENCES` or
`RESPONSE_DIFFERENCES`; a message that both accept and read differently is always a
fault, because that is what request smuggling is made of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lb.errors import RequestError, ResponseError
from lb.http1.body import FramingError, framing_for
from lb.http1.grammar import CHUNKED, UNTIL_CLOSE
from lb.http1.request import RequestParser
from lb.http1.response import ResponseParser
from tests.http1.feeding import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.request_head import RequestHead
    from lb.http1.response import ResponseHead

LIMIT: Final = 65536

REQUEST_DIFFERENCES: Final[dict[str, Callable[[bytes, RequestHead], bool]]] = {
    # RFC 3986 wants ASCII, but browsers and scripts send raw UTF-8; nginx and Go
    # pass it on, and so do we, byte for byte.
    "bytes above 127 in the target": lambda _, head: not head.target.isascii(),
    # RFC 9112 section 2.2: a server SHOULD skip one; h11 does not.
    "an empty line before the request": lambda data, _: data.startswith(b"\r\n"),
}
"""Why we accept what h11 refuses: a name, and whether it explains this request."""

RESPONSE_DIFFERENCES: Final[dict[str, Callable[[bytes, ResponseHead], bool]]] = {
    # The status line is written anew for the client, so nobody else reads it.
    "spaces in the status line": lambda data, head: (
        not data.startswith(b"HTTP/1.%d %d" % (head.minor, head.status))
    ),
    # RFC 9112 section 5.1: a proxy MUST remove it; h11 is no proxy.
    "white space before a colon": lambda data, _: (
        re.search(rb"\n[\w-]+[ \t]+:", data) is not None
    ),
    # h11 takes it for an answer to a request to upgrade only; so does the engine.
    "an upgrade nobody asked for": lambda _, head: head.status == 101,
}
"""The same for responses."""


def fragments(*parts: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(parts)


FIELD_LINES = fragments(
    b"Host: a", b"Host: b", b"Host:", b"X: 1", b"X:", b"X : 1", b" X: 1", b"X",
    b"x-long: " + b"v" * 50, b"Cookie: a=b; c", b"A\xe9: 1", b"B: \xe9", b"C: a\tb",
    b"D: \x0b", b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: 03",
    b"Content-Length: 3, 3", b"Content-Length: +3", b"Content-Length: 99",
    b"Content-Length:", b"content-length: 5", b"Transfer-Encoding: chunked",
    b"transfer-encoding:  CHUNKED\t", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding:", b"Connection: close",
    b"Connection: keep-alive", b"Connection: x, close", b"Connection: X",
    b"Expect: 100-continue", b"Upgrade: x", b"TE: trailers", b"Keep-Alive: 1",
    b"Content-Type: a/b", b"Via: 1.1 x", b"Date: now",
)  # fmt: skip
LINE_ENDS = st.sampled_from([b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\r\n "])
BODIES = fragments(
    b"", b"abc", b"abcde", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"3;x=y\r\nabc\r\n"
    b"0\r\nX: 1\r\n\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n", b"3\r\nabc0\r\n\r\n", b"03\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n",
)  # fmt: skip
BEHIND = fragments(b"", b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n", b"\r\n", b"xyz")
MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.sampled_from(["replace", "insert", "delete"]),
        st.sampled_from([bytes([c]) for c in b'\0\t\n\r "#,:;=0\x0b\x7f\x80/aH']),
    ),
    max_size=2,
)


def mutated(data: bytes, mutations: list[tuple[int, str, bytes]]) -> bytes:
    for where, how, byte in mutations:
        at = where % (len(data) + 1)
        rest = data[at:] if how == "insert" else data[at + 1 :]
        data = data[:at] + (b"" if how == "delete" else byte) + rest
    return data


@st.composite
def messages(draw: st.DrawFn, first_lines: st.SearchStrategy[bytes]) -> bytes:
    lines = [draw(first_lines), *draw(st.lists(FIELD_LINES, max_size=5))]
    head = b"".join(line + draw(LINE_ENDS) for line in lines) + draw(LINE_ENDS)
    whole = head + draw(BODIES)
    return mutated(whole, draw(MUTATIONS)) + draw(BEHIND)


REQUESTS = messages(
    st.builds(
        lambda method, target, version: (
            method + b" " + target + b" " + version + b"\r\nHost: h"
        ),
        fragments(b"GET", b"POST", b"HEAD", b"OPTIONS", b"get", b"X-Y", b"CONNECT"),
        fragments(b"/", b"/a?b=c", b"*", b"http://b/c", b"/\xc3\xa9", b"/a#b", b"a"),
        st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0"]),
    )
)
RESPONSES = messages(
    fragments(
        *[b"HTTP/1.1 200 OK"] * 4, b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 X",
        b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1  200 OK", b"HTTP/1.2 200 OK",
        b"HTTP/1.1 404 \xe9", b"HTTP/1.1 999 X", b"HTTP/1.1 103 Early", b"HTTP/1.1 2000 X",
    )
)  # fmt: skip


class Reading:
    """What one parser makes of a body: its bytes, what is behind, and how it ended."""

    def __init__(self, body: bytes, state: str, rest: bytes = b"") -> None:
        self.body, self.state, self.rest = body, state, rest

    def __repr__(self) -> str:
        return f"<{self.state} {self.body!r} rest={self.rest!r}>"


def our_body(length: int, data: bytes, *, ends: bool) -> Reading:
    framing = framing_for(length)
    try:
        body = b"" if framing.is_done else framing.feed(data)
        if framing.is_done:
            return Reading(body, "whole", framing.rest if length else data)
        if ends:
            framing.ended()
            return Reading(body, "whole")
    except FramingError:
        return Reading(b"", "broken")
    return Reading(body, "more")


def their_body(connection: h11.Connection, *, ends: bool) -> Reading:
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Reading(body, "whole", connection.trailing_data[0])
            elif event is h11.NEED_DATA and ends:
                connection.receive_data(b"")
                ends = False
            else:
                return Reading(body, "more")
    except h11.RemoteProtocolError:
        return Reading(b"", "broken")


def agree(ours: Reading, theirs: Reading) -> None:
    if ours.state == "broken" or (ours.state == "more" and theirs.state == "broken"):
        # We refuse more, or h11 sees sooner that a line goes wrong: nothing is
        # taken for whole by us that is not.
        return
    assert (ours.state, ours.body) == (theirs.state, theirs.body), (ours, theirs)
    if ours.state == "whole":
        assert ours.rest == theirs.rest


def their_request(data: bytes) -> tuple[h11.Connection, h11.Request] | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return (connection, event) if isinstance(event, h11.Request) else None


def length_that_h11_reads(fields: list[tuple[bytes, bytes]]) -> int:
    named = dict(fields)
    if b"transfer-encoding" in named:
        return CHUNKED
    return int(named.get(b"content-length", b"-3"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(REQUESTS)
@example(
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n"
)
@example(b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n")
@example(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
def test_requests_that_we_accept_are_read_alike(data: bytes) -> None:
    try:
        head = RequestParser(limit_bytes=LIMIT, underscores="keep").parse(data)
    except RequestError:
        return
    if head is None:
        return
    found = their_request(data)
    if found is None:
        reasons = [
            name for name, is_it in REQUEST_DIFFERENCES.items() if is_it(data, head)
        ]
        assert reasons, "h11 refuses what we accept, and it is not in the table"
        return
    connection, event = found
    fields = list(event.headers)
    assert head.method == event.method
    assert head.minor == int(event.http_version[2:])
    assert asked_target(data) == event.target
    if event.target.startswith((b"/", b"*")):
        assert head.target == event.target
        assert dict(fields).get(b"host", b"") == head.host
    assert end_to_end(fields) == end_to_end(passed_on(head.fields))
    assert (
        max(length_that_h11_reads(fields), 0 if not head.length else -9) == head.length
    )
    agree(
        our_body(head.length, data[head.size :], ends=False),
        their_body(connection, ends=False),
    )


def asked_target(data: bytes) -> bytes:
    return data.lstrip(b"\r\n").split(b" ")[1]


REWRITTEN = frozenset(
    (
        b"host", b"connection", b"keep-alive", b"te", b"upgrade", b"content-length",
        b"transfer-encoding", b"expect", b"via", b"x", b"x-forwarded-for",
    )
)  # fmt: skip
"""Fields that a proxy removes or writes anew; `x` is named by Connection at times."""


def end_to_end(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(n.lower(), v) for n, v in fields if n.lower() not in REWRITTEN]


def passed_on(lines: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n")[1:])
    return [(name, value) for name, _, value in pairs]


def their_response(
    data: bytes, method: str
) -> tuple[h11.Connection, h11.Response | h11.InformationalResponse] | None:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if isinstance(event, (h11.Response, h11.InformationalResponse)):
        return connection, event
    return None


@settings(max_examples=EXAMPLES, deadline=None)
@given(RESPONSES, st.sampled_from(["GET", "HEAD"]))
@example(b"HTTP/1.1  200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET")
@example(b"HTTP/1.2 200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET")
@example(b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", "GET")
def test_responses_that_we_accept_are_read_alike(data: bytes, method: str) -> None:
    try:
        head = ResponseParser(limit_bytes=LIMIT).parse(data, method.encode())
    except ResponseError:
        return
    if head is None:
        return
    found = their_response(data, method)
    if found is None:
        reasons = [n for n, is_it in RESPONSE_DIFFERENCES.items() if is_it(data, head)]
        assert reasons, "h11 refuses what we accept, and it is not in the table"
        return
    connection, event = found
    assert (head.status, head.reason) == (event.status_code, event.reason.lstrip(b" "))
    assert end_to_end(list(event.headers)) == end_to_end(head.pairs())
    if head.status < 200:
        return
    rest = data[head.size :]
    ours = our_body(head.length, rest, ends=head.length == UNTIL_CLOSE)
    agree(ours, their_body(connection, ends=head.length == UNTIL_CLOSE))


@pytest.mark.parametrize("reason", REQUEST_DIFFERENCES)
def test_each_difference_of_requests_is_still_one(reason: str) -> None:
    """A row that explains nothing any more must go."""
    samples = {
        "bytes above 127 in the target": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        "an empty line before the request": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    }
    assert RequestParser(limit_bytes=LIMIT).parse(samples[reason]) is not None
    assert their_request(samples[reason]) is None


@pytest.mark.parametrize("reason", RESPONSE_DIFFERENCES)
def test_each_difference_of_responses_is_still_one(reason: str) -> None:
    samples = {
        "spaces in the status line": b"HTTP/1.1  200 OK\r\n\r\n",
        "white space before a colon": b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        "an upgrade nobody asked for": b"HTTP/1.1 101 X\r\n\r\n",
    }
    assert ResponseParser(limit_bytes=LIMIT).parse(samples[reason], b"GET") is not None
    assert their_response(samples[reason], "GET") is None
