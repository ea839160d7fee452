"""Heads that came before are not parsed again; nobody may notice but the clock."""

from __future__ import annotations

from lb.http1.forward import Peer, request_ids, response_head
from lb.http1.grammar import CHUNKED, MAX_KNOWN, MAX_KNOWN_BYTES, NO_BODY
from lb.http1.request import RequestParser
from lb.http1.response import ResponseParser

REQUEST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\n\r\n"


def test_a_request_head_that_came_before_is_the_same_one() -> None:
    parser = RequestParser(limit_bytes=65536)
    assert parser.parse(REQUEST) is not None
    first = parser.parse(REQUEST + b"abc")
    assert first is not None
    assert parser.parse(REQUEST + b"xyzGET / HTTP/1.1\r\n") is first
    assert parser.parse(REQUEST) is first
    other = parser.parse(REQUEST.replace(b"/a", b"/b"))
    assert other is not None
    assert other.target == b"/b"


def test_each_request_with_a_known_head_is_a_request_of_its_own() -> None:
    """What belongs to one request, as its id, is not kept in the head."""
    parser = RequestParser(limit_bytes=65536)
    peer = Peer("10.0.0.1", via=b"lb", ids=request_ids(b"id-"))
    wires = []
    for _ in range(5):
        head = parser.parse(REQUEST)
        assert head is not None
        wires.append(peer.request_head(head)[0])
    for number, wire in enumerate(wires, 1):
        assert wire.endswith(b"\r\nX-Request-Id: id-%010x\r\n\r\n" % number)
        assert wire[:-20] == wires[0][:-20]


def test_a_known_head_names_the_client_that_sends_it_now() -> None:
    parser = RequestParser(limit_bytes=65536)
    ids = request_ids(b"id-")
    peers = [Peer(ip, via=b"lb", ids=ids) for ip in ("10.0.0.1", "10.0.0.2")]
    for _ in range(4):
        for peer in peers:
            head = parser.parse(REQUEST)
            assert head is not None
            assert (
                b"\r\nX-Forwarded-For: %b\r\n" % peer.ip in peer.request_head(head)[0]
            )


def test_an_incomplete_head_is_not_taken_for_a_known_one() -> None:
    parser = RequestParser(limit_bytes=65536)
    assert parser.parse(REQUEST) is not None
    for cut in range(len(REQUEST)):
        assert parser.parse(REQUEST[:cut]) is None


def test_the_answer_to_head_has_no_body_though_its_bytes_are_known() -> None:
    """RFC 9112 section 6.3: the method decides, not the bytes."""
    parser = ResponseParser(limit_bytes=65536)
    lengths = [
        head.length
        for method in (b"GET", b"HEAD", b"GET", b"HEAD")
        if (head := parser.parse(ANSWER, method)) is not None
    ]
    assert lengths == [3, NO_BODY, 3, NO_BODY]


def test_a_remembered_response_is_made_anew_for_another_kind_of_client() -> None:
    parser = ResponseParser(limit_bytes=65536)
    chunked = b"HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n"
    head = parser.parse(chunked, b"GET")
    assert head is not None
    assert head.length == CHUNKED

    def sent(minor: int, *, keep_alive: bool) -> bytes:
        return response_head(
            head, minor=minor, keep_alive=keep_alive, via=b"lb", date=lambda: b""
        )

    usual = sent(1, keep_alive=True)
    assert b"Transfer-Encoding: chunked" in usual
    assert b"Connection" not in usual
    assert b"Connection: close" in sent(1, keep_alive=False)
    assert b"Transfer-Encoding" not in sent(0, keep_alive=False)
    assert sent(1, keep_alive=True) == usual


def test_a_date_of_ours_is_not_remembered() -> None:
    head = ResponseParser(limit_bytes=65536).parse(
        b"HTTP/1.1 204 No Content\r\n\r\n", b"GET"
    )
    assert head is not None
    for now in (b"then", b"now"):
        wire = response_head(
            head, minor=1, keep_alive=True, via=b"lb", date=lambda now=now: now
        )
        assert b"\r\nDate: " + now + b"\r\n" in wire


def test_what_is_remembered_is_bounded_in_number_and_size() -> None:
    """Whoever sends ever new heads fills no memory and slows nobody for long."""
    parser = RequestParser(limit_bytes=65536)
    for i in range(3 * MAX_KNOWN):
        head = parser.parse(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i)
        assert head is not None
        assert head.target == b"/%d" % i
        assert len(parser._known) <= MAX_KNOWN
    before = len(parser._known)
    assert parser.parse(
        b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * MAX_KNOWN_BYTES)
    )
    assert len(parser._known) == before
