"""What a proxy adds: the head a backend is sent, and the one a client gets.

`X-Forwarded-For`, `-Proto` and `-Host` tell a backend what the connection cannot;
`Via` tells who passed the message on (RFC 9110 section 7.6.3). Connection
management is the balancer's own on each side and never copied across.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.http1.grammar import CHUNKED, UNTIL_CLOSE

if TYPE_CHECKING:
    from lb.http1.request import RequestHead
    from lb.http1.response import ResponseHead


class Peer:
    """One client connection as the forwarding fields describe it.

    `ip` is the client's address as text, `proto` the scheme it used, `via` the
    balancer's pseudonym.
    """

    __slots__ = ("_lines", "ip", "proto", "via")

    def __init__(self, ip: str, *, proto: bytes = b"http", via: bytes) -> None:
        self.ip = ip.encode("latin-1")
        self.proto = proto
        self.via = via
        # Joined once per connection: 0.2 us less on each of its requests.
        self._lines = tuple(
            b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nVia: 1.%d %b"
            % (self.ip, proto, minor, via)
            for minor in (0, 1)
        )

    def request_head(self, head: RequestHead) -> bytes:
        """The whole head to send upstream for `head`, with its empty line."""
        method, target, fields = head.method, head.target, head.fields
        if head.is_unusual:
            end = self._unusual_end(head)
            return b"%b %b HTTP/1.1%b%b\r\n\r\n" % (method, target, fields, end)
        return b"%b %b HTTP/1.1%b%b\r\nX-Forwarded-Host: %b\r\n\r\n" % (
            method,
            target,
            fields,
            self._lines[head.minor > 0],
            head.host,
        )

    def _unusual_end(self, head: RequestHead) -> bytes:
        """The same lines where a trusted proxy wrote some of them, or without Host."""
        end = b"\r\nX-Forwarded-For: %b%b\r\nX-Forwarded-Proto: %b\r\nVia: 1.%d %b" % (
            head.forwarded_for,
            self.ip,
            head.forwarded_proto or self.proto,
            head.minor,
            self.via,
        )
        if host := head.forwarded_host or head.host:
            end += b"\r\nX-Forwarded-Host: " + host
        return end


CLOSE: Final = b"\r\nConnection: close"
KEEP: Final = b"\r\nConnection: keep-alive"


def response_head(
    head: ResponseHead, *, minor: int, keep_alive: bool, via: bytes
) -> bytes:
    """The whole head to send to a client of HTTP/1.`minor`, with its empty line.

    `keep_alive` must already be False where the body can only end by a close.
    """
    connection = CLOSE if not keep_alive else b"" if minor >= 1 else KEEP
    if minor >= 1 and head.length in (CHUNKED, UNTIL_CLOSE):
        connection += b"\r\nTransfer-Encoding: chunked"
    return b"HTTP/1.1 %d %b%b\r\nVia: 1.%d %b%b\r\n\r\n" % (
        head.status,
        head.reason,
        b"".join(head.lines),
        head.minor,
        via,
        connection,
    )


def interim_head(head: ResponseHead) -> bytes:
    """An interim response (1xx) as one message for the client (RFC 9110 15.2)."""
    fields = b"".join(head.lines)
    return b"HTTP/1.1 %d %b%b\r\n\r\n" % (head.status, head.reason, fields)
