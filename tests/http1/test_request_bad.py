"""Request heads that are refused: with which status, and never taken for whole."""

from __future__ import annotations

import pytest

from lb.errors import RequestError
from tests.http1.feeding import LIMIT, NEXT, refusal, request_parser

LINES = {
    "CONNECT": (b"CONNECT a:443 HTTP/1.1", 405),
    "CONNECT of a path": (b"CONNECT / HTTP/1.1", 405),
    "TRACE": (b"TRACE / HTTP/1.1", 405),
    "HTTP/2.0": (b"GET / HTTP/2.0", 505),
    "HTTP/2": (b"GET / HTTP/2", 505),
    "HTTP/0.9 with a version": (b"GET / HTTP/0.9", 505),
    "HTTP/3.1": (b"GET / HTTP/3.1", 505),
    "HTTP/0.9": (b"GET /", 400),
    "no version": (b"GET / ", 400),
    "two digits of version": (b"GET / HTTP/1.10", 400),
    "two digits before the point": (b"GET / HTTP/11.1", 400),
    "no minor version": (b"GET / HTTP/1.", 400),
    "version in lower case": (b"GET / http/1.1", 400),
    "another protocol": (b"GET / ICY/1.1", 400),
    "space before the method": (b" GET / HTTP/1.1", 400),
    "two spaces before the target": (b"GET  / HTTP/1.1", 400),
    "two spaces before the version": (b"GET /  HTTP/1.1", 400),
    "space behind the version": (b"GET / HTTP/1.1 ", 400),
    "tab for a space": (b"GET\t/ HTTP/1.1", 400),
    "space in the target": (b"GET /a b HTTP/1.1", 400),
    "tab in the target": (b"GET /a\tb HTTP/1.1", 400),
    "CR in the target": (b"GET /a\rb HTTP/1.1", 400),
    "NUL in the target": (b"GET /a\0b HTTP/1.1", 400),
    "DEL in the target": (b"GET /a\x7fb HTTP/1.1", 400),
    "no target": (b"GET HTTP/1.1", 400),
    "no method": (b" / HTTP/1.1", 400),
    "slash in the method": (b"G/T / HTTP/1.1", 400),
    "colon in the method": (b"GET: / HTTP/1.1", 400),
    "high byte in the method": (b"G\xc3T / HTTP/1.1", 400),
    "NUL in the method": (b"G\0T / HTTP/1.1", 400),
    "asterisk with another method": (b"GET * HTTP/1.1", 400),
    "asterisk and more": (b"OPTIONS *a HTTP/1.1", 400),
    "asterisk that looks absolute": (b"GET *://a/ HTTP/1.1", 400),
    "relative target": (b"GET a HTTP/1.1", 400),
    "query alone": (b"GET ?a HTTP/1.1", 400),
    "authority-form": (b"GET a:80 HTTP/1.1", 400),
    "fragment": (b"GET /a#b HTTP/1.1", 400),
    "fragment of a URI": (b"GET http://a/#b HTTP/1.1", 400),
    "fragment behind an authority": (b"GET http://a#b HTTP/1.1", 400),
    "user of a URI": (b"GET http://u@a/ HTTP/1.1", 400),
    "user and password of a URI": (b"GET http://u:p@a/ HTTP/1.1", 400),
    "URI without host": (b"GET http:///a HTTP/1.1", 400),
    "URI with a port alone": (b"GET http://:80/a HTTP/1.1", 400),
    "URI with an odd host": (b"GET http://a,b/ HTTP/1.1", 400),
    "URI with a bad port": (b"GET http://a:b/ HTTP/1.1", 400),
    "URI of another scheme": (b"GET ftp://a/ HTTP/1.1", 400),
    "URI without scheme": (b"GET ://a/ HTTP/1.1", 400),
}


@pytest.mark.parametrize(("line", "status"), LINES.values(), ids=LINES)
def test_bad_request_line_is_refused(line: bytes, status: int) -> None:
    assert refusal(line + b"\r\nHost: a\r\n\r\n") == status


