"""Where a request goes: Host and the forms of the target (RFC 9112 3.2, 9110 7)."""

from __future__ import annotations

from tests.live.client import get, request
from tests.rfc.exam import CASE, Exam
from tests.rfc.rows import Table, gives, line_is, sees, status_is

CASES = Table()
refused, passed, case = CASES.refused, CASES.passed, CASES.case


def to(
    target: bytes, host: bytes = b"Host: lb.test\r\n", method: bytes = b"GET"
) -> bytes:
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, host)


# Host ------------------------------------------------------------------------------------

refused("9112-3.2-no-host", to(CASE, b""))
refused("9112-3.2-two-hosts", to(CASE, b"Host: a\r\nHost: b\r\n"))
refused("9112-3.2-two-equal-hosts", to(CASE, b"Host: a\r\nHost: a\r\n"))
refused("9112-3.2-host-with-space", to(CASE, b"Host: a b\r\n"))
refused("9112-3.2-host-with-slash", to(CASE, b"Host: a/b\r\n"))
refused("9112-3.2-host-with-userinfo", to(CASE, b"Host: u@a\r\n"))
refused("9112-3.2-host-list", to(CASE, b"Host: a, b\r\n"), own=True)
refused("9112-3.2-host-port-not-a-number", to(CASE, b"Host: a:http\r\n"))
refused("9112-3.2-host-two-ports", to(CASE, b"Host: a:1:2\r\n"))
refused("9112-3.2-host-with-quote", to(CASE, b'Host: a"b\r\n'), own=True)
refused("9112-3.2-host-bad-ipv6", to(CASE, b"Host: [::1\r\n"))
refused("9112-3.2-host-with-question", to(CASE, b"Host: a?b\r\n"))
refused("9112-3.2-host-with-backslash", to(CASE, b"Host: a\\b\r\n"), own=True)
refused("9112-3.2-host-with-8-bit", to(CASE, b"Host: a\xff\r\n"), own=True)
passed("9112-3.2-host-empty", to(CASE, b"Host:\r\n"), own=True)
passed("9112-3.2-host-with-port", to(CASE, b"Host: a:80\r\n"), sees(b"host", b"a:80"))
passed(
    "9112-3.2-host-ipv6", to(CASE, b"Host: [::1]:80\r\n"), sees(b"host", b"[::1]:80")
)
passed("9110-7.2-host-is-kept", get(CASE), sees(b"host", b"lb.test"))
passed(
    "9112-3.2-host-last",
    b"GET /case HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n",
    sees(b"host", b"a"),
)
passed(
    "9112-3.2-http-1.0-without-host",
    b"GET /case HTTP/1.0\r\n\r\n",
    line_is(b"GET /case HTTP/1.1"),
    own=True,
)


@case("9112-3.2-http-1.1-to-a-backend-always-has-a-host")
def _(exam: Exam) -> None:
    """Whatever version goes upstream: with HTTP/1.1 there is exactly one Host."""
    exam.ask(b"GET /case HTTP/1.0\r\n\r\n")
    (talk,) = exam.talks
    if talk.line.endswith(b"HTTP/1.1"):
        assert len(talk.values(b"host")) == 1


# Forms of the target ---------------------------------------------------------------------

