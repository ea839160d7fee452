"""Response heads: what is read from them, what is passed on, what is refused."""

from __future__ import annotations

import pytest

from lb.errors import ResponseError, ResponseTooLargeError
from lb.http1.grammar import CHUNKED, MAX_LEARNED, NO_BODY, UNTIL_CLOSE
from lb.http1.response import ResponseHead, ResponseParser
from tests.http1.feeding import LIMIT, whole_cut_and_followed

BEHIND = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def parser(limit: int = LIMIT) -> ResponseParser:
    return ResponseParser(limit_bytes=limit)


def parsed(data: bytes, method: bytes = b"GET") -> ResponseHead:
    parse = parser().parse
    return whole_cut_and_followed(lambda d: parse(d, method), data, BEHIND)


def refused(data: bytes, method: bytes = b"GET") -> None:
    parse = parser().parse
    for cut in range(len(data)):
        try:
            assert parse(data[:cut], method) is None, f"taken for whole at {cut}"
        except ResponseError:
            break
    for message in (data, data + BEHIND):
        with pytest.raises(ResponseError) as caught:
            parse(message, method)
        assert caught.value.status == 502


# (status line, status, reason, minor version)
LINES = {
    "usual": (b"HTTP/1.1 200 OK", 200, b"OK", 1),
    "1.0": (b"HTTP/1.0 404 Not Found", 404, b"Not Found", 0),
    "no reason": (b"HTTP/1.1 200 ", 200, b"", 1),
    "no reason and no space": (b"HTTP/1.1 200", 200, b"", 1),
    "reason of bytes above 127": (b"HTTP/1.1 200 \xe9\xff", 200, b"\xe9\xff", 1),
    "reason with a tab": (b"HTTP/1.1 200 a\tb", 200, b"a\tb", 1),
    "unknown status": (b"HTTP/1.1 299 Odd", 299, b"Odd", 1),
    "status of no class": (b"HTTP/1.1 799 Odd", 799, b"Odd", 1),
    "HTTP/1.2": (b"HTTP/1.2 200 OK", 200, b"OK", 2),
}


@pytest.mark.parametrize(
    ("line", "status", "reason", "minor"), LINES.values(), ids=LINES
)
def test_status_line_is_read(
    line: bytes, status: int, reason: bytes, minor: int
) -> None:
    head = parsed(line + b"\r\nContent-Length: 3\r\n\r\n")
    assert (head.status, head.reason, head.minor) == (status, reason, minor)
    assert head.pairs() == [(b"Content-Length", b"3")]


