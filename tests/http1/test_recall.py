"""Heads whose fields came before mean what the parser says they mean, always."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import RequestError
from lb.http1.recall import MARK, MOST
from lb.http1.request import RequestParser
from lb.http1.request_head import RequestHead

PAD = b"User-Agent: " + b"Mozilla/5.0 " * 50
"""Heads this long are looked up by their fields."""

FIELDS = [
    b"Host: a.example",
    b"Host: b.example:8080",
    b"host: a.example",
    b"Accept: */*",
    b"Accept:*/*",
    b"Accept:  */*  ",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: cookie",
    b"Connection: accept, close",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b"Content-Length: 5",
    b"Content-Length: 05",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Max-Forwards: 3",
    b"X-Request-Id: mine",
    b"X-Forwarded-For: 10.1.1.1",
    b"LB-Explain: 1",
    b"X_Under: score",
    b"TE: trailers",
    b"X: " + MARK,
    b"Cookie: " + MARK,
    b"Cookie: other=1",
    b"cookie: lower=1",
    b"COOKIE: upper=1",
    b"X: \0",
    b"X: a\nY: b",
    b" folded",
    b"no colon",
]

LINES = [
    b"GET / HTTP/1.1",
    b"GET /a/b?c=d HTTP/1.1",
    b"POST /form HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"OPTIONS / HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1",
    b"TRACE / HTTP/1.1",
    b"BREW / HTTP/1.1",
    b"get / HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET / HTTP/2.0",
    b"GET /a b HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET /#f HTTP/1.1",
    b"GET /\xc3\xa9 HTTP/1.1",
    b"GET /\x01 HTTP/1.1",
    b"GET http://c.example/x HTTP/1.1",
    b"GET x HTTP/1.1",
    b" GET / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b"GET /\tHTTP/1.1",
    b"HTTP/1.1",
    b"",
]

COOKIES = [
    b"a=1",
    b"a=1; b=2",
    b"",
    b" a=1",
    b"a=1 ",
    b"\ta=1",
    b"a=\x00",
    b"a=\xff",
    b"a=\r",
    b"a=\n",
    b"a=1\nX: y",
    b"Cookie: a",
    MARK,
]


def meaning(head: RequestHead | None) -> dict[str, Any] | None:
    """All that a head says, but for what only remembers."""
    if head is None:
        return None
    remembers = {"is_known", "wire", "wire_peer"}
    return {
        name: getattr(head, name)
        for name in RequestHead.__slots__
        if name not in remembers
    }


def understood(parser: RequestParser, data: bytes) -> object:
    """What a parser makes of `data`, or how it refuses it."""
    try:
        return meaning(parser.parse(data))
    except RequestError as error:
        return (error.status, str(error))


def block(line: bytes, fields: list[bytes]) -> bytes:
    return b"\r\n".join([line, PAD, *fields, b"", b""])


@given(
    fields=st.lists(st.sampled_from(FIELDS), max_size=5),
    cookies=st.lists(st.sampled_from(COOKIES), min_size=1, max_size=3),
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=3),
    place=st.integers(0, 5),
    name=st.sampled_from([b"Cookie: ", b"cookie: ", b"Cookie:"]),
    trusts_peer=st.booleans(),
)
def test_what_came_before_is_understood_as_if_it_had_not(
    *,
    fields: list[bytes],
    cookies: list[bytes],
    lines: list[bytes],
    place: int,
    name: bytes,
    trusts_peer: bool,
) -> None:
    """The parser with a memory and one without agree on everything."""
    old = RequestParser(limit_bytes=4096, trusts_peer=trusts_peer)
    for cookie in (b"a=1", b"a=2", *cookies):
        for line in (b"GET / HTTP/1.1", *lines):
            head = [*fields[:place], name + cookie, *fields[place:]]
            data = block(line, head)
            new = RequestParser(limit_bytes=4096, trusts_peer=trusts_peer)
            assert understood(old, data) == understood(new, data), data


@pytest.mark.parametrize("behind", [b"", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_browser_with_a_new_cookie_each_time_is_recalled(behind: bytes) -> None:
    """Or this file would test nothing."""
    parser = RequestParser(limit_bytes=4096)
    calls = []
    parse = parser._parse
    parser._parse = lambda data: calls.append(data) or parse(data)  # type: ignore[func-returns-value, method-assign]
    for number in range(10):
        data = block(
            b"GET /%d HTTP/1.1" % number,
            [b"Host: a.example", b"Cookie: n=%d" % number, b"Accept: */*"],
        )
        head = parser.parse(data + behind)
        assert head is not None
        assert head.target == b"/%d" % number
        assert head.size == len(data)
        assert b"\r\nCookie: n=%d\r\nAccept: */*" % number in head.fields
    assert len(calls) == 2


def test_templates_are_bounded() -> None:
    parser = RequestParser(limit_bytes=4096)
    for number in range(3 * MOST):
        data = block(b"GET / HTTP/1.1", [b"Host: a", b"X: %d" % number])
        for _ in range(3):
            parser.parse(data)
        assert len(parser._recall._templates) <= MOST


def test_a_head_that_is_too_large_stays_too_large() -> None:
    parser = RequestParser(limit_bytes=1000)
    for _ in range(3):
        data = block(b"GET / HTTP/1.1", [b"Host: a", b"Cookie: a=1"])
        assert parser.parse(data) is not None
    with pytest.raises(RequestError) as caught:
        parser.parse(block(b"GET / HTTP/1.1", [b"Host: a", b"Cookie: " + b"a" * 400]))
    assert caught.value.status == 431
