"""The engine: one request in, one response out, over as many attempts as it takes.

It is the same for both lanes and knows neither of them: no client socket, no WSGI.
Each attempt is at one backend over one connection; what may be tried again after a
failure is the table in `lb.proxy.retry`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import (
    AttemptError,
    ClientGoneError,
    ConnectRefusedError,
    ConnectTimeoutError,
    FinalRecipientError,
    NoRouteError,
    ResponseError,
    ResponseTimeoutError,
    Sent,
    TerminatedError,
    UnavailableError,
)
from lb.http1.grammar import IDEMPOTENT
from lb.proxy.asker import Asker
from lb.proxy.exchange import Response
from lb.proxy.explain import Explanation
from lb.proxy.retry import Again, after
from lb.shm import Passage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.response import ResponseHead
    from lb.proxy.asker import Timeouts
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.exchange import Request
    from lb.proxy.roster import Roster
    from lb.proxy.tally import Tally
    from lb.upstream.backend import LiveBackend
    from lb.upstream.connection import Body, Connection

CONNECT_FAILURES: Final = (ConnectRefusedError, ConnectTimeoutError)
"""Errors that say nothing of a request, but something of the backend."""

BODY_FAULTS: Final = frozenset(
    (TerminatedError.label, ResponseTimeoutError.label, ResponseError.label)
)
"""How a request ends whose backend breaks its answer off, once the head was passed on.

Where no head came, the attempt failed, and was counted as that."""

LEAST_FAULT: Final = 400
"""No status below counts against a backend, whatever the settings say."""

RECENT: Final = 0.125
"""The share of the newest time in a backend's running mean: about the last 8 count."""


def _time_head(request: Request, backend: LiveBackend, took_s: float) -> None:
    """Note how long a response head took."""
    request.to_head_s = took_s
    before = backend.head_time_s
    backend.head_time_s = before + (took_s - before) * RECENT if before else took_s