BAD_LINES = {
    "HTTP/2": b"HTTP/2 200",
    "HTTP/2.0": b"HTTP/2.0 200 OK",
    "HTTP/0.9": b"HTTP/0.9 200 OK",
    "lower case": b"http/1.1 200 OK",
    "no status": b"HTTP/1.1 OK now",
    "two digits": b"HTTP/1.1 20 OK",
    "four digits": b"HTTP/1.1 2000 OK",
    "below 100": b"HTTP/1.1 099 OK",
    "zero": b"HTTP/1.1 000 OK",
    "signed": b"HTTP/1.1 +20 OK",
    "tab": b"HTTP/1.1\t200 OK",
    "letter behind the status": b"HTTP/1.1 200OK",
    "NUL in the reason": b"HTTP/1.1 200 a\0b",
    "CR in the reason": b"HTTP/1.1 200 a\rb",
    "LF in the reason": b"HTTP/1.1 200 a\nX: b",
    "a request": b"GET / HTTP/1.1",
    "an empty line before": b"\r\nHTTP/1.1 200 OK",
    "a space before": b" HTTP/1.1 200 OK",
    "other bytes": b"\x16\x03\x01 hello, this is not HTTP",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_bad_status_line_is_refused(line: bytes) -> None:
    refused(line + b"\r\nContent-Length: 0\r\n\r\n")


BAD_FIELDS = {
    "no colon": b"X",
    "empty name": b": 1",
    "space in a name": b"X Y: 1",
    "folded": b"X: 1\r\n 2",
    "folded with a tab": b"X: 1\r\n\t2",
    "a fold first": b" X: 1",
    "LF for CRLF": b"X: 1\nY: 2",
    "CR in a value": b"X: 1\rY: 2",
    "NUL in a value": b"X: \0",
    "VT in a value": b"X: a\x0bb",
    "DEL in a value": b"X: \x7f",
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6",
    # Some accept this (RFC 9112 section 6.3 allows it); nginx refuses it as we do.
    "the same length twice": b"Content-Length: 5\r\nContent-Length: 5",
    "a list of lengths": b"Content-Length: 5, 5",
    "empty length": b"Content-Length:",
    "negative length": b"Content-Length: -1",
    "signed length": b"Content-Length: +5",
    "hexadecimal length": b"Content-Length: 0x5",
    "huge length": b"Content-Length: " + b"9" * 19,
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked",
    "gzip": b"Transfer-Encoding: gzip",
    "identity": b"Transfer-Encoding: identity",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked on two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "chunked, identity": b"Transfer-Encoding: chunked, identity",
    "xchunked": b"Transfer-Encoding: xchunked",
    "empty coding": b"Transfer-Encoding:",
}


@pytest.mark.parametrize("lines", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_bad_field_is_refused(lines: bytes) -> None:
    refused(b"HTTP/1.1 200 OK\r\nDate: x\r\n%b\r\n\r\n" % lines)
    refused(b"HTTP/1.1 200 OK\r\n%b\r\nDate: x\r\n\r\n" % lines)


@pytest.mark.parametrize("space", [b" ", b"\t", b" \t "])
def test_white_space_before_a_colon_is_removed(space: bytes) -> None:
    """RFC 9112 section 5.1 wants it so; the head's size is that of what came."""
    data = b"HTTP/1.1 200 OK\r\nX%b: 1\r\nContent-Length%b: 2\r\n\r\n" % (space, space)
    head = parser().parse(data + b"ok", b"GET")
    assert head is not None
    assert (head.size, head.length) == (len(data), 2)
    assert (b"X", b"1") in head.pairs()
    for end in range(len(data)):
        assert parser().parse(data[:end], b"GET") is None


def test_chunked_of_http_1_0_is_refused() -> None:
    refused(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


# (method, status, lines, body length)
LENGTHS = {
    "length": (b"GET", 200, b"Content-Length: 5", 5),
    "zero": (b"GET", 200, b"content-length: 0", 0),
    "padded with zeros": (b"GET", 200, b"Content-Length: 0005", 5),
    "chunked": (b"GET", 200, b"Transfer-Encoding: chunked", CHUNKED),
    "chunked in odd case": (b"GET", 200, b"TRANSFER-encoding: Chunked", CHUNKED),
    "neither": (b"GET", 200, b"X: 1", UNTIL_CLOSE),
    "neither, to POST": (b"POST", 500, b"X: 1", UNTIL_CLOSE),
    "205 like any other": (b"GET", 205, b"Content-Length: 5", 5),
    "HEAD": (b"HEAD", 200, b"Content-Length: 5", NO_BODY),
    "HEAD, chunked": (b"HEAD", 200, b"Transfer-Encoding: chunked", NO_BODY),
    "HEAD, neither": (b"HEAD", 404, b"X: 1", NO_BODY),
    "head is another method": (b"head", 200, b"Content-Length: 5", 5),
    "100": (b"GET", 100, b"Content-Length: 5", NO_BODY),
    "103": (b"GET", 103, b"Link: </a>", NO_BODY),
    "101": (b"GET", 101, b"Upgrade: x", NO_BODY),
    "204": (b"GET", 204, b"Content-Length: 5", NO_BODY),
    "204, chunked": (b"GET", 204, b"Transfer-Encoding: chunked", NO_BODY),
    "304": (b"GET", 304, b"Content-Length: 5", NO_BODY),
    "304, chunked": (b"GET", 304, b"Transfer-Encoding: chunked", NO_BODY),
}


@pytest.mark.parametrize(
    ("method", "status", "line", "length"), LENGTHS.values(), ids=LENGTHS
)
def test_how_a_body_ends(method: bytes, status: int, line: bytes, length: int) -> None:
    """RFC 9112 section 6.3."""
    data = b"HTTP/1.1 %d X\r\n%b\r\n\r\n" % (status, line)
    assert parsed(data, method).length == length


@pytest.mark.parametrize("status", [100, 103, 204])
def test_length_of_what_can_have_no_body_is_dropped(status: int) -> None:
    """RFC 9110 section 8.6; a client that believes it would wait, or worse."""
    lines = b"A: 1\r\ncontent-LENGTH: 5\r\nB: 2"
    head = parsed(b"HTTP/1.1 %d X\r\n%b\r\n\r\n" % (status, lines))
    assert head.pairs() == [(b"A", b"1"), (b"B", b"2")]


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 304)])
def test_length_that_a_body_would_have_is_kept(method: bytes, status: int) -> None:
    head = parsed(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status, method)
    assert head.pairs() == [(b"Content-Length", b"5")]


