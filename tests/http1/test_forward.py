"""What is sent on, each way, as a second implementation (h11) reads it."""

from __future__ import annotations

import h11
import pytest

from lb.http1.forward import Peer, interim_head, request_ids, response_head
from lb.http1.request import RequestParser
from lb.http1.response import ResponseHead, ResponseParser

REQUESTS = {
    "plain": b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n",
    "1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "absolute": b"GET http://b:1/p HTTP/1.1\r\nHost: a\r\n\r\n",
    "length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
    "chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "closing": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nx: 1\r\n\r\n",
    "expecting": b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
    b"Content-Length: 3\r\n\r\n",
    "claiming": b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n\r\n",
}


def as_server(data: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event


@pytest.mark.parametrize("trusts", [False, True])
@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS)
def test_request_is_http_1_1_with_one_host_and_ours_to_close(
    data: bytes, trusts: bool
) -> None:
    head = RequestParser(limit_bytes=4096, trusts_peer=trusts).parse(data)
    assert head is not None
    event = as_server(
        Peer("10.0.0.1", via=b"lb", ids=request_ids(b"id-")).request_head(head)[0]
    )
    fields = event.headers.raw_items()
    names = [name.lower() for name, _ in fields]
    assert (event.method, event.target) == (head.method, head.target)
    assert event.http_version == b"1.1"
    assert names.count(b"host") == 1
    assert b"connection" not in names
    for name in (b"x-forwarded-for", b"x-forwarded-proto", b"via"):
        assert names.count(name) == 1
    assert names.count(b"x-forwarded-host") == (head.host != b"")
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


def sent_for(data: bytes, peer: Peer, **rules: object) -> dict[bytes, bytes]:
    head = RequestParser(limit_bytes=4096, **rules).parse(data)  # type: ignore[arg-type]
    assert head is not None
    return dict(as_server(peer.request_head(head)[0]).headers)


def test_a_backend_is_told_who_asked_how_for_what_and_through_whom() -> None:
    peer = Peer("2001:db8::1", proto=b"https", via=b"lb-7", ids=request_ids(b"id-"))
    fields = sent_for(b"GET / HTTP/1.1\r\nHost: a:81\r\n\r\n", peer)
    assert fields[b"x-forwarded-for"] == b"2001:db8::1"
    assert fields[b"x-forwarded-proto"] == b"https"
    assert fields[b"x-forwarded-host"] == b"a:81"
    assert fields[b"via"] == b"1.1 lb-7"
    assert fields[b"host"] == b"a:81"


@pytest.mark.parametrize("line", [b"", b"X-Forwarded-For: 1\r\n"])
def test_via_says_the_version_that_was_received(line: bytes) -> None:
    peer = Peer("10.0.0.1", via=b"lb", ids=request_ids(b"id-"))
    data = b"GET / HTTP/1.0\r\nHost: a\r\n%b\r\n" % line
    assert sent_for(data, peer, trusts_peer=True)[b"via"] == b"1.0 lb"


def test_what_a_trusted_proxy_does_not_say_is_filled_in() -> None:
    peer = Peer("10.0.0.1", via=b"lb", ids=request_ids(b"id-"))
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"
    fields = sent_for(data, peer, trusts_peer=True)
    assert fields[b"x-forwarded-for"] == b"10.0.0.1"
    assert fields[b"x-forwarded-proto"] == b"https"
    assert fields[b"x-forwarded-host"] == b"a"


def response(data: bytes, method: bytes = b"GET") -> ResponseHead:
    head = ResponseParser(limit_bytes=4096).parse(data, method)
    assert head is not None
    return head


def as_client(data: bytes, method: str = "GET") -> h11.Response:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, (h11.Response, h11.InformationalResponse))
    return event


def now() -> bytes:
    return b"Sun, 22 Nov 2026 08:49:37 GMT"


