"""Message syntax: request lines, field lines, line ends (RFC 9112 sections 2-5)."""

from __future__ import annotations

from tests.live.client import get
from tests.rfc.exam import CASE
from tests.rfc.rows import (
    Table,
    body_is,
    gives,
    gives_no,
    line_is,
    sees,
    status_is,
)

CASES = Table()
refused, passed, answered, broken = (
    CASES.refused,
    CASES.passed,
    CASES.answered,
    CASES.broken,
)

HOST = b"Host: lb.test\r\n"
END = b"\r\n\r\n"


def line(start: bytes) -> bytes:
    """A request whose first line is exactly that."""
    return start + b"\r\n" + HOST + b"\r\n"


def field(data: bytes) -> bytes:
    """A GET with these bytes as a field line."""
    return b"GET /case HTTP/1.1\r\n" + HOST + data + b"\r\n\r\n"


# The request line ------------------------------------------------------------------

passed("9112-3-plain-request", get(CASE), line_is(b"GET /case HTTP/1.1"))
passed(
    "9110-9.1-unknown-method",
    line(b"BREW /case HTTP/1.1"),
    line_is(b"BREW /case HTTP/1.1"),
)
passed(
    "9110-9.1-method-of-tchars",
    line(b"M-SEARCH!#$%&'*+.^_`|~9 /case HTTP/1.1"),
    line_is(b"M-SEARCH!#$%&'*+.^_`|~9 /case HTTP/1.1"),
    own=True,
)
refused(
    "9110-9.1-method-is-case-sensitive",
    line(b"GeT\x00 /case HTTP/1.1"),
    400,
)
refused("9112-3-method-not-a-token", line(b"GE(T /case HTTP/1.1"), 400, 501)
refused("9112-3-no-method", line(b" /case HTTP/1.1"))
refused("9112-3-no-target", line(b"GET HTTP/1.1"))
refused("9112-3-empty-target", line(b"GET  HTTP/1.1"))
refused("9112-3-no-version", line(b"GET /case"), 400, 505)
refused("9112-3-space-in-target", line(b"GET /case /x HTTP/1.1"), 400, 505)
refused("9112-3-two-spaces-before-target", line(b"GET  /case HTTP/1.1"), own=True)
refused("9112-3-two-spaces-after-target", line(b"GET /case  HTTP/1.1"), own=True)
refused("9112-3-tab-for-space", line(b"GET\t/case\tHTTP/1.1"))
refused("9112-3-space-behind-version", line(b"GET /case HTTP/1.1 "), own=True)
refused("9112-3-control-in-target", line(b"GET /ca\x01se HTTP/1.1"))
refused("9112-3-nul-in-target", line(b"GET /ca\x00se HTTP/1.1"))
refused("9112-3-del-in-target", line(b"GET /ca\x7fse HTTP/1.1"))
refused("9112-3-cr-in-target", line(b"GET /ca\rse HTTP/1.1"))
refused("9112-2.3-lower-case-version", line(b"GET /case http/1.1"), 400, 505)
refused("9112-2.3-unknown-protocol", line(b"GET /case HTCPCP/1.1"), 400, 505)
refused("9112-2.3-version-without-dot", line(b"GET /case HTTP/11"), 400, 505)
refused("9112-2.3-version-of-two-digits", line(b"GET /case HTTP/1.10"), 400, 505)
refused("9112-2.3-version-with-sign", line(b"GET /case HTTP/+1.1"), 400, 505)
refused("9110-15.6.6-http-2-in-text", line(b"GET /case HTTP/2.0"), 505, 400)
refused("9110-15.6.6-http-3", line(b"GET /case HTTP/3.0"), 505, 400)
refused(
    "9113-3.4-http-2-preface",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    505,
    400,
    own=True,
)
passed(
    "9112-2.3-higher-minor-is-1.1",
    line(b"GET /case HTTP/1.2"),
    line_is(b"GET /case HTTP/1.1"),
)
refused("9112-3-http-0.9", b"GET /case\r\n\r\n", 400, 505)
refused(
    "9112-2.2-no-http-at-all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + END
)
passed(
    "9112-2.2-empty-line-before-request",
    b"\r\n" + get(CASE),
    line_is(b"GET /case HTTP/1.1"),
)
refused(
    "9112-2.2-space-before-first-field",
    b"GET /case HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    repaired=lambda talks: not talks[0].values(b"x"),
)

# Field lines -----------------------------------------------------------------------