passed(
    "9112-3.2.2-absolute-form",
    to(b"http://lb.test/case?x=1"),
    sees(b"host", b"lb.test"),
)
passed(
    "9112-3.2.2-absolute-form-beats-host",
    to(b"http://real.test/case", b"Host: other.test\r\n"),
    sees(b"host", b"real.test"),
)
passed(
    "9112-3.2.2-absolute-form-with-port",
    to(b"http://real.test:81/case", b"Host: other.test\r\n"),
    sees(b"host", b"real.test:81"),
)
passed(
    "9112-3.2.1-absolute-form-goes-on-as-origin-form",
    to(b"HTTP://lb.test/case"),
    line_is(b"GET /case HTTP/1.1"),
    own=True,
)
passed(
    "9112-3.2.1-absolute-form-without-path",
    to(b"http://lb.test"),
    line_is(b"GET / HTTP/1.1"),
    own=True,
)
passed(
    "9112-3.2.1-absolute-form-query-only",
    to(b"http://lb.test?x"),
    line_is(b"GET /?x HTTP/1.1"),
    own=True,
)
passed(
    "9112-3.2.4-absolute-form-options",
    to(b"http://lb.test", method=b"OPTIONS"),
    line_is(b"OPTIONS * HTTP/1.1"),
    own=True,
)
refused("9112-3.2.2-absolute-form-no-host-field", to(b"http://lb.test/case", b""))
refused("9112-3.2.2-absolute-form-empty-host", to(b"http:///case"), own=True)
refused("9112-3.2.2-absolute-form-userinfo", to(b"http://u:p@lb.test/case"), own=True)
refused("9112-3.2.2-absolute-form-other-scheme", to(b"ftp://lb.test/case"), own=True)
refused("9112-3.2.2-absolute-form-bad-host", to(b"http://a b/case"), 400, 505)
passed(
    "9112-3.2.4-asterisk-form",
    to(b"*", method=b"OPTIONS"),
    line_is(b"OPTIONS * HTTP/1.1"),
    own=True,
)
refused("9112-3.2.4-asterisk-only-for-options", to(b"*"))
refused("9112-3.2-path-without-slash", to(b"case"))
refused("9112-3.2-fragment", to(b"/case#x"), own=True)
refused("9112-3.2.3-authority-form-for-get", to(b"lb.test:80"))
refused(
    "9110-9.3.6-connect",
    to(b"lb.test:443", method=b"CONNECT"),
    405,
    501,
    400,
)
refused("9110-9.3.6-connect-of-a-path", to(CASE, method=b"CONNECT"), 405, 501, 400)
refused(
    "9110-9.3.8-trace",
    request(b"TRACE", CASE, b"Cookie: secret"),
    405,
    501,
    own=True,
)


@case("9110-15.5.6-405-names-what-is-allowed", own=True)
def _(exam: Exam) -> None:
    """A 405 MUST have an Allow field."""
    answer = exam.ask(request(b"TRACE", CASE))
    assert answer.status == 405
    assert b"GET" in answer.value(b"allow")


# Nothing of the target is changed ----------------------------------------------------------

for name, target in {
    "encoded-slash": b"/a%2Fb%2f",
    "encoded-letters": b"/%41%61",
    "two-slashes": b"//a//b",
    "dots": b"/a/../b/./c",
    "encoded-dots": b"/%2e%2e/x",
    "bad-escape": b"/%zz%",
    "empty-query": b"/a?",
    "question-in-query": b"/a?b?c",
    "semicolons": b"/a;b=c;d",
    "sub-delims": b"/!$&'()*+,;=:@",
    "encoded-nul": b"/a%00b",
    "encoded-space": b"/a%20b+c",
    "backslash": b"/a\\b",
    "pipe-and-braces": b"/a|b{c}^`<>",
}.items():
    passed(
        f"9110-7.7-target-{name}",
        get(target),
        line_is(b"GET %b HTTP/1.1" % target),
        own=name in ("encoded-dots", "bad-escape", "encoded-nul"),
    )
passed(
    "9112-3-target-of-8000-bytes",
    get(b"/" + b"a" * 7999),
    line_is(b"GET /" + b"a" * 7999 + b" HTTP/1.1"),
)

# Max-Forwards ----------------------------------------------------------------------------


@case("9110-7.6.2-max-forwards-zero-is-answered-here", own=True)
def _(exam: Exam) -> None:
    """RFC: MUST NOT forward the request; MUST respond as the final recipient."""
    answer = exam.ask(request(b"OPTIONS", CASE, b"Max-Forwards: 0"))
    assert answer.status in (200, 204)
    assert answer.values(b"allow")
    assert exam.talks == []


passed(
    "9110-7.6.2-max-forwards-counts-down",
    request(b"OPTIONS", CASE, b"Max-Forwards: 5"),
    sees(b"max-forwards", b"4"),
    own=True,
)
passed(
    "9110-7.6.2-max-forwards-of-others-is-ignored",
    get(CASE, b"Max-Forwards: 0"),
    sees(b"max-forwards", b"0"),
    status_is(200),
)
refused(
    "9110-7.6.2-max-forwards-not-a-number",
    request(b"OPTIONS", CASE, b"Max-Forwards: x"),
    own=True,
)
passed(
    "9110-9.3.7-options-is-passed",
    request(b"OPTIONS", CASE),
    gives(b"allow", b"GET"),
    script=lambda talk: talk.reply(b"", b"Allow: GET"),
)
