"""Trace context on the way: whose child a request is, and what its backend is told.

By W3C Trace Context, https://www.w3.org/TR/trace-context/. Where tracing is off, none
of this is used and both fields pass as they came. Where it is on, the balancer is a
span of its own: `traceparent` goes on with the balancer's span as the parent, in the
same trace and with the same decision whether it is recorded. A request that brings none
(or none that is valid) begins a trace, and chance decides. Of a trace that its beginner
does not record nothing is changed: a span that nobody keeps must be nobody's parent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from lb.http1.forward import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.http1.request_head import RequestHead

FIELD: Final = b"\r\ntraceparent: "
_FIELD_END: Final = len(FIELD) + 55
"""A line of version 00 is as long as that."""

_LOW_BITS: Final = (1 << 64) - 1
_is_context: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
    rb"(?:-.*)?"
).fullmatch


class Context(NamedTuple):
    """What a `traceparent` says: ids and flags in lower-case hex."""

    trace: bytes
    span: bytes
    flags: bytes

    @property
    def is_recorded(self) -> bool:
        """Whether who sent it records the trace: the last bit of the flags."""
        return bool(int(self.flags, 16) & 1)


def context_in(value: bytes) -> Context | None:
    """What a `traceparent` says, or None where it is not valid (sections 3.2 and 4).

    A version later than 00 may say more behind it.
    """
    found = _is_context(value)
    if found is None or (value.startswith(b"00") and len(value) != 55):
        return None
    return Context(*found.groups())


class Beginner:
    """Begins traces and spans: `bits` gives so many random bits.

    `ratio` of the traces, from 0 to 1, are recorded: those of low ids, as the sampler
    TraceIdRatioBased of OpenTelemetry has it, so that all who see an id decide alike.
    """

    def __init__(self, ratio: float, *, bits: Callable[[int], int]) -> None:
        self._bits = bits
        self._bound = round(ratio * (1 << 64))

    def span(self) -> bytes:
        """A new span's id in hex."""
        return b"%016x" % (self._bits(64) or 1)

    def trace(self) -> Context:
        """A new trace, with the balancer's own span in it."""
        number = self._bits(128) or 1
        is_recorded = number & _LOW_BITS < self._bound
        return Context(b"%032x" % number, self.span(), b"01" if is_recorded else b"00")


class TracedPeer(Peer):
    """A client whose requests are traced; each head costs 1.5 us more."""

    __slots__ = ("_beginner",)

    def __init__(
        self,
        ip: str,
        *,
        via: bytes,
        ids: Iterator[bytes],
        proto: bytes = b"http",
        beginner: Beginner,
    ) -> None:
        super().__init__(ip, via=via, ids=ids, proto=proto)
        self._beginner = beginner

    def request_head(self, head: RequestHead) -> tuple[bytes, bytes]:
        """See `Peer`; its last line is the `traceparent`."""
        wire, request_id = super().request_head(head)
        received = head.traceparent
        parent = context_in(received) if received else None
        state = head.tracestate if parent is not None else b""
        if parent is None:
            line = b"00-%b-%b-%b" % self._beginner.trace()
        elif parent.is_recorded:
            trace, _, flags = parent
            line = b"00-%b-%b-%b" % (trace, self._beginner.span(), flags)
        else:
            line = received
        if state:
            state = b"\r\ntracestate: " + state
        return b"%b%b%b%b\r\n\r\n" % (wire[:-4], state, FIELD, line), request_id


def ids_in(wire: bytes, end: int) -> bytes:
    """The trace and span of a head that `TracedPeer` wrote, as `trace-span` in hex.

    `end` is where its empty line begins. Nothing where it is not recorded, or another
    wrote the head. 0.2 us.
    """
    line = wire[max(0, end - _FIELD_END) : end]
    if not line.startswith(FIELD) or line[-1:] not in b"13579bdf":
        return b""
    return line[-52:-3]