class Engine:
    """Exchanges requests for responses; one per process."""

    def __init__(
        self,
        roster: Roster,
        tally: Tally,
        timeouts: Timeouts,
        *,
        find_set: Callable[[Request], BackendSet],
    ) -> None:
        self._roster = roster
        self._tally = tally
        self._timeouts = timeouts
        self._asker = Asker(timeouts)
        self._find_set = find_set

    def exchange(self, request: Request) -> Response:
        """The response to `request`; whoever gets it must `finish` or `close` it.

        Raises:
            NoRouteError: it is for no set (404).
            UnavailableError: no backend may be used, or has room in time (503).
            FinalRecipientError: it is answered here.
            AttemptError: the last attempt's failure (502 or 504).
            RequestError, ClientGoneError: from the request's own body.
        """
        if request.head.max_forwards == 0:
            raise FinalRecipientError
        backend = request.backend or self._take(request)
        tried: list[LiveBackend] = []
        fresh = False
        while True:
            if request.connection is None:
                self._tally.attempt(backend, is_retry=request.attempts > 0)
                request.attempts += 1
                request.backend = backend
            try:
                return self._attempt(request, backend, fresh=fresh)
            except AttemptError as error:
                self._tally.fail(
                    backend,
                    error.label,
                    to_connect=isinstance(error, CONNECT_FAILURES),
                    # A reused connection may have been stale: nobody's fault.
                    is_fault=error.sent is not Sent.MAYBE,
                )
                request.failed_at(backend.id)
                if request.explanation is not None:
                    request.explanation.failed(backend, error)
                again = self._after(error, request)
                tried.append(backend)
                following = self._another(request, tried, again)
                if following is None:
                    raise
                fresh = fresh or again is Again.FRESH
                backend = following

    def _take(self, request: Request) -> LiveBackend:
        """The backend for a first attempt, waited for in line if need be.

        Raises:
            UnavailableError, ClientGoneError: see `WaitingLine.wait`.
        """
        self._roster.refresh()
        chosen = request.backend_set = self._find_set(request)
        request.policy = chosen.policy_name
        if request.head.wants_explanation:
            request.explanation = Explanation(chosen, request)
        try:
            return chosen.take(request)
        except UnavailableError as error:
            began = monotonic()
            try:
                return chosen.line.wait(request, lambda: self._look(request), error)
            except BaseException:  # it may have been given room at the last moment
                self._leave(request)
                raise
            finally:
                request.queued_s = monotonic() - began

    def _look(self, request: Request) -> LiveBackend:
        """What has room now for the first in line; see `BackendSet.take_with_room`."""
        self._roster.refresh()
        chosen = request.backend_set
        if chosen is None:
            raise UnavailableError("it belongs to no set")
        return chosen.take_with_room(request)

    def _another(
        self, request: Request, tried: list[LiveBackend], again: Again
    ) -> LiveBackend | None:
        """The backend for the next attempt, with it counted in flight, or None."""
        chosen = request.backend_set
        if again is Again.NO or chosen is None:
            return None
        self._roster.refresh()
        following = chosen.another(request, tried)
        if following is None and again is Again.FRESH:
            following = tried[-1]
            request.entered = self._tally.enter(following)
        return following

    def begin(self, request: Request, now: float) -> Connection | None:
        """Begin the first attempt without waiting, if it takes no more than a send.

        The connection on which the request went out, or None where it did not whole.
        Then `answer` looks whether the response is here; `exchange` goes on from
        wherever this stopped. `now` is on the monotonic clock.
        """
        head = request.head
        if head.max_forwards == 0:
            return None
        self._roster.refresh()
        try:
            chosen = request.backend_set = self._find_set(request)
            request.policy = chosen.policy_name
            backend = chosen.take(request)
        except (UnavailableError, NoRouteError):
            return None
        request.backend = backend
        connection = backend.take_idle(now, is_precious=head.method not in IDEMPOTENT)
        if connection is None:
            return None
        self._tally.attempt(backend, is_retry=False)
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
            _time_head(request, connection.backend, now - request.began)
            request.connection = None
            self._leave(request)
            connection.backend.put(connection, now)
        return answer

    def drop(self, request: Request) -> None:
        """Give up the attempt that `begin` began, if it is still under way."""
        connection, request.connection = request.connection, None
        if connection is not None:
            connection.close()
        self._leave(request)

    def finish(self, request: Request, now: float) -> None:
        """Count and record a request that is over, at monotonic `now`."""
        self._tally.finish(request, request.backend, now)
        if request.label or request.status >= LEAST_FAULT:
            self._look_for_fault(request)

    def _look_for_fault(self, request: Request) -> None:
        """Note a body that its backend broke off, or a status that counts."""
        chosen, backend = request.backend_set, request.backend
        if chosen is None or backend is None or request.to_head_s < 0:
            return
        label, status = request.label, request.status
        if label in BODY_FAULTS or (not label and status in chosen.judging.faults):
            self._tally.fault(backend, label=label, is_spoiled=status < 500)

    def refuse(self, client: bytes, status: int, label: str, began: float) -> None:
        """The same for what never became a request."""
        passage = Passage(self._tally.nobody)
        passage.began = began
        passage.client, passage.status, passage.label = client, status, label
        self._tally.finish(passage, None, monotonic())

    def _leave(self, request: Request) -> None:
        """The attempt under way is no longer in flight. Idempotent."""
        entered, request.entered = request.entered, None
        if entered is not None:
            self._tally.leave(entered)
            chosen = request.backend_set
            if chosen is not None and chosen.line.is_busy:
                chosen.line.serve()

    def _after(self, error: AttemptError, request: Request) -> Again:
        chosen = request.backend_set
        if request.attempts >= (chosen.attempts if chosen else 1):
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
        began = request.began
        try:
            if connection is None:
                began = monotonic()
                connection = self._connect(request, backend, fresh=fresh)
                if request.is_abandoned:
                    raise ClientGoneError("the client left before it was connected")
                head = self._asker.ask(request, connection)
            else:
                if request.unsent:
                    connection.send(request.unsent)
                head = self._asker.final_head(request, connection)
            now = monotonic()
            _time_head(request, backend, now - began)
            if head.status == 101:
                body = self._take_tunnel(request, connection, head)
            else:
                body = connection.take_body(head)
        except BaseException:  # a kill of this greenlet, too, must leak nothing
            request.connection = None
            if connection is not None:
                connection.close()
            self._leave(request)
            raise
        connection.stream.deadline = now + self._timeouts.idle_s
        return Response(request, head, body, connection, release=self._release)

    def _connect(
        self, request: Request, backend: LiveBackend, *, fresh: bool
    ) -> Connection:
        connection: Connection | None = None
        now = monotonic()
        if not fresh:
            connection = backend.take_idle(
                now, is_precious=request.head.method not in IDEMPOTENT
            )
        if connection is None:
            connection = backend.connect(self._timeouts.connect_s)
            request.connect_s = monotonic() - now
        connection.requests += 1
        request.connection = connection
        return connection

    def _release(self, request: Request, connection: Connection) -> None:
        self._leave(request)
        connection.backend.put(connection, monotonic())

    def _take_tunnel(
        self, request: Request, connection: Connection, head: ResponseHead
    ) -> Body:
        if not request.head.upgrade:
            raise ResponseError("it switched protocols without being asked")
        if not head.upgrade:
            raise ResponseError("it does not say to which protocol it switched")
        return connection.take_tunnel(head)
