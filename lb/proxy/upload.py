"""A request body on its way to a backend: streamed, bounded, and kept if small.

The first `keep_bytes` are remembered while they pass, so that a body of that size
can be sent again to another backend without ever having waited for its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from lb.errors import (
    ClientGoneError,
    EarlyAnswerError,
    RequestError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.http1.body import Chunked, FramingError, Sized, framing_for
from lb.streams.splice import WORTH_BYTES, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lb.streams.stream import Stream

T = TypeVar("T")


class Source(Protocol):
    """Where a request body comes from: a client's stream, or a WSGI server."""

    @property
    def is_done(self) -> bool:
        """Whether all of the body was read."""

    @property
    def rest(self) -> bytes:
        """What was read behind its end: the start of the next request."""

    @property
    def trailers(self) -> list[bytes]:
        """The trailer lines that came behind it."""

    def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            RequestError: it is malformed or too slow.
            ClientGoneError: the client left.
            EarlyAnswerError: `wake` was called while this waited.
        """

    def take(self) -> bytes | Pipe:
        """As `read`, but of a long body of known length a `Pipe` where that goes."""

    def wake(self) -> None:
        """Make a waiting `read` raise `EarlyAnswerError`, if this kind can."""


class Upload:
    """A body of `length` bytes (or `CHUNKED`), refused beyond `limit_bytes` (0: none).

    Raises:
        RequestError: 413, from here or from `read`, as soon as it is known.
    """

    __slots__ = ("_at", "_keep_bytes", "_kept", "_limit", "_source", "_taken", "length")

    def __init__(
        self, source: Source, *, length: int, keep_bytes: int, limit_bytes: int
    ) -> None:
        check_size(length, limit_bytes)
        self.length = length
        self._source = source
        self._keep_bytes = keep_bytes
        self._limit = limit_bytes
        self._kept: list[bytes] | None = []
        self._at = 0
        self._taken = 0

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be sent a second time: more was taken than is kept."""
        return self._kept is None

    @property
    def taken_bytes(self) -> int:
        """How much of it was read from the client."""
        return self._taken

    @property
    def is_done(self) -> bool:
        """Whether the client's side of it was read to the end."""
        return self._source.is_done

    @property
    def rest(self) -> bytes:
        """See `Source.rest`."""
        return self._source.rest

    @property
    def trailers(self) -> list[bytes]:
        """Trailer lines that may be passed on."""
        return self._source.trailers

    def rewind(self) -> None:
        """Begin again, for another attempt."""
        self._at = 0

    def wake(self) -> None:
        """See `Source.wake`."""
        self._source.wake()

    def read(self) -> bytes:
        """See `Source.read`; first what is kept from an attempt before."""
        kept = self._kept
        if kept is not None and self._at < len(kept):
            self._at += 1
            return kept[self._at - 1]
        piece = self._source.read()
        self._count(piece)
        if kept is not None and piece:
            if self._taken > self._keep_bytes:
                self._kept = None
            else:
                kept.append(piece)
                self._at += 1
        return piece

    def take(self) -> bytes | Pipe:
        """As `read`, but what cannot be sent again anyway may come as a `Pipe`."""
        if self._kept is not None:
            return self.read()
        piece = self._source.take()
        self._count(piece)
        return piece

    def _count(self, piece: bytes | Pipe) -> None:
        self._taken += len(piece)
        check_size(self._taken, self._limit)


def check_size(length: int, limit_bytes: int) -> None:
    """Refuse a body above the limit (0: there is none).

    Raises:
        RequestError: 413.
    """
    if 0 < limit_bytes < length:
        raise RequestError("the body is larger than limits.body_bytes", status=413)


class StreamSource:
    """A body read from a client's own stream, behind its head.

    `data` is what came with the head, `nominated` the names in its Connection field.
    """

    __slots__ = ("_clock", "_data", "_framing", "_idle_s", "_ready", "_stream")

    def __init__(
        self,
        stream: Stream,
        data: bytes,
        *,
        length: int,
        idle_s: float,
        clock: Callable[[], float],
        nominated: Collection[bytes] = (),
    ) -> None:
        self._stream = stream
        self._framing = framing_for(length, nominated)
        self._data = data
        self._ready = b""
        self._idle_s = idle_s
        self._clock = clock

    @property
    def is_done(self) -> bool:
        """See `Source.is_done`."""
        return self._framing.is_done

    @property
    def rest(self) -> bytes:
        """See `Source.rest`."""
        return self._framing.rest

    @property
    def trailers(self) -> list[bytes]:
        """See `Source.trailers`."""
        framing = self._framing
        return framing.trailers if isinstance(framing, Chunked) else []

    def wake(self) -> None:
        """See `Source.wake`."""
        self._stream.wake_reader(EarlyAnswerError())

    def prime(self) -> int:
        """Decode what came with the head; how many bytes of the body that gave.

        So what is wrong with it is refused before a backend has seen anything.

        Raises:
            RequestError: it is malformed.
        """
        try:
            self._ready, self._data = self._framing.feed(self._data), b""
        except FramingError as error:
            raise RequestError(str(error)) from error
        return len(self._ready)

    def read(self) -> bytes:
        """See `Source.read`."""
        if self._ready:
            piece, self._ready = self._ready, b""
            return piece
        framing = self._framing
        data, self._data = self._data, b""
        try:
            while not framing.is_done:
                data = data or self._receive(self._stream.read)
                if piece := framing.feed(data):
                    return piece
                data = b""
        except FramingError as error:
            raise RequestError(str(error)) from error
        return b""

    def take(self) -> bytes | Pipe:
        """See `Source.take`."""
        framing = self._framing
        if not isinstance(framing, Sized) or framing.left < WORTH_BYTES:
            return self.read()
        if self._ready or self._data:
            return self.read()
        piece = self._receive(lambda: self._stream.take(framing.left))
        if isinstance(piece, bytes):
            return framing.feed(piece)
        framing.skip(len(piece))
        return piece

    def _receive(self, receive: Callable[[], T]) -> T:
        """What `receive` gives; a stream's failure amid a body is the client's."""
        self._stream.deadline = self._clock() + self._idle_s
        try:
            data = receive()
        except StreamTimeoutError as error:
            raise RequestError("the body stalled", status=408) from error
        except StreamClosedError as error:
            raise ClientGoneError("amid its request") from error
        if not data:
            raise ClientGoneError("amid its request")
        return data
