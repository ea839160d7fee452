"""Answers that the balancer makes itself, as a client (h11) reads them."""

from __future__ import annotations

import h11
import pytest

from lb import errors
from lb.http1.replies import RETRY_AFTER_S, reply, reply_bytes

REQUEST_STATUSES = (400, 405, 408, 413, 414, 417, 431, 501, 505)
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
ATTEMPTS = (
    errors.ConnectRefusedError,
    errors.ConnectTimeoutError,
    errors.TerminatedError,
    errors.ResponseTimeoutError,
    errors.ResponseError,
    errors.ResponseTooLargeError,
)
SECRET = "10.9.8.7:9001 said something"
ERRORS: list[errors.HttpError] = [
    *(errors.RequestError(SECRET, status=status) for status in REQUEST_STATUSES),
    *(kind(SECRET) for kind in ATTEMPTS),
    errors.UnavailableError(SECRET),
]


def read(data: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head = connection.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
    return head.status_code, dict(head.headers), body


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e.status} {e.label}")
@pytest.mark.parametrize("keep_alive", [True, False])
def test_error_is_one_whole_message(error: errors.HttpError, keep_alive: bool) -> None:
    data = reply_bytes(error, via="lb", date=DATE, keep_alive=keep_alive)
    status, fields, body = read(data)
    assert status == error.status
    assert fields[b"connection"] == (b"keep-alive" if keep_alive else b"close")
    assert fields[b"proxy-status"] == b"lb; error=%b" % error.label.encode()
    assert fields[b"cache-control"] == b"no-store"
    assert fields[b"date"] == DATE, "RFC 9110 section 6.6.1"
    assert fields[b"content-type"] == b"text/plain; charset=utf-8"
    assert body.startswith(b"%d " % status)
    assert body.endswith(b".\n"), "a sentence for people"


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e.status} {e.label}")
def test_error_tells_a_client_nothing_of_backends(error: errors.HttpError) -> None:
    assert b"10.9.8.7" not in reply_bytes(error, via="lb", date=DATE, keep_alive=True)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e.status} {e.label}")
def test_error_to_head_has_the_length_but_no_body(error: errors.HttpError) -> None:
    data = reply_bytes(error, via="lb", date=DATE, keep_alive=True, has_body=False)
    _, fields, body = read(data, "HEAD")
    assert body == b""
    assert int(fields[b"content-length"]) == len(reply(error, via="lb")[2])


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e.status} {e.label}")
def test_only_503_says_when_to_come_back(error: errors.HttpError) -> None:
    _, fields, _ = read(reply_bytes(error, via="lb", date=DATE, keep_alive=True))
    expected = str(RETRY_AFTER_S).encode() if error.status == 503 else None
    assert fields.get(b"retry-after") == expected


def test_405_says_what_is_allowed() -> None:
    """RFC 9110 section 15.5.6 demands the field."""
    error = errors.RequestError(status=405)
    _, fields, _ = read(reply_bytes(error, via="lb", date=DATE, keep_alive=False))
    allowed = fields[b"allow"].split(b", ")
    assert b"GET" in allowed
    assert not {b"CONNECT", b"TRACE"} & set(allowed)
