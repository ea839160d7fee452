"""Asks a backend: a request goes out with its body, and a final head comes back.

The body is sent as the client sends it; a backend that answers before it has all of
it is heard at once. Interim responses are passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import (
    EarlyAnswerError,
    ResponseError,
    ResponseTimeoutError,
    TerminatedError,
)
from lb.http1.body import chunk, last_chunk
from lb.http1.grammar import CHUNKED
from lb.http1.response import ResponseHead
from lb.streams.splice import Pipe
from lb.streams.stream import NEVER

if TYPE_CHECKING:
    from lb.proxy.exchange import Request
    from lb.proxy.upload import Upload
    from lb.upstream.connection import Connection

CONTINUE_S: Final = 1.0
"""How long a backend may keep a client with `Expect: 100-continue` waiting.

Many servers never answer 100; after this the body is asked for anyway, as curl does.
"""


_CONTINUE_HEAD: Final = ResponseHead(100, b"Continue", 1, 0)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Relative seconds; see the settings of the same names.

    `request_s` is for a request with all its attempts, counted from its whole head;
    `inf` for no such bound.
    """

    connect_s: float
    response_s: float
    idle_s: float
    request_s: float = inf

    def left_s(self, request: Request, now: float) -> float:
        """What is left of a request's time; may be negative."""
        return request.began + self.request_s - now

    def response_by(self, request: Request) -> float:
        """Until when to wait for the head of a response, if that begins now."""
        now = monotonic()
        return now + min(self.response_s, self.left_s(request, now))


def _framed(piece: bytes | Pipe, upload: Upload) -> bytes | Pipe:
    """A piece of an upload as it is sent; the empty one behind the others ends it."""
    if upload.length != CHUNKED or isinstance(piece, Pipe):
        return piece
    return chunk(piece) if piece else last_chunk(upload.trailers)


class Asker:
    """Sends requests and waits for their answers, within its timeouts."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts

    def ask(self, request: Request, connection: Connection) -> ResponseHead:
        """Send the request and wait for its final response head."""
        connection.stream.deadline = self._timeouts.response_by(request)
        connection.send(request.wire)
        if request.upload is not None:
            head = self._upload(request, request.upload, connection)
            if head is not None:
                request.upload_cut = True
                connection.is_reusable = False
                return head
            connection.stream.deadline = self._timeouts.response_by(request)
        return self.final_head(request, connection)

    def final_head(self, request: Request, connection: Connection) -> ResponseHead:
        """The next head that is not an interim one, which are passed on."""
        while True:
            head = connection.read_head(request.head.method)
            if head.status >= 200 or head.status == 101:
                return head
            self._interim(request, head)

    def _interim(self, request: Request, head: ResponseHead) -> None:
        if head.status == 101:  # amid an upload, which goes with no Upgrade
            raise ResponseError("it switched protocols without being asked")
        if request.on_interim is not None:
            request.on_interim(head)

    def _upload(
        self, request: Request, upload: Upload, connection: Connection
    ) -> ResponseHead | None:
        """Send the body as it comes; a final head that arrives first cuts it short."""
        if request.head.expects_continue:
            head = self._await_continue(request, connection)
            if head is not None:
                return head
        upload.rewind()
        connection.on_early_answer = upload.wake
        try:
            return self._pump(request, upload, connection)
        except TerminatedError:
            # It stopped reading; what it said before that is the better answer.
            connection.stream.deadline = monotonic() + CONTINUE_S
            return self.final_head(request, connection)
        finally:
            connection.on_early_answer = None

    def _pump(
        self, request: Request, upload: Upload, connection: Connection
    ) -> ResponseHead | None:
        stream = connection.stream
        unsent: bytes | memoryview | Pipe = b""
        is_over = False
        while True:
            if not connection.is_quiet():
                stream.deadline = monotonic() + self._timeouts.idle_s
                head = connection.read_head(request.head.method)
                if head.status >= 200:
                    return head
                self._interim(request, head)
                continue
            try:
                if not unsent:
                    if is_over:
                        return None
                    # The client has its own deadline; ours would wake its read.
                    stream.deadline = NEVER
                    piece = upload.take()
                    is_over = not piece
                    unsent = _framed(piece, upload)
                stream.deadline = monotonic() + self._timeouts.idle_s
                connection.send(unsent)
                unsent = b""
            except EarlyAnswerError as early:
                unsent = early.unsent

    def _await_continue(
        self, request: Request, connection: Connection
    ) -> ResponseHead | None:
        """Let the backend decide about `Expect: 100-continue` (RFC 9110 10.1.1)."""
        stream = connection.stream
        deadline, stream.deadline = stream.deadline, monotonic() + CONTINUE_S
        status = 0
        while status != 100:
            try:
                head = connection.read_head(request.head.method)
            except ResponseTimeoutError:
                head = _CONTINUE_HEAD
            status = head.status
            if status >= 200:
                break
            self._interim(request, head)
        stream.deadline = deadline
        return head if status >= 200 else None