def test_two_framings_do_not_matter_where_there_is_no_body() -> None:
    lines = b"Content-Length: 5\r\nTransfer-Encoding: chunked"
    assert parsed(b"HTTP/1.1 304 X\r\n%b\r\n\r\n" % lines).length == NO_BODY


def test_order_case_duplicates_and_set_cookie_are_kept() -> None:
    lines = b"b: 1\r\nSet-Cookie: a=1\r\nB:  2 \r\nset-cookie: b=2, c\r\nX:\r\nb: 1"
    head = parsed(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % lines)
    assert head.pairs() == [
        (b"b", b"1"),
        (b"Set-Cookie", b"a=1"),
        (b"B", b"2"),
        (b"set-cookie", b"b=2, c"),
        (b"X", b""),
        (b"b", b"1"),
    ]


def test_hop_by_hop_fields_are_dropped() -> None:
    lines = (
        b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n"
        b"Proxy-Connection: close\r\nProxy-Authenticate: Basic\r\nTE: x\r\n"
        b"Trailer: X-Sum\r\nVia: 1.1 b\r\nX_Y: 1"
    )
    head = parsed(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % lines)
    assert head.pairs() == [(b"Trailer", b"X-Sum"), (b"Via", b"1.1 b"), (b"X_Y", b"1")]
    assert head.keep_alive
    assert head.upgrade == b"h2c"


@pytest.mark.parametrize("digits", [b"9" * 400, b"9" * 5000, b"-1", b"x", b""])
def test_an_absurd_keep_alive_is_passed_over(digits: bytes) -> None:
    """One field of one backend must not break what asked for it."""
    line = b"Keep-Alive: timeout=%b" % digits
    head = parsed(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % line)
    assert head.keep_alive_s == -1


def test_fields_that_connection_names_are_removed() -> None:
    lines = b"X-A: 1\r\nConnection: x-a, content-length\r\nContent-Length: 5\r\nX-B: 2"
    head = parsed(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % lines)
    assert head.pairs() == [(b"Content-Length", b"5"), (b"X-B", b"2")]
    assert head.length == 5


def test_chunked_stays_when_connection_names_it() -> None:
    lines = b"Transfer-Encoding: chunked\r\nConnection: transfer-encoding, x\r\nx: 1"
    head = parsed(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % lines)
    assert (head.length, head.pairs()) == (CHUNKED, [])


@pytest.mark.parametrize(
    ("version", "options", "keep_alive"),
    [
        (b"1.1", (), True),
        (b"1.1", (b"close",), False),
        (b"1.1", (b"Close, x",), False),
        (b"1.1", (b"close", b"keep-alive"), False),
        (b"1.0", (), False),
        (b"1.0", (b"Keep-Alive",), True),
        (b"1.0", (b"close", b"keep-alive"), False),
    ],
)
def test_persistence_follows_version_and_connection(
    version: bytes, options: tuple[bytes, ...], keep_alive: bool
) -> None:
    lines = b"".join(b"Connection: %b\r\n" % option for option in options)
    head = parsed(b"HTTP/%b 200 OK\r\n%bContent-Length: 0\r\n\r\n" % (version, lines))
    assert head.keep_alive is keep_alive
    assert head.pairs() == [(b"Content-Length", b"0")]


def test_a_head_may_have_just_as_many_bytes_as_the_limit() -> None:
    start = b"HTTP/1.1 200 OK\r\nX: "
    whole = start + b"x" * (200 - len(start) - 4) + b"\r\n\r\n"
    assert parser(200).parse(whole + b"body" * 1000, b"GET") is not None
    for data in (whole, whole[:-4].ljust(200, b"x")):
        with pytest.raises(ResponseTooLargeError):
            parser(199).parse(data, b"GET")


def test_a_head_may_have_256_fields_and_no_more() -> None:
    lines = b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 256
    assert len(parsed(lines + b"\r\n").pairs()) == 256
    refused(lines + b"X: 1\r\n\r\n")


def test_names_beyond_what_is_remembered_are_passed_on_as_well() -> None:
    one = parser()
    for number in range(MAX_LEARNED + 10):
        name = b"X-%d" % number
        head = one.parse(b"HTTP/1.1 200 OK\r\n%b: 1\r\nTE: 2\r\n\r\n" % name, b"GET")
        assert head is not None
        assert head.pairs() == [(name, b"1")]
    assert len(one._rules) <= MAX_LEARNED
    long = b"X" * 1000
    head = one.parse(b"HTTP/1.1 200 OK\r\n%b: 1\r\n\r\n" % long, b"GET")
    assert head is not None
    assert head.pairs() == [(long, b"1")]
    assert long not in one._rules
