"""One connection to one backend: requests out, response heads and bodies in.

It translates the stream's errors into attempt errors, because only here it is
known how far the request had got. It never decides what to do about them.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from lb.errors import (
    EarlyAnswerError,
    ResponseError,
    ResponseTimeoutError,
    Sent,
    StreamClosedError,
    StreamTimeoutError,
    TerminatedError,
)
from lb.http1.body import Framing, FramingError, Sized, framing_for
from lb.http1.grammar import UNTIL_CLOSE
from lb.streams.splice import WORTH_BYTES, Pipe
from lb.streams.stream import ENDED_LONG_AGO

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from lb.http1.response import ResponseHead, ResponseParser
    from lb.streams.stream import Stream
    from lb.upstream.backend import LiveBackend


class Connection:
    """A connection, carrying one request at a time.

    `is_reusable` turns False as soon as anything makes it unsafe to carry another:
    a half-sent request, a broken answer, bytes that nobody asked for.
    """

    __slots__ = (
        "_buffer",
        "_parser",
        "backend",
        "born",
        "client",
        "expires",
        "idle_since",
        "is_cut",
        "is_idle",
        "is_reusable",
        "on_answer",
        "on_early_answer",
        "requests",
        "stream",
        "taken_at",
    )

    def __init__(
        self, backend: LiveBackend, stream: Stream, parser: ResponseParser
    ) -> None:
        self.backend = backend
        self.stream = stream
        self.born = monotonic()
        self.requests = 0
        self.is_idle = False
        self.is_cut = False
        self.expires = inf
        """When, on the monotonic clock, an idle one is too old to be used again."""
        self.idle_since = 0.0
        """Since when an idle one is so, on the monotonic clock."""
        self.taken_at = 0.0
        """When it was taken for its request, if it was idle before."""
        self.is_reusable = True
        self._parser = parser
        self._buffer = b""
        self.client: Stream | None = None
        """Whom an answer is being passed on to, while it is."""
        self.on_early_answer: Callable[[], None] | None = None
        """Called when the backend speaks (or closes) while nobody reads it."""
        self.on_answer: Callable[[], None] | None = None
        """Called when there is something for `whole_answer` to look at."""
        stream.on_event = self._on_event

    def __repr__(self) -> str:
        state = "idle" if self.is_idle else "busy"
        return f"<Connection {self.backend.name} {state} requests={self.requests}>"

    def _on_event(self) -> None:
        """Bytes or a close came that no greenlet waits for.

        They are an answer, or make an idle connection stale, or end an upload.
        """
        if self.on_answer is not None:
            self.on_answer()
            return
        if self.is_idle:
            self.backend.discard(self)
            return
        # Whoever sends the upload waits for one of two streams: wake it there, once.
        wake_upload = self.on_early_answer
        if wake_upload is not None and not self.stream.wake_writer(EarlyAnswerError()):
            wake_upload()

    def is_quiet(self) -> bool:
        """Whether the backend has said nothing that was not read yet."""
        return not self._buffer and self.stream.is_quiet()

    def send(self, data: bytes | memoryview | Pipe) -> None:
        """Send part of a request.

        Raises:
            TerminatedError, ResponseTimeoutError: it could not be sent whole.
            EarlyAnswerError: while `on_early_answer` is set, the backend spoke.
        """
        try:
            if isinstance(data, Pipe):
                self.stream.pass_on(data)
            else:
                self.stream.write(data)
        except StreamClosedError as error:
            raise self._terminated(f"while it was sent the request: {error}") from error
        except StreamTimeoutError as error:
            raise ResponseTimeoutError("the backend does not take the request") from (
                error
            )

    def read_head(self, method: bytes) -> ResponseHead:
        """The next response head, which may be an interim one (1xx).

        Raises:
            TerminatedError: closed before a whole head came.
            ResponseTimeoutError: none came before the stream's deadline.
            ResponseError: what came is not HTTP.
        """
        data = self._buffer
        while True:
            if data:
                head = self._parser.parse(data, method)
                if head is not None:
                    self._buffer = data[head.size :] if len(data) > head.size else b""
                    return head
            try:
                more = self.stream.read()
            except StreamClosedError as error:
                raise self._terminated(f"before its answer: {error}", data) from error
            except StreamTimeoutError as error:
                self._buffer = data  # whoever waits on must not begin amid a head
                raise ResponseTimeoutError("no response head in time") from error
            if not more:
                raise self._terminated("before its answer", data)
            data = data + more if data else more

    def _terminated(self, when: str, received: bytes = b"") -> TerminatedError:
        """The error for a close; a reused connection may just have been stale."""
        stale = self.requests > 1 and not received
        if stale:
            self.backend.lost_in_use(self)
        return TerminatedError(
            f"the backend closed {when}", sent=Sent.MAYBE if stale else Sent.YES
        )

    def await_answer(self, on_answer: Callable[[], None]) -> None:
        """Have `on_answer` called, in the hub, when `whole_answer` can look."""
        self.on_answer = on_answer
        self.stream.watch()

    def whole_answer(
        self, method: bytes, except_for: Container[int] = ()
    ) -> tuple[ResponseHead, bytes] | None:
        """The final response and its body, if just that is here, without waiting.

        None for everything else, and for the statuses `except_for`: then nothing is
        lost, and `read_head` goes on.
        """
        stream = self.stream
        self.on_answer = None
        stream.stays_armed = False
        data = stream.read_nowait()
        if not data:
            return None
        try:
            head = self._parser.parse(data, method)
        except ResponseError:
            head = None
        if (
            head is None
            or head.length != len(data) - head.size
            or head.status < 200
            or head.status in except_for
            or (head.length == 0 and (head.declared_length > 0 or head.is_chunked))
        ):
            self._buffer = data
            return None
        if head.keep_alive_s >= 0:
            self.backend.idle_limit.said(head.keep_alive_s)
        if not head.keep_alive:
            self.is_reusable = False
        return head, data[head.size :]

    def take_body(self, head: ResponseHead) -> Body:
        """The body behind `head`, with what of it has already arrived."""
        data, self._buffer = self._buffer, b""
        return Body(self, framing_for(head.length, head.nominated), data, head)

    def take_tunnel(self, head: ResponseHead) -> Body:
        """All bytes behind a 101, until the backend closes."""
        self.is_reusable = False
        data, self._buffer = self._buffer, b""
        return Body(self, framing_for(UNTIL_CLOSE), data, head)

    def close(self) -> None:
        """Close at once."""
        self.is_reusable = False
        self.stream.close()
        self.backend.forget(self)

    def cut(self, why: str) -> None:
        """End what is under way here, as if the backend had broken off.

        Whoever waits for the backend hears of it now; whoever is stuck in passing its
        answer on to a client that takes none, at the next look at the deadlines.
        """
        self.is_cut = True
        self.is_reusable = False
        # Not as stale, which a fresh connection to the same backend would heal.
        self.requests = 1
        self.stream.cut(StreamClosedError(why))
        if self.client is not None:
            self.client.deadline = ENDED_LONG_AGO


T = TypeVar("T")


def _received(receive: Callable[[], T]) -> T:
    """What `receive` gives; a stream's failure amid a body is the backend's."""
    try:
        return receive()
    except StreamClosedError as error:
        raise TerminatedError(f"amid the body: {error}") from error
    except StreamTimeoutError as error:
        raise ResponseTimeoutError("the body stalled") from error


class Body:
    """A response body on its way: `first` is here, `read` brings the rest.

    `is_done` once all of it was read; then `Connection.is_reusable` tells whether
    its end was clean.
    """

    __slots__ = ("_connection", "_framing", "first", "is_done")

    def __init__(
        self, connection: Connection, framing: Framing, data: bytes, head: ResponseHead
    ) -> None:
        self._connection = connection
        self._framing = framing
        if head.keep_alive_s >= 0:
            connection.backend.idle_limit.said(head.keep_alive_s)
        if not head.keep_alive or head.length == UNTIL_CLOSE:
            connection.is_reusable = False
        self.is_done = framing.is_done
        if framing.is_done and (head.declared_length > 0 or head.is_chunked):
            # HEAD or 304: a backend that sends the body all the same, and late, would
            # have it taken for the answer to another client's request.
            connection.is_reusable = False
        if framing.is_done:
            self.first = b""
            self._check_rest(data)
        else:
            self.first = self._feed(data) if data else b""

    @property
    def trailers(self) -> list[bytes]:
        """Trailer lines that came behind a chunked body."""
        return getattr(self._framing, "trailers", [])

    def read(self) -> bytes:
        """More bytes of the body; empty only at its end.

        Raises:
            TerminatedError, ResponseError, ResponseTimeoutError: it is cut short.
        """
        stream = self._connection.stream
        while not self.is_done:
            if piece := self._feed(_received(stream.read)):
                return piece
        return b""

    def take(self) -> bytes | Pipe:
        """As `read`, but of a long body of known length a `Pipe` where that goes."""
        framing, stream = self._framing, self._connection.stream
        if not isinstance(framing, Sized) or framing.left < WORTH_BYTES:
            return self.read()
        piece = _received(lambda: stream.take(framing.left))
        if isinstance(piece, bytes):
            return self._feed(piece)
        framing.skip(len(piece))
        if framing.is_done:
            self.is_done = True
            if stream.has_input():  # what is behind it is unread, but there
                self._connection.is_reusable = False
        return piece

    def _feed(self, data: bytes) -> bytes:
        framing = self._framing
        try:
            if data:
                piece = framing.feed(data)
            else:
                piece = b""
                framing.ended()
        except FramingError as error:
            self._connection.is_reusable = False
            raise (ResponseError if data else TerminatedError)(str(error)) from error
        if framing.is_done:
            self.is_done = True
            self._check_rest(framing.rest)
        return piece

    def _check_rest(self, rest: bytes) -> None:
        """Bytes behind the end were not asked for: never read them as an answer."""
        if rest:
            self._connection.is_reusable = False