SIZED = (
    b"HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 3\r\n\r\n"
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
ENDLESS = b"HTTP/1.0 200 OK\r\nX: 1\r\n\r\n"

# (backend's head, client's minor version, keep alive, lines of framing added)
RESPONSES = {
    "sized, 1.1": (SIZED, 1, True, []),
    "sized, 1.1, closing": (SIZED, 1, False, [b"connection: close"]),
    "sized, 1.0": (SIZED, 0, True, [b"connection: keep-alive"]),
    "sized, 1.0, closing": (SIZED, 0, False, [b"connection: close"]),
    "chunked, 1.1": (CHUNKED, 1, True, [b"transfer-encoding: chunked"]),
    "chunked, 1.0": (CHUNKED, 0, False, [b"connection: close"]),
    "until close, 1.1": (ENDLESS, 1, True, [b"transfer-encoding: chunked"]),
    "until close, 1.0": (ENDLESS, 0, False, [b"connection: close"]),
}


@pytest.mark.parametrize(
    ("data", "minor", "keep_alive", "added"), RESPONSES.values(), ids=RESPONSES
)
def test_response_is_framed_for_its_client(
    data: bytes, minor: int, keep_alive: bool, added: list[bytes]
) -> None:
    """The backend's Connection does not leak; what has no length becomes chunked."""
    head = response(data)
    sent = response_head(head, minor=minor, keep_alive=keep_alive, via=b"lb", date=now)
    event = as_client(sent)
    assert (event.status_code, event.reason) == (head.status, head.reason)
    lines = [name + b": " + value for name, value in event.headers]
    framing = [
        line for line in lines if line.startswith((b"connection", b"transfer-encoding"))
    ]
    assert framing == added
    assert b"via: 1.%d lb" % head.minor in lines
    kept = [pair for pair in event.headers.raw_items() if pair in head.pairs()]
    assert kept == head.pairs()
    assert b"date: " + now() in lines


@pytest.mark.parametrize("name", [b"Date", b"date", b"DATE"])
def test_a_response_keeps_the_date_it_has(name: bytes) -> None:
    head = response(b"HTTP/1.1 204 OK\r\n" + name + b": then\r\n\r\n")
    sent = response_head(head, minor=1, keep_alive=True, via=b"lb", date=now)
    assert sent.lower().count(b"\r\ndate: ") == 1
    assert b"then" in sent


UPGRADES = {
    "it switches": (101, True, [b"Connection: Upgrade", b"Upgrade: websocket"]),
    "it asks for it": (426, True, [b"Connection: Upgrade", b"Upgrade: websocket"]),
    "and closes": (426, False, [b"Connection: close, Upgrade", b"Upgrade: websocket"]),
    "it offers it": (200, True, []),
}


@pytest.mark.parametrize(
    ("status", "keep_alive", "lines"), UPGRADES.values(), ids=UPGRADES
)
def test_upgrade_reaches_the_client_where_it_means_something(
    status: int, keep_alive: bool, lines: list[bytes]
) -> None:
    data = b"HTTP/1.1 %d X\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
    head = response(data % status)
    sent = response_head(head, minor=1, keep_alive=keep_alive, via=b"lb", date=now)
    found = [x for x in sent.split(b"\r\n") if x.startswith((b"Conn", b"Upgr"))]
    assert found == lines


NODES = {
    "192.0.2.1": b'for=192.0.2.1;proto=http;host="a:81"',
    "2001:db8::1": b'for="[2001:db8::1]";proto=http;host="a:81"',
    "unix:": b'for=unknown;proto=http;host="a:81"',
}


@pytest.mark.parametrize(("ip", "value"), NODES.items())
def test_forwarded_is_well_formed_for_every_kind_of_client(
    ip: str, value: bytes
) -> None:
    """RFC 7239 section 6: IPv6 in brackets and quotes; what has no number, unknown."""
    peer = Peer(ip, via=b"lb", ids=request_ids(b"id-"))
    fields = sent_for(b"GET / HTTP/1.1\r\nHost: a:81\r\n\r\n", peer)
    assert fields[b"forwarded"] == value


def test_each_request_gets_an_id_of_its_own_unless_it_brings_a_sane_one() -> None:
    peer = Peer("10.0.0.1", via=b"lb", ids=request_ids(b"id-"))
    data = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n"
    ids = [sent_for(data % b"", peer)[b"x-request-id"] for _ in range(2)]
    assert ids == [b"id-0000000001", b"id-0000000002"]
    brought = sent_for(data % b"x-request-ID: a-1/b=\r\n", peer)
    assert brought[b"x-request-id"] == b"a-1/b="
    for bad in (b'a"', b"a b", b"\xff", b"x" * 129, b""):
        made = sent_for(data % (b"X-Request-Id: %b\r\n" % bad), peer)[b"x-request-id"]
        assert made.startswith(b"id-")


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
@pytest.mark.parametrize("status", [204, 304])
def test_response_without_body_is_not_framed(method: bytes, status: int) -> None:
    head = response(b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
    sent = response_head(head, minor=1, keep_alive=True, via=b"lb", date=now)
    names = [name for name, _ in as_client(sent, method.decode()).headers]
    assert names == [b"date", b"via"]


@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_response_is_a_message_of_its_own(status: int) -> None:
    data = b"HTTP/1.1 %d Wait\r\nLink: </a>\r\nConnection: x\r\nx: 1\r\n\r\n" % status
    sent = interim_head(response(data))
    event = as_client(sent + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(event, h11.InformationalResponse)
    assert (event.status_code, list(event.headers)) == (status, [(b"link", b"</a>")])