def test_preface_of_http_2_is_refused_as_a_version() -> None:
    assert refusal(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


FIELDS = {
    "space before the colon": b"X : 1",
    "tab before the colon": b"X\t: 1",
    "space in a name": b"X Y: 1",
    "empty name": b": 1",
    "no colon": b"X",
    "a leading space": b" X: 1",
    "folded with a space": b"X: 1\r\n 2",
    "folded with a tab": b"X: 1\r\n\t2",
    "folded to nothing": b"X: 1\r\n ",
    "framing hidden in a fold": b"X: 1\r\n Content-Length: 5",
    "a fold behind framing": b"Transfer-Encoding:\r\n chunked",
    "NUL in a value": b"X: a\0b",
    "NUL in a name": b"X\0: a",
    "CR in a value": b"X: a\rb",
    "CR before CRLF": b"X: a\r",
    "CR in a name": b"X\r: a",
    "VT in a value": b"X: a\x0bb",
    "FF in a value": b"X: a\x0cb",
    "ESC in a value": b"X: a\x1bb",
    "DEL in a value": b"X: a\x7fb",
    "LF for CRLF": b"X: a\nY: b",
    "LF that ends a head": b"X: a\n\nGET /hidden HTTP/1.1",
    "LF CR": b"X: a\n\rY: b",
    "bracket in a name": b"X[]: 1",
    "slash in a name": b"X/Y: 1",
    "high byte in a name": b"X\xe9: 1",
    "quote in a name": b'"X": 1',
}


@pytest.mark.parametrize("line", FIELDS.values(), ids=FIELDS)
def test_bad_field_is_refused(line: bytes) -> None:
    assert refusal(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % line) == 400
    assert refusal(b"GET / HTTP/1.1\r\n%b\r\nHost: a\r\n\r\n" % line) == 400


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\r\r",
    ],
)
def test_line_that_does_not_end_in_crlf_is_refused(data: bytes) -> None:
    """One empty line may stand before a request, and it is one of CRLF."""
    assert refusal(data) == 400


HOSTS = {
    "none": b"X: 1",
    "two": b"Host: a\r\nHost: a",
    "two that differ": b"Host: a\r\nhost: b",
    "list": b"Host: a, b",
    "comma": b"Host: a,b",
    "space": b"Host: a b",
    "tab": b"Host: a\tb",
    "path": b"Host: a/b",
    "URI": b"Host: http://a",
    "user": b"Host: u@a",
    "query": b"Host: a?b",
    "fragment": b"Host: a#b",
    "quotes": b'Host: "a"',
    "percent": b"Host: a%00b",
    "backslash": b"Host: a\\b",
    "high byte": b"Host: caf\xc3\xa9",
    "two ports": b"Host: a:80:80",
    "port that is no number": b"Host: a:b",
    "signed port": b"Host: a:+80",
    "port alone": b"Host: :80",
    "IPv6 without brackets": b"Host: ::1",
    "bracket open": b"Host: [::1",
    "something behind a bracket": b"Host: [::1]a",
    "brackets around nothing": b"Host: []",
    "brackets around a name": b"Host: [a.example]x",
    "angle brackets": b"Host: <a>",
}


@pytest.mark.parametrize("lines", HOSTS.values(), ids=HOSTS)
def test_host_that_is_none_or_not_one_is_refused(lines: bytes) -> None:
    """RFC 9112 section 3.2 asks for 400."""
    assert refusal(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % lines) == 400


@pytest.mark.parametrize("lines", [b"X: 1", b"Host: a b", b"Host: a\r\nHost: b"])
def test_absolute_form_makes_no_bad_host_good(lines: bytes) -> None:
    assert refusal(b"GET http://b/ HTTP/1.1\r\n%b\r\n\r\n" % lines) == 400


