"""Request heads that are served: what is read from them, byte for byte."""

from __future__ import annotations

import pytest

from lb.errors import RequestError
from lb.http1.grammar import CHUNKED
from tests.http1.feeding import parsed

# (request line, target sent upstream)
LINES = {
    "origin-form": (b"GET / HTTP/1.1", b"/"),
    "query": (b"GET /a?b=c&d HTTP/1.1", b"/a?b=c&d"),
    "nothing is decoded": (b"GET /%2e%2E/%00/a%20b HTTP/1.1", b"/%2e%2E/%00/a%20b"),
    "nothing is merged": (b"GET //a/../b/./c HTTP/1.1", b"//a/../b/./c"),
    "odd but legal bytes": (
        b"GET /a|b{c}\"d'<e>\\^`[] HTTP/1.1",
        b"/a|b{c}\"d'<e>\\^`[]",
    ),
    "bytes above 127": (b"GET /caf\xc3\xa9 HTTP/1.1", b"/caf\xc3\xa9"),
    "asterisk-form": (b"OPTIONS * HTTP/1.1", b"*"),
    "OPTIONS of a path": (b"OPTIONS /a HTTP/1.1", b"/a"),
    "a path that begins with an asterisk": (b"GET /* HTTP/1.1", b"/*"),
    "unknown method": (b"BREW /pot HTTP/1.1", b"/pot"),
    "lower-case method": (b"get / HTTP/1.1", b"/"),
    "method of odd tokens": (b"M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1", b"/"),
    "method of one byte": (b"X / HTTP/1.1", b"/"),
    "long method": (b"A" * 100 + b" / HTTP/1.1", b"/"),
    "an extension method that only looks like CONNECT": (b"connect / HTTP/1.1", b"/"),
    "HTTP/1.2 is read as 1.1": (b"GET / HTTP/1.2", b"/"),
}


@pytest.mark.parametrize(("line", "target"), LINES.values(), ids=LINES)
def test_request_line_is_read_and_nothing_of_it_is_changed(
    line: bytes, target: bytes
) -> None:
    head = parsed(line + b"\r\nHost: a\r\n\r\n")
    assert (head.method, head.target) == (line.split(b" ")[0], target)
    assert head.fields == b"\r\nHost: a"
    assert head.host == b"a"
    assert (head.length, head.keep_alive) == (0, True)


# (target, method, target sent upstream, Host sent upstream)
ABSOLUTE = {
    "path": (b"http://b/p", b"GET", b"/p", b"b"),
    "port": (b"http://b:81/p", b"GET", b"/p", b"b:81"),
    "no path": (b"http://b", b"GET", b"/", b"b"),
    "no path, with OPTIONS": (b"http://b", b"OPTIONS", b"*", b"b"),
    "path, with OPTIONS": (b"http://b/", b"OPTIONS", b"/", b"b"),
    "query without path": (b"http://b?q=1", b"GET", b"/?q=1", b"b"),
    "query without path, with OPTIONS": (b"http://b?q", b"OPTIONS", b"/?q", b"b"),
    "URI in the query": (b"http://b?u=http://c/d", b"GET", b"/?u=http://c/d", b"b"),
    "https": (b"https://b/p", b"GET", b"/p", b"b"),
    "upper-case scheme": (b"HTTP://b/p", b"GET", b"/p", b"b"),
    "IPv6": (b"http://[::1]:8080/p", b"GET", b"/p", b"[::1]:8080"),
}


@pytest.mark.parametrize(
    ("uri", "method", "target", "host"), ABSOLUTE.values(), ids=ABSOLUTE
)
def test_absolute_form_becomes_a_path_and_replaces_host(
    uri: bytes, method: bytes, target: bytes, host: bytes
) -> None:
    """RFC 9112 section 3.2.2: a received Host is ignored then."""
    for received in (b"a", b"c:81", b""):
        head = parsed(
            b"%b %b HTTP/1.1\r\nX: 1\r\nHOST: %b\r\nY: 2\r\n\r\n"
            % (method, uri, received)
        )
        assert (head.target, head.host) == (target, host)
        assert head.fields == b"\r\nX: 1\r\nHOST: " + host + b"\r\nY: 2"


