"""The request fields that are not simply passed on: one rule each, in a table.

A rule notes in the head what the field says and returns the line to send in its
place (with its CRLF before it), or nothing. Every other field is kept as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.errors import RequestError
from lb.http1.grammar import CHUNKED, HOP_BY_HOP, TOKEN, list_members, parse_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.request_head import RequestHead

MAX_ID: Final = 128
"""Bytes of an X-Request-Id that is kept."""

_SANE: Final = TOKEN | frozenset(b"/=:@")
"""What an X-Request-Id may hold: nothing that could confuse whoever logs it."""


def _connection(head: RequestHead, value: bytes) -> bytes:
    if value == b"keep-alive":  # what browsers say: 0.1 us instead of 1.2
        head.keep_alive = not head.closes
        return b""
    options = list_members(value)
    if b"close" in options:
        head.keep_alive, head.closes = False, True
    elif b"keep-alive" in options:
        head.keep_alive = not head.closes  # close wins, RFC 9112 section 9.3
    head.wants_upgrade = head.wants_upgrade or b"upgrade" in options
    head.nominated += [o for o in options if o not in _NOT_NOMINATED]
    return b""


def _content_length(head: RequestHead, value: bytes) -> bytes:
    head.length = parse_length(value)
    # Leading zeros are legal digits, but some parsers take them for octal.
    if head.length < 0 or (value.startswith(b"0") and value != b"0"):
        raise RequestError("Content-Length is not a plain number")
    return b"\r\nContent-Length: " + value


def _transfer_encoding(head: RequestHead, value: bytes) -> bytes:
    # RFC 9112 section 6.1 suggests 501 for a coding unknown to us; 400 for all says
    # the same to a person and gives an attacker nothing to tell parsers apart by.
    if value.lower() != b"chunked" or head.length == CHUNKED:
        raise RequestError("Transfer-Encoding is not chunked")
    head.length = CHUNKED
    return b"\r\nTransfer-Encoding: chunked"


def _expect(head: RequestHead, value: bytes) -> bytes:
    if value.lower() != b"100-continue":
        raise RequestError("only 100-continue can be expected", status=417)
    if head.minor == 0:
        return b""
    head.expects_continue = True
    return b"\r\nExpect: 100-continue"


def _upgrade(head: RequestHead, value: bytes) -> bytes:
    head.upgrade = b"%b, %b" % (head.upgrade, value) if head.upgrade else value
    return b""


def settle_upgrade(head: RequestHead) -> None:
    """Pass on a wish for another protocol, or forget it (RFC 9110 section 7.8).

    It counts only beside `Connection: upgrade` in HTTP/1.1 and, here, without a
    body. `h2c` is never passed on: the tunnel would carry requests that nobody on
    the way sees.
    """
    wishes = [t for t in head.upgrade.split(b",") if t.strip().lower() != b"h2c"]
    asked = b",".join(wishes).strip()
    head.upgrade = b""
    if asked and head.wants_upgrade and head.minor >= 1 and head.length == 0:
        head.upgrade = asked
        head.fields += b"\r\nConnection: Upgrade\r\nUpgrade: " + asked


def _max_forwards(head: RequestHead, value: bytes) -> bytes:
    """Count down where the method asks for it (RFC 9110 section 7.6.2)."""
    if head.method != b"OPTIONS":
        return b"\r\nMax-Forwards: " + value
    head.max_forwards = parse_length(value)
    if head.max_forwards < 0:
        raise RequestError("Max-Forwards is not a number")
    return b"\r\nMax-Forwards: %d" % max(0, head.max_forwards - 1)


def _request_id(head: RequestHead, value: bytes) -> bytes:
    """Keep a sane one in its place; another is replaced by one of ours."""
    if head.request_id or not 0 < len(value) <= MAX_ID or not _SANE.issuperset(value):
        return b""
    head.request_id = value
    head.is_unusual = True
    return b"\r\nX-Request-Id: " + value


def _forwarded_for(head: RequestHead, value: bytes) -> bytes:
    if value:
        head.forwarded_for += value + b", "
        head.is_unusual = True
    return b""


def _forwarded_proto(head: RequestHead, value: bytes) -> bytes:
    head.forwarded_proto = value
    head.is_unusual = True
    return b""


def _forwarded_host(head: RequestHead, value: bytes) -> bytes:
    head.forwarded_host = value
    head.is_unusual = True
    return b""


def _forwarded(head: RequestHead, value: bytes) -> bytes:
    if value:
        head.forwarded += value + b", "
        head.is_unusual = True
    return b""


def _explain(head: RequestHead, value: bytes) -> bytes:
    head.wants_explanation = value == b"1"
    return b""


def _traceparent(head: RequestHead, value: bytes) -> bytes:
    # Two of them are none (W3C Trace Context section 3.2): this makes no valid one.
    before = head.traceparent
    head.traceparent = b"%b,%b" % (before, value) if before else value
    return b""


def _tracestate(head: RequestHead, value: bytes) -> bytes:
    before = head.tracestate
    head.tracestate = b"%b,%b" % (before, value) if before else value
    return b""


FORWARDED: Final = frozenset(
    (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded")
)

TRUSTED_ONLY: Final = FORWARDED | {b"lb-explain"}
"""Fields that are dropped unless a trusted proxy sent them."""

TRACE: Final = frozenset((b"traceparent", b"tracestate"))
"""Fields that are simply passed on, unless the balancer takes part in traces."""

_NOT_NOMINATED: Final = HOP_BY_HOP | FORWARDED | {b"close", b"host", b"content-length"}
"""Connection options that name no field to remove, or one that must stay.

What a trusted proxy says of the client is not for that client to take away.
"""

SPECIAL_FIELDS: Final[dict[bytes, Callable[[RequestHead, bytes], bytes]]] = {
    b"connection": _connection,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"expect": _expect,
    b"upgrade": _upgrade,
    b"max-forwards": _max_forwards,
    b"x-request-id": _request_id,
    b"x-forwarded-for": _forwarded_for,
    b"x-forwarded-proto": _forwarded_proto,
    b"x-forwarded-host": _forwarded_host,
    b"forwarded": _forwarded,
    b"lb-explain": _explain,
    b"traceparent": _traceparent,
    b"tracestate": _tracestate,
}
"""Field name in lower case to its rule: notes in the head, returns the line to send."""
