"""A second backend is asked beside a slow first one, and the first answer wins.

So a request that met a backend's pause is as fast as at another one. It is for methods
that may be repeated and requests without an upload, costs the set's budget, and the
attempt that lost is cancelled: its connection is closed, and it is in flight no more.
An answer whose status speaks against its backend does not win while the other attempt
is under way: a backend that fails at once would be faster than any that works.

It goes on beside `Engine.pursue`, with all the retries of that; the second attempt is
one only, made for a copy of the request, because a request knows of one attempt.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Protocol, TypeVar

from lb.errors import HttpError, UnavailableError
from lb.http1.grammar import IDEMPOTENT
from lb.proxy.course import Course

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.proxy.backend_set import BackendSet
    from lb.proxy.engine import Engine
    from lb.proxy.exchange import Request, Response
    from lb.upstream.backend import LiveBackend

T = TypeVar("T")


class Race(Protocol):
    """See `lb.streams.race.race`."""

    def __call__(
        self,
        first: Callable[[], T],
        second: Callable[[], T],
        *,
        after_s: float,
        losing: type[Exception],
        is_poor: Callable[[T], bool],
        discard: Callable[[T], None],
    ) -> T:
        """What the first to arrive returns."""


def may_hedge(request: Request, chosen: BackendSet) -> bool:
    """Whether a request may be at two backends at once."""
    head = request.head
    is_plain = head.method in IDEMPOTENT and request.upload is None
    # A session is at one backend: another would answer for it, and take it over.
    return is_plain and not head.upgrade and not chosen.policy.binds(request)


class Hedge:
    """The two attempts of one request."""

    def __init__(self, engine: Engine, request: Request, chosen: BackendSet) -> None:
        self._engine = engine
        self._request = request
        self._chosen = chosen
        self._course = Course(engine, request, chosen)
        self._twin: Request | None = None

    def run(self, backend: LiveBackend, race: Race) -> Response:
        """The response of `backend`, or of another that was asked later.

        Raises as `Engine.exchange`.
        """
        response = race(
            lambda: self._first(backend),
            self._second,
            after_s=self._chosen.hedge_s,
            losing=HttpError,
            is_poor=self._is_poor,
            discard=self._discard,
        )
        self._adopt(response)
        return response

    def _first(self, backend: LiveBackend) -> Response:
        try:
            response = self._engine.pursue(self._request, backend, self._course)
        except HttpError:
            self._leave_it_to_twin()
            raise
        if self._is_poor(response):
            self._leave_it_to_twin()
        return response

    def _leave_it_to_twin(self) -> None:
        """Whoever ends the request must find what is still under way."""
        if self._twin is not None:
            self._request.connection = self._twin.connection

    def _second(self) -> Response:
        request, engine = self._request, self._engine
        twin = self._twin = copy(request)
        twin.connection = twin.entered = twin.on_interim = None
        twin.unsent = b""
        course = Course(engine, twin, self._chosen)
        try:
            backend = self._choose(twin, course)
            try:
                return engine.attempt_anew(twin, backend, course)
            except HttpError as error:
                engine.note(request, backend, error)
                raise
        except BaseException:  # it is killed if the first one wins
            course.end()
            raise

    def _choose(self, twin: Request, course: Course) -> LiveBackend:
        """Another backend for the twin, in the budget and within the attempts.

        Raises:
            UnavailableError: there is none.
        """
        request, slow = self._request, self._request.backend
        if slow is None or request.attempts >= self._chosen.attempts:
            raise UnavailableError("no more attempts")
        if not course.is_afforded(slow):
            raise UnavailableError("over the retry budget")
        backend = self._chosen.take_with_room(twin, [slow, *self._course.tried])
        self._course.tried.insert(0, backend)
        request.attempts += 1
        return backend

    def _is_poor(self, response: Response) -> bool:
        """Whether it had better come from another backend."""
        chosen, status = self._chosen, response.head.status
        return status in chosen.statuses or status in chosen.judging.faults

    def _discard(self, response: Response) -> None:
        """Close the answer that lost, and note it if it was a failure."""
        request, connection = self._request, response.connection
        if connection is not None and self._is_poor(response):
            backend, status = connection.backend, response.head.status
            request.failed_at(backend.id)
            self._engine.blame.retried(self._chosen, backend, status)
            if request.explanation is not None:
                request.explanation.answered(backend, status)
        response.close()

    def _adopt(self, response: Response) -> None:
        """If the twin has won, let the request stand where the twin stands."""
        twin, request = self._twin, self._request
        if twin is None or not response.is_of(twin):
            request.connection = response.connection
            return
        request.backend, request.connection = twin.backend, twin.connection
        request.entered, twin.entered = twin.entered, None
        request.to_head_s, request.connect_s = twin.to_head_s, twin.connect_s
        response.hand_to(request)
