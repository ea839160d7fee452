"""What is done about fields that name others, claim things, or have underscores."""

from __future__ import annotations

import pytest

from lb.errors import RequestError
from lb.http1.forward import Peer, request_ids
from lb.http1.grammar import CHUNKED, MAX_LEARNED, MAX_LEARNED_NAME
from tests.http1.feeding import parsed, request_parser

# (lines, lines passed on)
NOMINATED = {
    "one": (b"Connection: X-A\r\nX-A: 1\r\nX-B: 2", b"\r\nX-B: 2"),
    "before it is named": (b"X-A: 1\r\nX-B: 2\r\nConnection: x-a", b"\r\nX-B: 2"),
    "in odd case": (b"X-a: 1\r\nCONNECTION: x-A\r\nx-A: 2", b""),
    "several": (b"Connection: a , b,\r\na: 1\r\nb: 2\r\nc: 3", b"\r\nc: 3"),
    "on two lines": (b"Connection: a\r\nConnection: b\r\na: 1\r\nb: 2", b""),
    "with close": (b"Connection: close, a\r\na: 1", b""),
    "nothing there": (b"Connection: a\r\nb: 1", b"\r\nb: 1"),
    "itself": (b"Connection: connection, a\r\na: 1\r\nb: 1", b"\r\nb: 1"),
    "what never is": (
        b"Connection: Host, Content-Length, Transfer-Encoding\r\nContent-Length: 5",
        b"\r\nContent-Length: 5",
    ),
}


@pytest.mark.parametrize(("lines", "kept"), NOMINATED.values(), ids=NOMINATED)
def test_fields_that_connection_names_are_removed(lines: bytes, kept: bytes) -> None:
    """RFC 9110 section 7.6.1, but for those that a message cannot do without."""
    head = parsed(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % lines)
    assert head.fields == b"\r\nHost: a" + kept
    assert head.length == (5 if b"Content-Length: 5" in kept else 0)


def test_chunked_stays_when_connection_names_other_fields() -> None:
    head = parsed(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: x, transfer-encoding\r\n\r\n"
    )
    assert head.length == CHUNKED
    assert head.fields == b"\r\nHost: a\r\nTransfer-Encoding: chunked"


CLAIMS = (
    b"X-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: https\r\n"
    b"X-FORWARDED-HOST: evil\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Port: 443\r\n"
    b"X-Forwarded-Prefix: /x\r\n"
)


def sent_upstream(lines: bytes, **rules: object) -> bytes:
    head = parsed(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % lines, **rules)
    return Peer("10.0.0.1", via=b"lb", ids=request_ids(b"id-")).request_head(head)[0]


def test_claims_of_clients_are_replaced_by_what_is_so() -> None:
    assert sent_upstream(CLAIMS) == (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n"
        b"X-Forwarded-Proto: http\r\nVia: 1.1 lb\r\n"
        b'Forwarded: for=10.0.0.1;proto=http;host="a"\r\n'
        b"X-Forwarded-Host: a\r\nX-Request-Id: id-0000000001\r\n\r\n"
    )


def test_claims_of_a_trusted_proxy_are_kept_and_added_to() -> None:
    assert sent_upstream(CLAIMS, trusts_peer=True) == (
        b"GET / HTTP/1.1\r\nHost: a\r\n"
        b"X-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /x\r\n"
        b"X-Forwarded-For: 1.1.1.1, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n"
        b"Via: 1.1 lb\r\n"
        b'Forwarded: for=1.1.1.1, for=10.0.0.1;proto=http;host="a"\r\n'
        b"X-Forwarded-Host: evil\r\nX-Request-Id: id-0000000001\r\n\r\n"
    )


def test_a_trusted_chain_on_several_lines_is_joined_in_order() -> None:
    lines = b"X-Forwarded-For: 1, 2\r\nX-Forwarded-For:\r\nX-Forwarded-For: 3\r\n"
    sent = sent_upstream(lines, trusts_peer=True)
    assert sent.count(b"X-Forwarded-For") == 1
    assert b"\r\nX-Forwarded-For: 1, 2, 3, 10.0.0.1\r\n" in sent


