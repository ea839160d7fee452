"""One client's connection in the fast lane: its life, and the short cut.

While it is idle, a connection has no greenlet: a few small objects wait in the event
loop (figures in docs/performance.md). When a request comes, the short cut serves it
in the loop itself, in two steps that never wait:

1. the request is here whole and a kept-alive connection to its backend is idle:
   send it there;
2. the response is here whole: send it on.

Wherever anything else is the case (a body to stream, a connection to be made, an
error, a retry, a client that reads slowly), the short cut stops and a greenlet goes
on from that point, by `lb.proxy.conversation`. It decides nothing of its own: the
same parsers, engine and rendering are asked, and what they refuse is refused again
there, with all that follows from it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import (
    ClientGoneError,
    RequestError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.http1.forward import response_head
from lb.proxy.conversation import LEFT, Conversation
from lb.proxy.httpdate import http_date
from lb.proxy.marks import mark_lines
from lb.streams.stream import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.response import ResponseHead
    from lb.proxy.exchange import Request
    from lb.proxy.lane import Lane
    from lb.streams.hub_stream import HubStream

BLANK: Final = (b"", b"\r\n")
"""What may stand between two requests: nothing, or an empty line (RFC 9112 2.2)."""


class Session(Conversation):
    """See the module. It lives until either side closes the connection."""

    __slots__ = ("_is_idle",)

    def __init__(self, lane: Lane, stream: HubStream, ip: str) -> None:
        super().__init__(lane, stream, ip)
        self._is_idle = True
        stream.deadline = monotonic() + lane.request_head_s
        stream.on_event = self._on_event
        stream.watch()
        lane.sessions.add(self)

    def leave_if_idle(self) -> None:
        """Close if no request is under way, nor just arrived (the worker stops)."""
        if self._is_idle and not self._stream.has_input():
            self._close()

    def _close(self) -> None:
        self._is_idle = False
        self._stream.close()
        self._lane.leave(self)

    def _pause(self, now: float) -> None:
        """Wait for the next request, without a greenlet."""
        self._rest = b""
        self._is_served = self._is_idle = True
        self._stream.deadline = now + self._lane.keepalive_s
        self._stream.watch()

    # In the event loop -------------------------------------------------------

    def _on_event(self) -> None:
        """Something came, or the deadline, while no greenlet reads the client."""
        try:
            if self._is_idle:
                self._wake()
            else:
                self._look_whether_it_left()
        except Exception:  # noqa: BLE001 - logged; the others must go on
            self._fail()

    def _look_whether_it_left(self) -> None:
        """If the client has gone while its request is served, let the backend go."""
        request = self._request
        if request is None or not self._stream.has_ended():
            return
        request.is_abandoned = True
        if request.connection is not None:
            request.connection.stream.interrupt(ClientGoneError("the client left"))

    def _fail(self) -> None:
        """End this connection alone, for a fault that nobody foresaw."""
        self._lane.report()
        if self._request is not None:
            self._lane.engine.drop(self._request)
        self._close()

    def _wake(self) -> None:
        """The first bytes of a request are here, most often all of it, or the end."""
        stream = self._stream
        data = stream.read_nowait()
        if not data:
            if data is not None or not stream.is_quiet():
                self._close()
            return
        self._is_idle = stream.stays_armed = False
        self._rest = data
        lane = self._lane
        if lane.takes_proxy_header and not self._is_served:
            lane.run(self._greet)
        elif not self._forward():
            lane.run(self._run)

    def _forward(self) -> bool:
        """Send a whole request to a backend; False where that needs a greenlet."""
        data, lane = self._rest, self._lane
        try:
            head = self._parser.parse(data)
        except RequestError:
            return False
        if head is None or head.wants_explanation:
            return False
        length = head.length
        if length and (
            length < 0 or head.size + length > len(data) or 0 < lane.body_bytes < length
        ):
            return False
        self._rest = data[head.size :] if len(data) > head.size else b""
        now = monotonic()
        request = self._request = self._receive(head, now)
        self._stream.deadline = NEVER
        connection = lane.engine.begin(request, now)
        if connection is None:
            return False
        connection.await_answer(self._on_answer)
        return True

    def _on_answer(self) -> None:
        """The backend has answered, or failed, or takes too long."""
        try:
            request = self._request
            if request is not None:
                self._answer(request)
        except Exception:  # noqa: BLE001 - logged; the others must go on
            self._fail()

    def _answer(self, request: Request) -> None:
        lane = self._lane
        now = monotonic()
        answer = lane.engine.answer(request, now)
        if answer is None:
            lane.run(self._run)
            return
        head, body = answer
        self._request = None
        keep_alive = request.head.keep_alive and not lane.is_stopping
        chosen = request.backend_set
        wire = response_head(
            head,
            minor=request.head.minor,
            keep_alive=keep_alive,
            via=self._peer.via,
            date=http_date,
            added=mark_lines(request) if chosen and chosen.has_marks else b"",
        )
        if body:
            wire += body
        sent = self._stream.write_nowait(wire)
        if sent != len(wire):
            rest = memoryview(wire)[sent:]
            lane.run(lambda: self._send_rest(rest, request, head, keep_alive))
            return
        if lane.log is not None:
            self._record(request, head.status, len(body))
        else:
            request.status, request.bytes_out = head.status, len(body)
            lane.engine.finish(request, now)
        if not keep_alive:
            if self._stream.is_quiet():
                self._close()
            else:
                lane.run(self._part)
        elif self._rest in BLANK:
            self._pause(now)
        elif not self._forward():
            lane.run(self._run)

    # In a greenlet -----------------------------------------------------------

    def _run(self) -> None:
        """Go on from wherever the short cut stopped, until there is nothing to do."""
        self._hold(self._serve)

    def _greet(self) -> None:
        """The same for a connection that begins with a PROXY header."""
        self._hold(lambda: self._meet() and self._serve())

    def _part(self) -> None:
        """The same for one that ends while its client still sends."""
        self._hold(self._linger)

    def _send_rest(
        self, rest: memoryview, request: Request, head: ResponseHead, keep_alive: bool
    ) -> None:
        """The same for a response that the client did not take at once."""

        def finish() -> bool:
            try:
                self._send(rest)
            except (StreamClosedError, StreamTimeoutError):
                had = max(0, head.length - len(rest))
                self._record(request, head.status, had, LEFT)
                raise
            self._record(request, head.status, head.length)
            return keep_alive

        self._hold(finish)

    def _hold(self, step: Callable[[], bool]) -> None:
        """Take a step, then serve what has come meanwhile; then pause, or close."""
        goes_on = False
        try:
            goes_on = step()
            while goes_on and self._rest not in BLANK:
                self._is_served = True
                goes_on = self._serve()
        except (ClientGoneError, StreamClosedError, StreamTimeoutError):
            goes_on = False  # nobody is left to be told
        except BaseException:  # whatever it is, the connection must not leak
            self._close()
            raise
        if goes_on:
            self._pause(monotonic())
        else:
            self._close()
