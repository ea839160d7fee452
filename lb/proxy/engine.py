"""The engine: one request in, one response out, over as many attempts as it takes.

It is the same for both lanes and knows neither of them: no client socket, no WSGI.
Each attempt is at one backend over one connection; what may be tried again after a
failure is the table in `lb.proxy.retry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import (
    AttemptError,
    ClientGoneError,
    ConnectRefusedError,
    ConnectTimeoutError,
    EarlyAnswerError,
    FinalRecipientError,
    ResponseError,
    ResponseTimeoutError,
    TerminatedError,
    UnavailableError,
)
from lb.http1.body import chunk, last_chunk
from lb.http1.grammar import CHUNKED, IDEMPOTENT
from lb.http1.response import ResponseHead
from lb.proxy.exchange import Response
from lb.proxy.retry import Again, after
from lb.streams.splice import Pipe
from lb.streams.stream import NEVER

if TYPE_CHECKING:
    from lb.proxy.exchange import Request
    from lb.proxy.roster import Roster
    from lb.proxy.tally import Tally
    from lb.proxy.upload import Upload
    from lb.upstream.backend import LiveBackend
    from lb.upstream.connection import Body, Connection

CONTINUE_S: Final = 1.0
"""How long a backend may keep a client with `Expect: 100-continue` waiting.

Many servers never answer 100; after this the body is asked for anyway, as curl does.
"""


def _framed(piece: bytes | Pipe, upload: Upload) -> bytes | Pipe:
    """A piece of an upload as it is sent; the empty one behind the others ends it."""
    if upload.length != CHUNKED or isinstance(piece, Pipe):
        return piece
    return chunk(piece) if piece else last_chunk(upload.trailers)


_CONTINUE_HEAD: Final = ResponseHead(100, b"Continue", 1, 0)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Relative seconds; see the settings of the same names."""

    connect_s: float
    response_s: float
    idle_s: float


class Engine:
    """Exchanges requests for responses; one per process."""

    def __init__(
        self, roster: Roster, tally: Tally, timeouts: Timeouts, *, attempts: int
    ) -> None:
        self._roster = roster
        self._tally = tally
        self._timeouts = timeouts
        self._attempts = attempts

    def exchange(self, request: Request) -> Response:
        """The response to `request`; whoever gets it must `finish` or `close` it.

        Raises:
            UnavailableError: no backend may be used (503).
            FinalRecipientError: it is answered here.
            AttemptError: the last attempt's failure (502 or 504).
            RequestError, ClientGoneError: from the request's own body.
        """
        if request.head.max_forwards == 0:
            raise FinalRecipientError
        tried: list[LiveBackend] = []
        backend = request.backend or self._roster.first()
        fresh = False
        while True:
            if request.connection is None:
                request.attempts += 1
                request.backend = backend
            try:
                return self._attempt(request, backend, fresh=fresh)
            except AttemptError as error:
                if isinstance(error, (ConnectRefusedError, ConnectTimeoutError)):
                    self._tally.fail(backend)
                again = self._after(error, request)
                tried.append(backend)
                following = None
                if again is not Again.NO:
                    following = self._roster.another(tried)
                if again is Again.FRESH:
                    fresh = True
                    following = following or backend
                if following is None:
                    raise
                backend = following

    def begin(self, request: Request, now: float) -> Connection | None:
        """Begin the first attempt without waiting, if it takes no more than a send.

        The connection on which the request went out, or None where it did not whole.
        Then `answer` looks whether the response is here; `exchange` goes on from
        wherever this stopped. `now` is on the monotonic clock.
        """
        head = request.head
        if head.max_forwards == 0:
            return None
        try:
            backend = self._roster.first()
        except UnavailableError:
            return None
        request.backend = backend
        connection = backend.take_idle(now, is_precious=head.method not in IDEMPOTENT)
        if connection is None:
            return None
        self._tally.begin(backend)
        request.attempts = 1
        request.connection = connection
        connection.requests += 1
        connection.stream.deadline = now + self._timeouts.response_s
        wire = request.wire
        sent = connection.stream.write_nowait(wire)
        if sent != len(wire):
            request.unsent = wire[sent:]
            return None
        return connection

    def answer(self, request: Request, now: float) -> tuple[ResponseHead, bytes] | None:
        """The response to a request that `begin` sent, if all of it is here.

        None if it is not, or is no plain answer: `exchange` then goes on.
        """
        connection = request.connection
        if connection is None:
            return None
        answer = connection.whole_answer(request.head.method)
        if answer is not None:
            request.connection = None
            backend = connection.backend
            self._tally.end(backend)
            backend.put(connection, now)
        return answer

    def drop(self, request: Request) -> None:
        """Give up the attempt that `begin` began, if it is still under way."""
        connection, request.connection = request.connection, None
        if connection is not None:
            connection.close()
            self._tally.end(connection.backend)

    def _after(self, error: AttemptError, request: Request) -> Again:
        if request.attempts >= self._attempts:
            return Again.NO
        upload = request.upload
        return after(
            error,
            method=request.head.method,
            body_is_lost=upload is not None and upload.is_lost,
        )

    def _attempt(
        self, request: Request, backend: LiveBackend, *, fresh: bool
    ) -> Response:
        """One attempt at one backend, counted as in flight until it is released.

        Or the rest of the one that `begin` began: `request.connection` is its.
        """
        connection = request.connection
        try:
            if connection is None:
                self._tally.begin(backend)
                connection = self._connect(request, backend, fresh=fresh)
                if request.is_abandoned:
                    raise ClientGoneError("the client left before it was connected")
                head = self._ask(request, connection)
            else:
                if request.unsent:
                    connection.send(request.unsent)
                head = self._final_head(request, connection)
            if head.status == 101:
                body = self._take_tunnel(request, connection, head)
            else:
                body = connection.take_body(head)
        except BaseException:  # a kill of this greenlet, too, must leak nothing
            request.connection = None
            if connection is not None:
                connection.close()
            self._tally.end(backend)
            raise
        connection.stream.deadline = monotonic() + self._timeouts.idle_s
        return Response(request, head, body, connection, release=self._release)

    def _connect(
        self, request: Request, backend: LiveBackend, *, fresh: bool
    ) -> Connection:
        connection: Connection | None = None
        if not fresh:
            connection = backend.take_idle(
                monotonic(), is_precious=request.head.method not in IDEMPOTENT
            )
        if connection is None:
            connection = backend.connect(self._timeouts.connect_s)
        connection.requests += 1
        request.connection = connection
        return connection

    def _release(self, connection: Connection) -> None:
        self._tally.end(connection.backend)
        connection.backend.put(connection, monotonic())

    def _take_tunnel(
        self, request: Request, connection: Connection, head: ResponseHead
    ) -> Body:
        if not request.head.upgrade:
            raise ResponseError("it switched protocols without being asked")
        if not head.upgrade:
            raise ResponseError("it does not say to which protocol it switched")
        return connection.take_tunnel(head)

    def _ask(self, request: Request, connection: Connection) -> ResponseHead:
        """Send the request and wait for its final response head."""
        connection.stream.deadline = monotonic() + self._timeouts.response_s
        connection.send(request.wire)
        if request.upload is not None:
            head = self._upload(request, request.upload, connection)
            if head is not None:
                request.upload_cut = True
                connection.is_reusable = False
                return head
            connection.stream.deadline = monotonic() + self._timeouts.response_s
        return self._final_head(request, connection)

    def _final_head(self, request: Request, connection: Connection) -> ResponseHead:
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
            return self._final_head(request, connection)
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