@pytest.mark.parametrize("lines", [b"Host: a b", b"Host: a\r\nHost: a"])
def test_bad_host_is_refused_in_http_1_0_as_well(lines: bytes) -> None:
    assert refusal(b"GET / HTTP/1.0\r\n%b\r\n\r\n" % lines) == 400


FRAMINGS = {
    # Two framings.
    "length and chunked": (b"Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
    "chunked and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
    "chunked and no length": (b"Transfer-Encoding: chunked\r\nContent-Length: 0", 400),
    "two lengths": (b"Content-Length: 5\r\nContent-Length: 6", 400),
    "the same length twice": (b"Content-Length: 5\r\nContent-Length: 5", 400),
    "two lengths in odd case": (b"Content-Length: 5\r\ncontent-LENGTH: 5", 400),
    "a list of lengths": (b"Content-Length: 5, 5", 400),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked", 400),
    "chunked twice, on two lines": (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        400,
    ),
    "identity behind chunked": (b"Transfer-Encoding: chunked, identity", 400),
    "chunked, then another line": (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        400,
    ),
    # Content-Length that is not one number.
    "empty length": (b"Content-Length:", 400),
    "negative": (b"Content-Length: -5", 400),
    "signed": (b"Content-Length: +5", 400),
    "hexadecimal": (b"Content-Length: 0x5", 400),
    "hexadecimal digit": (b"Content-Length: a", 400),
    "fraction": (b"Content-Length: 5.0", 400),
    "exponent": (b"Content-Length: 5e1", 400),
    "underscore in a number": (b"Content-Length: 1_0", 400),
    "space in a number": (b"Content-Length: 1 0", 400),
    "something behind the number": (b"Content-Length: 5;a", 400),
    "quotes": (b'Content-Length: "5"', 400),
    "padded with zeros": (b"Content-Length: 0005", 400),
    "two zeros": (b"Content-Length: 00", 400),
    "digit of another script": ("Content-Length: \u0665".encode(), 400),
    "superscript": (b"Content-Length: \xb2", 400),
    "2 to the 64th": (b"Content-Length: 18446744073709551616", 400),
    "2 to the 64th and 5": (b"Content-Length: 18446744073709551621", 400),
    "19 digits": (b"Content-Length: 1000000000000000000", 400),
    "padded beyond 18 digits": (b"Content-Length: " + b"0" * 18 + b"5", 400),
    "1,000 digits": (b"Content-Length: " + b"9" * 1000, 400),
    # Transfer-Encoding that is not just chunked.
    "gzip, chunked": (b"Transfer-Encoding: gzip, chunked", 400),
    "gzip": (b"Transfer-Encoding: gzip", 400),
    "identity": (b"Transfer-Encoding: identity", 400),
    "identity, chunked": (b"Transfer-Encoding: identity, chunked", 400),
    "gzip and chunked on two lines": (
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        400,
    ),
    "a list with an empty member": (b"Transfer-Encoding: , chunked", 400),
    "a list with an empty end": (b"Transfer-Encoding: chunked,", 400),
    "empty coding": (b"Transfer-Encoding:", 400),
    "xchunked": (b"Transfer-Encoding: xchunked", 400),
    "chunkedx": (b"Transfer-Encoding: chunkedx", 400),
    "chunked with a parameter": (b"Transfer-Encoding: chunked;q=1", 400),
    "chunked in quotes": (b'Transfer-Encoding: "chunked"', 400),
    "chunk": (b"Transfer-Encoding: chunk", 400),
    "two words": (b"Transfer-Encoding: chunked chunked", 400),
    "VT before chunked": (b"Transfer-Encoding: \x0bchunked", 400),
    "VT behind chunked": (b"Transfer-Encoding: chunked\x0b", 400),
    "FF before chunked": (b"Transfer-Encoding: \x0cchunked", 400),
    "NBSP before chunked": (b"Transfer-Encoding: \xa0chunked", 400),
    "NUL behind chunked": (b"Transfer-Encoding: chunked\0", 400),
    "space before the colon": (b"Transfer-Encoding : chunked", 400),
    "CR before the colon": (b"Transfer-Encoding\r: chunked", 400),
    "a name with VT": (b"\x0bTransfer-Encoding: chunked", 400),
}


@pytest.mark.parametrize(("lines", "status"), FRAMINGS.values(), ids=FRAMINGS)
def test_framing_that_can_be_read_in_two_ways_is_refused(
    lines: bytes, status: int
) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % lines
    assert refusal(data) == status


def test_chunked_of_http_1_0_is_refused() -> None:
    """RFC 9112 section 6.1: its framing is faulty, whatever was meant."""
    lines = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert refusal(b"POST / HTTP/1.0\r\n" + lines) == 400


def test_framing_cannot_be_taken_away_by_connection() -> None:
    lines = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    options = b"Connection: Content-Length, Transfer-Encoding\r\n"
    for order in (lines + options, options + lines):
        assert refusal(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n" % order) == 400


def test_duplicate_content_type_is_refused() -> None:
    """The parser refuses it, and that is kept.

    A proxy passes on what it does not understand, but two types of one body are
    read differently by a filter and by what stands behind it; RFC 9110 section 8.3
    calls it a singleton for that reason.
    """
    lines = b"Content-Type: a/b\r\nContent-Type: c/d"
    assert refusal(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % lines) == 400


@pytest.mark.parametrize("value", [b"200-ok", b"", b"100-continue, x"])
def test_other_expectations_are_refused(value: bytes) -> None:
    data = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: %b\r\n\r\n" % value
    assert refusal(data) == 417


def test_a_head_may_have_256_fields_and_no_more() -> None:
    lines = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 255
    assert request_parser().parse(lines + b"\r\n") is not None
    assert refusal(lines + b"X: 1\r\n\r\n") == 431
    assert refusal(lines + b"X: 1\r\n" * 2000 + b"\r\n") == 431


def test_too_many_fields_are_refused_before_the_head_ends() -> None:
    lines = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 256
    with pytest.raises(RequestError) as caught:
        request_parser().parse(lines)
    assert caught.value.status == 431


def test_lines_of_a_body_are_not_counted_as_fields() -> None:
    parser = request_parser()
    with pytest.raises(RequestError) as caught:
        parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n" + b"\n" * 1000)
    assert caught.value.status == 400


@pytest.mark.parametrize("limit", [64, 1000])
def test_a_head_may_have_just_as_many_bytes_as_the_limit(limit: int) -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    parser = request_parser(limit_bytes=limit)
    whole = start + b"x" * (limit - len(start) - 4) + b"\r\n\r\n"
    assert len(whole) == limit
    assert parser.parse(whole) is not None
    assert parser.parse(whole + b"x" * 5000) is not None
    assert refusal(start + b"y" + whole[len(start) :], limit_bytes=limit) == 431


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET /", 414),  # RFC 9112 section 3
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX", 431),
        (b"G", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX:", 431),
    ],
)
def test_a_head_that_never_ends_is_refused_beyond_the_limit(
    start: bytes, status: int
) -> None:
    parser = request_parser()
    assert parser.parse(start.ljust(LIMIT, b"a")) is None
    with pytest.raises(RequestError) as caught:
        parser.parse(start.ljust(LIMIT + 1, b"a"))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n",
        b"\0" * 100,
        bytes(range(256)),
        b"{}\r\n\r\n",
    ],
)
def test_other_protocols_are_refused(data: bytes) -> None:
    assert refusal(data) == 400


def test_a_bad_head_leaves_the_parser_as_it_was() -> None:
    parser = request_parser()
    for bad in (b"X : 1", b"X: 1\r\n 2", b"Content-Length: x", b"Expect: y"):
        with pytest.raises(RequestError):
            parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % bad)
        head = parser.parse(NEXT)
        assert head is not None
        assert (head.target, head.fields) == (b"/next", b"\r\nHost: b")
