"""Where a request's body ends, and how it is framed anew (RFC 9112 sections 6, 7)."""

from __future__ import annotations

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import CASE, SMUGGLED
from tests.rfc.rows import (
    Table,
    body_is,
    got_body,
    is_framed_once,
    line_is,
    sees,
)

CASES = Table()
refused, passed = CASES.refused, CASES.passed

NEXT = get(SMUGGLED)
CODED = b"Transfer-Encoding: chunked"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with exactly these framing fields, and these bytes behind its head."""
    return request(b"POST", CASE, *lines) + body


def chunked(body: bytes) -> bytes:
    return post(CODED, body=body)


# Content-Length ----------------------------------------------------------------------

passed("9112-6.3-length", post(b"Content-Length: 5", body=b"hello"), got_body(b"hello"))
passed("9112-6.3-length-zero", post(b"Content-Length: 0"), got_body(b""))
passed("9112-6.3-no-framing-is-no-body", post(), got_body(b""))
refused(
    "9110-8.6-length-leading-zeros",
    post(b"Content-Length: 0005", body=b"hello"),
    own=True,
)
passed(
    "9110-9.3.1-get-with-body",
    request(b"GET", CASE, body=b"hello"),
    got_body(b"hello"),
)
passed(
    "9110-9.3.5-delete-with-body",
    request(b"DELETE", CASE, body=b"hello"),
    got_body(b"hello"),
)
passed(
    "9110-9.1-unknown-method-with-body",
    request(b"BREW", CASE, body=b"hello"),
    got_body(b"hello"),
)
for name, value in {
    "negative": b"-5",
    "plus-sign": b"+5",
    "hexadecimal": b"0x5",
    "underscore": b"1_0",
    "empty": b"",
    "word": b"five",
    "fraction": b"5.0",
    "exponent": b"5e0",
    "list-of-different": b"5, 6",
    "space-inside": b"5 5",
    "trailing-garbage": b"5;",
    "other-digits": b"\xd9\xa5",
    "quoted": b'"5"',
    "over-64-bits": b"18446744073709551621",
    "over-any-bits": b"9" * 100,
}.items():
    refused(
        f"9110-8.6-length-{name}",
        post(b"Content-Length: " + value, body=b"hello" + NEXT),
        400,
        413,
        method=b"POST",
    )
refused(
    "9112-6.3-list-of-equal-lengths",
    post(b"Content-Length: 5, 5", body=b"hello"),
    repaired=lambda talks: talks[0].values(b"content-length") == [b"5"],
)
refused(
    "9112-6.3-two-different-lengths",
    post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello" + NEXT),
)
refused(
    "9112-6.3-two-equal-lengths",
    post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    repaired=lambda talks: talks[0].values(b"content-length") == [b"5"],
)

# Chunked -----------------------------------------------------------------------------

passed(
    "9112-7.1-chunked",
    chunked(in_chunks(b"hello world", 4)),
    got_body(b"hello world"),
    is_framed_once,
)
passed("9112-7.1-chunked-empty", chunked(b"0\r\n\r\n"), got_body(b""), is_framed_once)
passed(
    "9112-7.1-upper-case-hex",
    chunked(b"A\r\n0123456789\r\n0\r\n\r\n"),
    got_body(b"0123456789"),
)
passed(
    "9112-7.1-zeros-before-size",
    chunked(b"0005\r\nhello\r\n000\r\n\r\n"),
    got_body(b"hello"),
)
passed(
    "9112-7.1.1-extension-is-ignored",
    chunked(b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n'),
    got_body(b"hello"),
)
passed(
    "9112-6.1-coding-in-any-case",
    post(b"Transfer-Encoding: Chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    got_body(b"hello"),
    is_framed_once,
)
passed(
    "9112-7.1.2-trailers-do-not-end-up-as-fields",
    chunked(b"5\r\nhello\r\n0\r\nX-Role: admin\r\n\r\n"),
    got_body(b"hello"),
    sees(b"x-role"),
)
passed(
    "9112-7.1-thousand-small-chunks",
    chunked(in_chunks(b"x" * 1000, 1)),
    got_body(b"x" * 1000),
)
for name, body in {
    "size-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size-plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "size-minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "size-space-before": b" 5\r\nhello\r\n0\r\n\r\n",
    "size-empty": b"\r\nhello\r\n0\r\n\r\n",
    "size-word": b"xyz\r\nhello\r\n0\r\n\r\n",
    "size-underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "size-over-64-bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size-of-all-ones": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "size-only-extension": b";a=b\r\nhello\r\n0\r\n\r\n",
    "data-longer-than-size": b"4\r\nhello\r\n0\r\n\r\n",
    "data-shorter-than-size": b"6\r\nhello\r\n0\r\n\r\n",
    "no-crlf-after-data": b"5\r\nhello0\r\n\r\n",
    "other-bytes-after-data": b"5\r\nhelloXX0\r\n\r\n",
    "bare-cr-after-size": b"5\rhello\r\n0\r\n\r\n",
}.items():
    refused(f"9112-7.1-{name}", chunked(body + NEXT), method=b"POST")
for name, body in {
    "bare-lf-after-size": b"5\nhello\r\n0\r\n\r\n",
    "bare-lf-after-data": b"5\r\nhello\n0\r\n\r\n",
    "bare-lf-at-the-end": b"5\r\nhello\r\n0\r\n\n",
    "space-behind-size": b"5 \r\nhello\r\n0\r\n\r\n",
    "bare-lf-in-extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare-cr-in-extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "nul-in-extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "trailer-without-colon": b"5\r\nhello\r\n0\r\nX-One\r\n\r\n",
    "trailer-space-before-colon": b"5\r\nhello\r\n0\r\nX-One : 1\r\n\r\n",
    "trailer-folded": b"5\r\nhello\r\n0\r\nX-One: 1\r\n 2\r\n\r\n",
    "extension-of-8-kib": b"5;" + b"a" * 8192 + b"\r\nhello\r\n0\r\n\r\n",
}.items():
    refused(f"9112-7.1-{name}", chunked(body), 400, 413, 431, method=b"POST", own=True)

# Transfer codings --------------------------------------------------------------------

for name, value in {
    "identity": b"identity",
    "gzip-only": b"gzip",
    "chunked-not-last": b"chunked, gzip",
    "chunked-twice": b"chunked, chunked",
    "unknown": b"xchunked",
    "empty": b"",
    "with-parameter": b"chunked;q=1",
    "quoted": b'"chunked"',
    "vertical-tab": b"\x0bchunked",
    "joined-by-blank": b"gzip chunked",
}.items():
    refused(
        f"9112-6.1-coding-{name}",
        post(b"Transfer-Encoding: " + value, body=in_chunks(b"hello") + NEXT),
        400,
        501,
        method=b"POST",
    )
refused(
    "9112-6.1-coding-gzip-then-chunked",
    post(b"Transfer-Encoding: gzip, chunked", body=in_chunks(b"hello")),
    400,
    501,
    own=True,
)
refused(
    "9112-6.1-two-coding-lines",
    post(CODED, CODED, body=in_chunks(b"hello") + NEXT),
    400,
    501,
)
refused(
    "9112-6.1-coding-in-http-1.0",
    chunked(in_chunks(b"hello")).replace(b"HTTP/1.1", b"HTTP/1.0"),
    400,
    501,
    own=True,
)

# What a backend gets -------------------------------------------------------------------

passed(
    "9112-6-framed-anew-length",
    post(b"content-LENGTH:   5", body=b"hello"),
    is_framed_once,
    sees(b"content-length", b"5"),
)
passed(
    "9110-8.6-no-framing-added-to-get",
    get(CASE),
    sees(b"content-length"),
    sees(b"transfer-encoding"),
)
passed(
    "9112-6.3-next-request-is-not-the-body",
    post(b"Connection: close", b"Content-Length: 5", body=b"hello" + NEXT),
    got_body(b"hello"),
    line_is(b"POST /case HTTP/1.1"),
    body_is(CASE),
)