@pytest.mark.parametrize("options", [b"x", b"X-Forwarded-For, X-Forwarded-Host, x"])
def test_a_trusted_chain_stays_whatever_connection_names(options: bytes) -> None:
    """A client that names it must not make the proxy before us unheard."""
    lines = b"X-Forwarded-For: 1\r\nX-Forwarded-Host: h\r\nx: y\r\nConnection: %b\r\n"
    for order in (lines, b"".join(reversed(lines.splitlines(keepends=True)))):
        sent = sent_upstream(order % options, trusts_peer=True)
        assert b"\r\nX-Forwarded-For: 1, 10.0.0.1\r\n" in sent
        assert b"\r\nX-Forwarded-Host: h\r\n" in sent
        assert b"x: y" not in sent


UNDERSCORED = b"GET / HTTP/1.1\r\nHost: a\r\nX_A: 1\r\nX-B: 2\r\n\r\n"


def test_names_with_underscores_are_dropped_by_default() -> None:
    """WSGI and CGI read X_A and X-A as one name, so one could pose as the other."""
    assert parsed(UNDERSCORED).fields == b"\r\nHost: a\r\nX-B: 2"


def test_names_with_underscores_are_kept_on_wish() -> None:
    fields = parsed(UNDERSCORED, underscores="keep").fields
    assert fields == b"\r\nHost: a\r\nX_A: 1\r\nX-B: 2"


def test_names_with_underscores_are_refused_on_wish_each_time() -> None:
    parser = request_parser(underscores="refuse")
    for _ in range(2):
        with pytest.raises(RequestError) as caught:
            parser.parse(UNDERSCORED)
        assert caught.value.status == 400


@pytest.mark.parametrize("name", [b"Content_Length", b"Transfer_Encoding", b"Host_"])
def test_an_underscore_never_makes_a_field_mean_something(name: bytes) -> None:
    head = parsed(b"POST / HTTP/1.1\r\nHost: a\r\n%b: 5\r\n\r\n" % name)
    assert (head.length, head.fields, head.host) == (0, b"\r\nHost: a", b"a")


def test_names_beyond_what_is_remembered_are_passed_on_as_well() -> None:
    parser = request_parser()
    for start in range(0, MAX_LEARNED * 2 + 100, 200):
        names = [b"X-%d" % number for number in range(start, start + 200)]
        lines = b"".join(b"%b: 1\r\n" % name for name in names)
        head = parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n%bTE: x\r\n\r\n" % lines)
        assert head is not None
        assert head.fields == b"\r\nHost: a\r\n" + lines.removesuffix(b"\r\n")
        assert len(parser._rules) <= MAX_LEARNED


def test_memory_for_names_is_bounded_by_their_length_too() -> None:
    """2,048 names of the length a head may have would be 128 MiB."""
    parser = request_parser()
    name = b"X" * (MAX_LEARNED_NAME + 1)
    for _ in range(2):
        head = parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n%b: 1\r\n\r\n" % name)
        assert head is not None
        assert head.fields == b"\r\nHost: a\r\n" + name + b": 1"
    assert set(parser._rules) == {b"Host"}


def test_repr_tells_the_request() -> None:
    assert repr(parsed(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")) == (
        "<RequestHead b'GET' b'/a' 0>"
    )


def test_a_wish_to_upgrade_is_passed_on_once_whatever_else_connection_names() -> None:
    lines = b"Connection: upgrade, x\r\nUpgrade: websocket\r\nx: 1\r\n"
    head = parsed(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % lines)
    assert head.upgrade == b"websocket"
    assert head.fields == b"\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket"


def test_what_connection_takes_away_leaves_no_trace() -> None:
    """A 100 that nobody waits for, a count that nobody sent, trailers by those names."""
    head = parsed(
        b"OPTIONS / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nMax-Forwards: 0\r\n"
        b"Connection: expect, max-forwards\r\nContent-Length: 5\r\n\r\n"
    )
    assert head.fields == b"\r\nHost: a\r\nContent-Length: 5"
    assert not head.expects_continue
    assert head.max_forwards == -1
    assert {b"expect", b"max-forwards"} <= set(head.nominated)