refused("9112-5.1-space-before-colon", field(b"X-One : 1"))
refused("9112-5.1-tab-before-colon", field(b"X-One\t: 1"))
refused("9110-5.1-empty-name", field(b": 1"))
refused("9110-5.1-name-with-space", field(b"X One: 1"))
refused("9110-5.1-name-with-paren", field(b"X(One): 1"))
refused("9110-5.1-name-with-nul", field(b"X\x00One: 1"))
refused("9110-5.1-name-with-8-bit", field(b"X\xe9: 1"))
refused("9112-5-line-without-colon", field(b"X-One"))
refused(
    "9110-5.5-nul-in-value",
    field(b"X-One: a\x00b"),
    repaired=lambda talks: b"\x00" not in talks[0].head,
)
refused(
    "9110-5.5-bare-cr-in-value",
    field(b"X-One: a\rb"),
    repaired=lambda talks: b"a\rb" not in talks[0].head,
)
refused("9110-5.5-control-in-value", field(b"X-One: a\x01b"), own=True)
refused("9110-5.5-del-in-value", field(b"X-One: a\x7fb"), own=True)
refused(
    "9112-5.2-obs-fold",
    field(b"X-One: a\r\n b"),
    repaired=lambda talks: b"\r\n b" not in talks[0].head,
)
refused(
    "9112-5.2-obs-fold-tab",
    field(b"X-One: a\r\n\tb"),
    repaired=lambda talks: b"\r\n\tb" not in talks[0].head,
)
refused("9112-2.2-bare-lf-as-line-end", field(b"X-One: a\nX-Two: b"), own=True)
refused("9112-2.2-only-bare-lf", get(CASE).replace(b"\r\n", b"\n"), own=True)
refused("9112-2.2-bare-lf-at-end", get(CASE)[:-2] + b"\n", own=True)
refused("9112-2.2-bare-cr-as-line-end", b"GET /case HTTP/1.1\r" + HOST + b"\r\n", 400)
passed("9110-5.5-empty-value", field(b"X-One:"), sees(b"x-one", b""))
passed("9110-5.5-no-space-after-colon", field(b"X-One:1"), sees(b"x-one", b"1"))
passed("9110-5.5-spaces-around-value", field(b"X-One: \t 1 \t "), sees(b"x-one", b"1"))
passed("9110-5.5-obs-text", field(b"X-One: \xe9\xff"), sees(b"x-one", b"\xe9\xff"))
passed("9110-5.5-tab-inside-value", field(b"X-One: a\tb"), sees(b"x-one", b"a\tb"))
passed(
    "9110-5.1-name-of-tchars",
    field(b"X!#$%&'*+-.^`|~9: 1"),
    sees(b"X!#$%&'*+-.^`|~9", b"1"),
    own=True,
)
passed("9110-5.1-name-in-any-case", b"GET /case HTTP/1.1\r\nhOsT: lb.test\r\n\r\n")
passed(
    "9110-2.3-long-value-arrives",
    field(b"X-One: " + b"v" * 6000),
    sees(b"x-one", b"v" * 6000),
)
passed(
    "9110-5.4-a-hundred-fields-arrive",
    field(b"\r\n".join(b"X-%d: %d" % (i, i) for i in range(90))),
    sees(b"x-0", b"0"),
    sees(b"x-89", b"89"),
)

# Response syntax -------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"

answered(
    "9112-4-empty-reason",
    b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    status_is(200),
    body_is(b"ok"),
)
answered(
    "9112-4-unknown-status-passes",
    b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok",
    status_is(299),
    body_is(b"ok"),
)
answered(
    "9112-2.3-response-of-http-1.0",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    status_is(200),
    body_is(b"ok"),
    closes=True,
)
broken("9112-4-no-http", b"hello\r\n\r\n")
broken("9112-4-no-http-and-no-end", b"\x00" * 50)
broken("9112-4-http-2-answer", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
broken("9112-4-status-not-a-number", b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok")
broken("9112-4-status-of-two-digits", b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok")
broken(
    "9112-4-status-of-four-digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"
)
broken("9112-4-status-below-100", b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok")
broken("9112-5.1-response-empty-name", OK + b": x\r\n\r\nok", own=True)
broken("9112-5-response-line-without-colon", OK + b"X-One\r\n\r\nok", own=True)
broken("9110-5.5-response-nul", OK + b"X-One: a\x00b\r\n\r\nok")
broken(
    "9110-5.5-response-bare-cr",
    OK + b"X-One: a\rSet-Cookie: b\r\n\r\nok",
    accepts=gives_no(b"set-cookie"),
)
broken(
    "9112-5.2-response-obs-fold",
    OK + b"X-One: a\r\n b\r\n\r\nok",
    accepts=body_is(b"ok"),
)
answered(
    "9112-5.1-response-space-before-colon-is-removed",
    OK + b"X-One : 1\r\n\r\nok",
    gives(b"x-one", b"1"),
    body_is(b"ok"),
)
