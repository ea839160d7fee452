"""A request head as it was understood: what it asks, and what is passed on of it."""

from __future__ import annotations


class RequestHead:
    """What one request asks, and its fields as a backend will get them.

    `fields` is every line that is passed on, each with its CRLF *before* it;
    `length` is the body's length in bytes or `CHUNKED`; `size` the head's own.
    """

    __slots__ = (
        "closes",
        "expects_continue",
        "fields",
        "forwarded",
        "forwarded_for",
        "forwarded_host",
        "forwarded_proto",
        "host",
        "is_known",
        "is_unusual",
        "keep_alive",
        "length",
        "max_forwards",
        "method",
        "minor",
        "nominated",
        "request_id",
        "size",
        "target",
        "traceparent",
        "tracestate",
        "upgrade",
        "wants_explanation",
        "wants_upgrade",
        "wire",
        "wire_peer",
    )

    def __init__(self, method: bytes, target: bytes, minor: int, size: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.size = size
        self.fields = b""
        self.host: bytes = b""
        self.length = 0
        self.keep_alive = minor >= 1
        self.closes = False
        self.expects_continue = False
        self.upgrade = b""
        self.wants_upgrade = False
        self.wants_explanation = False
        self.request_id = b""
        self.max_forwards = -1
        self.nominated: list[bytes] = []
        self.is_unusual = False
        """Whether the forwarding fields must be made for this request alone."""
        self.forwarded = b""
        self.forwarded_for = b""
        self.forwarded_proto = b""
        self.forwarded_host = b""
        self.traceparent = b""
        self.tracestate = b""
        """What the client says of its trace, where the balancer takes part in it."""
        self.is_known = False
        """Whether it may come again and is worth to be remembered with more."""
        self.wire = b""
        self.wire_peer: object = None
        """For whom `wire` is the head as a backend gets it, up to the request's id."""

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r} {self.length}>"
