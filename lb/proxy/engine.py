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
    DeadlineError,
    FinalRecipientError,
    NoRouteError,
    ResponseError,
    UnavailableError,
)
from lb.http1.grammar import IDEMPOTENT
from lb.proxy.asker import Asker
from lb.proxy.blame import LEAST_FAULT, Blame
from lb.proxy.course import Course
from lb.proxy.exchange import Response
from lb.proxy.explain import Explanation
from lb.proxy.hedge import Hedge, may_hedge
from lb.shm import Passage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.errors import HttpError
    from lb.http1.response import ResponseHead
    from lb.proxy.asker import Timeouts
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.exchange import Request
    from lb.proxy.hedge import Race
    from lb.proxy.roster import Roster
    from lb.proxy.tally import Tally
    from lb.upstream.backend import LiveBackend
    from lb.upstream.connection import Body, Connection

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
        race: Race | None = None,
    ) -> None:
        self._roster = roster
        self._tally = tally
        self.blame = Blame(tally)
        self._timeouts = timeouts
        self._asker = Asker(timeouts)
        self._first_s = min(timeouts.response_s, timeouts.request_s)
        self._find_set = find_set
        self._race = race
        """How to ask two backends at once, if that can be done here."""

    def use(
        self, timeouts: Timeouts, *, find_set: Callable[[Request], BackendSet]
    ) -> None:
        """Go by other settings, in waits and choices that begin from now on."""
        self._timeouts = timeouts
        self._asker = Asker(timeouts)
        self._first_s = min(timeouts.response_s, timeouts.request_s)
        self._find_set = find_set

    def exchange(self, request: Request) -> Response:
        """The response to `request`; whoever gets it must `finish` or `close` it.

        Raises:
            NoRouteError: it is for no set (404).
            UnavailableError: no backend may be used, or has room in time (503).
            FinalRecipientError: it is answered here.
            AttemptError: the last attempt's failure (502 or 504).
            DeadlineError: its time was over before any answer (504).
            RequestError, ClientGoneError: from the request's own body.
        """
        if request.head.max_forwards == 0:
            raise FinalRecipientError
        backend = request.backend or self._take(request)
        chosen = request.backend_set
        if chosen is None:
            raise NoRouteError("it belongs to no set")
        if chosen.hedge_s and self._race and may_hedge(request, chosen):
            return Hedge(self, request, chosen).run(backend, self._race)
        return self.pursue(request, backend, Course(self, request, chosen))

    def pursue(
        self, request: Request, backend: LiveBackend, course: Course
    ) -> Response:
        """The response of `backend`, or of whom its `course` leads to after that.

        Raises as `exchange`.
        """
        following: LiveBackend | None = backend
        try:
            while following is not None:
                backend = following
                try:
                    response = self._make_attempt(request, backend, course)
                except AttemptError as error:
                    self.note(request, backend, error)
                    self._check_time(request, error)
                    following = course.following(backend, error)
                    if following is None:
                        raise
                    continue
                following = course.instead_of(backend, response)
        except BaseException:  # a kill of this greenlet, too, must leak nothing
            course.end()
            raise
        return response

    def _make_attempt(
        self, request: Request, backend: LiveBackend, course: Course
    ) -> Response:
        """A further attempt, or the rest of the one that `begin` began."""
        if request.connection is not None:
            return self._attempt(request, backend, course)
        self._check_time(request)
        return self.attempt_anew(request, backend, course)

    def attempt_anew(
        self, request: Request, backend: LiveBackend, course: Course
    ) -> Response:
        """One attempt at one backend, counted as in flight until it is released.

        Raises as `exchange`; then it is not in flight any more.
        """
        self._tally.attempt(backend, is_retry=request.attempts > 0)
        request.attempts += 1
        request.backend = backend
        return self._attempt(request, backend, course)

    def _check_time(self, request: Request, error: HttpError | None = None) -> None:
        """Whether there is time left for this request, after `error`.

        Raises:
            DeadlineError: there is none.
        """
        if self._timeouts.left_s(request, monotonic()) <= 0:
            self._leave(request)
            detail = error.detail if error is not None else ""
            raise DeadlineError(f"its time is over; {detail}".rstrip("; ")) from error

    def note(self, request: Request, backend: LiveBackend, error: HttpError) -> None:
        """Count and remember a failed attempt."""
        self.blame.attempt(request, backend, error, self._timeouts)
        request.failed_at(backend.id)
        if request.explanation is not None:
            request.explanation.failed(backend, error)

    def _take(self, request: Request) -> LiveBackend:
        """The backend for a first attempt, waited for in line if need be.

        Raises:
            UnavailableError, ClientGoneError: see `wait`.
        """
        self._roster.refresh()
        chosen = request.backend_set = self._find_set(request)
        request.policy = chosen.policy_name
        if request.head.wants_explanation:
            request.explanation = Explanation(chosen, request)
        try:
            return chosen.take(request)
        except UnavailableError as error:

            def look() -> LiveBackend:
                self._roster.refresh()
                return self._set_now(request, chosen).take_with_room(request)

            return self.wait(request, look, error)

    def _set_now(self, request: Request, chosen: BackendSet) -> BackendSet:
        """The set of a request that waits, which a reload may have taken away."""
        if chosen.is_retired:
            try:
                chosen = request.backend_set = self._find_set(request)
            except NoRouteError as error:
                raise UnavailableError(error.detail) from error
        return chosen

    def refresh(self) -> None:
        """Follow the table; see `Roster.refresh`."""
        self._roster.refresh()

    def wait(
        self,
        request: Request,
        look: Callable[[], LiveBackend],
        error: UnavailableError,
        patience_s: float | None = None,
    ) -> LiveBackend:
        """The backend that `look` finds in time; see `WaitingLine.wait`.

        Raises:
            DeadlineError: the request's time was over before that.
        """
        chosen = request.backend_set
        if chosen is None:
            raise error
        began = monotonic()
        left_s = self._timeouts.left_s(request, began)
        try:
            backend = chosen.line.wait(request, look, error, patience_s, most_s=left_s)
            if request.is_abandoned:
                raise ClientGoneError("the client left the queue")
        except BaseException as in_vain:
            self._leave(request)  # it may have been given room at the last moment
            if isinstance(in_vain, UnavailableError):
                self._check_time(request, in_vain)
            raise
        finally:
            request.queued_s = max(0.0, request.queued_s) + monotonic() - began
        return backend

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
            if chosen.hedge_s and head.method in IDEMPOTENT:
                return None  # it may have to be two, which only a greenlet can do
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
        connection.stream.deadline = now + self._first_s
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
        connection, chosen = request.connection, request.backend_set
        entered = request.entered
        if connection is None or chosen is None or entered is None:
            return None
        answer = connection.whole_answer(request.head.method, chosen.statuses)
        if answer is not None:
            _time_head(request, connection.backend, now - request.began)
            request.connection = None
            connection.backend.put(connection, now)
            request.entered = None  # `_leave`, written out: 0.1 us less
            self._tally.leave(entered)
            if chosen.line.waiting:
                chosen.line.serve()
        return answer

    def drop(self, request: Request) -> None:
        """Give up the attempt that `begin` began, if it is still under way."""
        connection, request.connection = request.connection, None
        if connection is not None:
            connection.close()
        self._leave(request)

    def note_cut(self, request: Request, status: int, error: AttemptError) -> None:
        """Count that the backend broke off the body of its response of `status`."""
        self.blame.body(request, status, error)

    def finish(self, request: Request, now: float) -> None:
        """Count and record a request that is over, at monotonic `now`."""
        self._tally.finish(request, request.backend, now)
        if request.status >= LEAST_FAULT and not request.label:
            self.blame.finished(request)

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
            if chosen is not None and chosen.line.waiting:
                chosen.line.serve()

    def _attempt(
        self, request: Request, backend: LiveBackend, course: Course
    ) -> Response:
        """The attempt itself, or the rest of it where `request.connection` is its."""
        connection = request.connection
        began = request.began
        try:
            if connection is None:
                began = monotonic()
                connection = self._connect(request, backend, fresh=course.is_fresh)
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
                course.end()  # it may last for days, which is no retry's load
            else:
                body = connection.take_body(head)
        except BaseException:  # a kill of this greenlet, too, must leak nothing
            request.connection = None
            if connection is not None:
                connection.close()
            self._leave(request)
            raise
        connection.stream.deadline = now + self._timeouts.idle_s
        return Response(request, head, body, connection, release=course.release)

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
            left_s = self._timeouts.left_s(request, now)
            connection = backend.connect(min(self._timeouts.connect_s, left_s))
            request.connect_s = monotonic() - now
        connection.requests += 1
        request.connection = connection
        return connection

    def release(self, request: Request, connection: Connection) -> None:
        """An attempt is over; its connection goes back to the pool, if it may."""
        # In this order: whoever is given the room may well use the connection.
        connection.backend.put(connection, monotonic())
        self._leave(request)

    def _take_tunnel(
        self, request: Request, connection: Connection, head: ResponseHead
    ) -> Body:
        if not request.head.upgrade:
            raise ResponseError("it switched protocols without being asked")
        if not head.upgrade:
            raise ResponseError("it does not say to which protocol it switched")
        return connection.take_tunnel(head)