def test_absolute_form_of_http_1_0_needs_no_host_and_makes_one() -> None:
    head = parsed(b"GET http://b/p HTTP/1.0\r\n\r\n")
    assert (head.target, head.host, head.fields) == (b"/p", b"b", b"\r\nHost: b")


HOSTS = (
    b"a",
    b"a.example",
    b"A.EXAMPLE.",
    b"a_b",
    b"a:80",
    b"a:",
    b"127.0.0.1:8080",
    b"[::1]",
    b"[::ffff:1.2.3.4]:80",
    b"xn--caf-dma.example",
)


@pytest.mark.parametrize("host", HOSTS)
def test_host_is_kept_as_it_is_spelled(host: bytes) -> None:
    head = parsed(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert (head.host, head.fields) == (host, b"\r\nHost: " + host)


def test_empty_host_is_a_host() -> None:
    """RFC 9110 section 7.2: a target without authority has an empty one."""
    head = parsed(b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
    assert (head.host, head.fields) == (b"", b"\r\nHost: ")


def test_http_1_0_without_host_goes_on_with_an_empty_one() -> None:
    """What is sent upstream is HTTP/1.1, which must have a Host."""
    head = parsed(b"GET / HTTP/1.0\r\nA: b\r\n\r\n")
    assert (head.minor, head.host, head.fields) == (0, b"", b"\r\nHost: \r\nA: b")


def test_one_empty_line_before_the_request_is_skipped() -> None:
    """RFC 9112 section 2.2; some clients send CRLF behind a body."""
    head = parsed(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (head.method, head.fields) == (b"GET", b"\r\nHost: a")


# (lines as sent, lines as passed on)
FIELDS = {
    "order, case and duplicates": (
        b"Host: a\r\nb: 1\r\nB: 2\r\nCookie: x\r\nb: 1\r\nCookie: y",
        b"\r\nHost: a\r\nb: 1\r\nB: 2\r\nCookie: x\r\nb: 1\r\nCookie: y",
    ),
    "spaces around a value": (
        b"hOsT:a\r\nX:  \t 1 2\t3 \t\r\nY:",
        b"\r\nhOsT: a\r\nX: 1 2\t3\r\nY: ",
    ),
    "bytes above 127 in a value": (
        b"Host: a\r\nX: caf\xc3\xa9 \xff",
        b"\r\nHost: a\r\nX: caf\xc3\xa9 \xff",
    ),
    "all bytes of a token in a name": (
        b"Host: a\r\n!#$%&'*+-.^`|~09AZaz: 1",
        b"\r\nHost: a\r\n!#$%&'*+-.^`|~09AZaz: 1",
    ),
    "what a value may look like": (
        b"Host: a\r\nX: Content-Length: 5\r\nY: a:b::c",
        b"\r\nHost: a\r\nX: Content-Length: 5\r\nY: a:b::c",
    ),
    "hop-by-hop fields are dropped": (
        b"Host: a\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
        b"PROXY-Authorization: x\r\nUpgrade: websocket\r\nHTTP2-Settings: a\r\nX: 1",
        b"\r\nHost: a\r\nX: 1",
    ),
    "Trailer, Via and Max-Forwards are not hop-by-hop": (
        b"Host: a\r\nTrailer: X-Sum\r\nVia: 1.1 other\r\nMax-Forwards: 3",
        b"\r\nHost: a\r\nTrailer: X-Sum\r\nVia: 1.1 other\r\nMax-Forwards: 3",
    ),
}


@pytest.mark.parametrize(("sent", "kept"), FIELDS.values(), ids=FIELDS)
def test_fields_are_passed_on(sent: bytes, kept: bytes) -> None:
    assert parsed(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % sent).fields == kept


# (lines, body length, framing lines passed on)
FRAMINGS = {
    "none": (b"X: 1", 0, b"\r\nX: 1"),
    "length": (b"Content-Length: 5", 5, b"\r\nContent-Length: 5"),
    "zero": (b"CONTENT-LENGTH: 0", 0, b"\r\nContent-Length: 0"),
    "with spaces around": (b"Content-Length:\t 5 \t", 5, b"\r\nContent-Length: 5"),
    "the largest": (
        b"Content-Length: 999999999999999999",
        999999999999999999,
        b"\r\nContent-Length: 999999999999999999",
    ),
    "chunked": (
        b"Transfer-Encoding: chunked",
        CHUNKED,
        b"\r\nTransfer-Encoding: chunked",
    ),
    "chunked in odd case and space": (
        b"transfer-ENCODING:\t cHuNkEd \t",
        CHUNKED,
        b"\r\nTransfer-Encoding: chunked",
    ),
}


@pytest.mark.parametrize(("line", "length", "sent"), FRAMINGS.values(), ids=FRAMINGS)
def test_framing_is_read_and_written_anew(
    line: bytes, length: int, sent: bytes
) -> None:
    """What goes upstream is our framing, never a copy of the client's."""
    head = parsed(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % line)
    assert (head.length, head.fields) == (length, b"\r\nHost: a" + sent)


# (version, Connection lines, is it kept alive)
PERSISTENCE = {
    "1.1": (b"1.1", (), True),
    "1.1 close": (b"1.1", (b"close",), False),
    "1.1 close in odd case": (b"1.1", (b"ClOsE",), False),
    "1.1 keep-alive": (b"1.1", (b"keep-alive",), True),
    "1.1 close among others": (b"1.1", (b"x, close ,y",), False),
    "1.1 a word that holds close": (b"1.1", (b"not-close",), True),
    "1.0": (b"1.0", (), False),
    "1.0 keep-alive": (b"1.0", (b"Keep-Alive",), True),
    "1.0 close": (b"1.0", (b"close",), False),
    "close wins": (b"1.1", (b"close, keep-alive",), False),
    "close wins, on lines of their own": (b"1.1", (b"close", b"keep-alive"), False),
    "close wins in 1.0": (b"1.0", (b"close", b"keep-alive"), False),
    "close wins behind keep-alive": (b"1.0", (b"keep-alive", b"close"), False),
}


@pytest.mark.parametrize(
    ("version", "options", "keep_alive"), PERSISTENCE.values(), ids=PERSISTENCE
)
def test_persistence_follows_version_and_connection(
    version: bytes, options: tuple[bytes, ...], keep_alive: bool
) -> None:
    """RFC 9112 section 9.3; what one side says of its connection stays there."""
    lines = b"".join(b"Connection: %b\r\n" % option for option in options)
    head = parsed(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, lines))
    assert head.keep_alive is keep_alive
    assert head.fields == b"\r\nHost: a"


def test_expect_is_noted_and_passed_on() -> None:
    head = parsed(
        b"PUT / HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"
    )
    assert head.expects_continue
    assert b"\r\nExpect: 100-continue\r\n" in head.fields


def test_expect_of_http_1_0_is_ignored() -> None:
    """RFC 9110 section 10.1.1: such a client cannot take the 100."""
    head = parsed(
        b"PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    )
    assert not head.expects_continue
    assert b"xpect" not in head.fields


def test_upgrade_is_passed_on_beside_its_connection_option() -> None:
    head = parsed(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert head.upgrade == b"websocket"
    assert head.keep_alive
    lines = b"\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket"
    assert head.fields == lines


NO_UPGRADES = {
    "not named by Connection": b"Upgrade: websocket\r\n",
    "h2c, a tunnel for requests unseen": b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    "with a body": b"Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 1\r\n",
    "nothing asked for": b"Connection: upgrade\r\nUpgrade:\r\n",
    "only the option": b"Connection: upgrade\r\n",
}


@pytest.mark.parametrize("lines", NO_UPGRADES.values(), ids=NO_UPGRADES)
def test_other_upgrades_are_forgotten(lines: bytes) -> None:
    head = parsed(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % lines)
    assert not head.upgrade
    assert b"pgrade" not in head.fields


def test_max_forwards_counts_down_for_options_only() -> None:
    """RFC 9110 section 7.6.2; with 0 it is for us, which the session sees to."""
    data = b"%b / HTTP/1.1\r\nHost: a\r\nMax-Forwards: %b\r\n\r\n"
    assert parsed(data % (b"OPTIONS", b"7")).fields.endswith(b"Max-Forwards: 6")
    assert parsed(data % (b"OPTIONS", b"0")).max_forwards == 0
    assert parsed(data % (b"GET", b"0")).fields.endswith(b"Max-Forwards: 0")
    with pytest.raises(RequestError):
        parsed(data % (b"OPTIONS", b"-1"))
