"""What follows a failed attempt: which backend is asked next, and after what wait.

`lb.proxy.retry` says whether the request may go again at all. If so, it goes to a
backend that it has not tried; if those are full, it waits in line for one. Backups
come after all others, also before the checker has found those to be down. If none is
left and the settings hold requests (`queue.hold`), it tries the same ones again
after a pause, until one has come back. Only failures to connect may repeat more often
than `retries.attempts` says: nothing was sent then, so no backend is asked too much.

From the first retry that costs the set's budget, a request is counted there until it
is over, whatever else it meets.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import FullError, Sent, TerminatedError, UnavailableError
from lb.proxy.retry import BUDGETED, Again, after, may_repeat

if TYPE_CHECKING:
    from lb.errors import AttemptError
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.engine import Engine
    from lb.proxy.exchange import Request, Response
    from lb.shm import RowCells
    from lb.upstream.backend import LiveBackend
    from lb.upstream.connection import Connection

COMEBACK_S: Final = 0.25
"""How long a held request leaves those alone that failed it."""


class Course:
    """The further attempts of one request, made when its first one has failed."""

    def __init__(self, engine: Engine, request: Request, chosen: BackendSet) -> None:
        self.is_fresh = False
        """Whether only new connections will do: those in the pool may be stale."""
        self.tried: list[LiveBackend] = []
        """Whom not to ask (again)."""
        self._engine = engine
        self._request = request
        self._chosen = chosen
        self._held_until = 0.0
        self._counted: RowCells | None = None

    def end(self) -> None:
        """The request is over, or goes no further. Idempotent."""
        counted, self._counted = self._counted, None
        if counted is not None:
            self._chosen.budget.leave(counted)

    def release(self, request: Request, connection: Connection) -> None:
        """Its response is over; see `Engine.release`."""
        self._engine.release(request, connection)
        self.end()

    def following(
        self, backend: LiveBackend, error: AttemptError
    ) -> LiveBackend | None:
        """The backend after `backend` failed, the request counted there; or None.

        Raises:
            UnavailableError, ClientGoneError: it was waited for in vain.
        """
        self.tried.append(backend)
        again = self._after(error)
        if again is Again.NO:
            return None
        if again is Again.FRESH:
            self.is_fresh = True
        has_ended = isinstance(error, TerminatedError)
        costs = error.sent in BUDGETED
        if costs and not self._may_leave(backend, or_dead=has_ended):
            error.detail += "; no retry: over the budget"
            return None
        try:
            return self._look(again)
        except FullError as full:
            return self._engine.wait(self._request, lambda: self._look(again), full)
        except UnavailableError as none_left:
            return self._hold(none_left)

    def instead_of(
        self, backend: LiveBackend, response: Response
    ) -> LiveBackend | None:
        """The backend to ask instead of `backend`, for the status of its response.

        None: the response stands. Else it is closed, and nothing of it was passed on.
        """
        status = response.head.status
        if status not in self._chosen.statuses:
            return None
        request = self._request
        self.tried.append(backend)
        if request.attempts >= self._chosen.attempts or request.upload_cut:
            return None
        if not may_repeat(request.head.method, request.upload):
            return None
        was_counted = self._counted is not None
        if not self._may_leave(backend):
            return None
        entered, request.entered = request.entered, None
        try:
            following = self._look(Again.ELSEWHERE)
        except UnavailableError:
            request.entered = entered
            if not was_counted:
                self.end()
            return None
        # What is left of the first attempt ends; the request goes on as counted.
        goes_on, request.entered = request.entered, entered
        counted, self._counted = self._counted, None
        response.close()
        request.entered, self._counted = goes_on, counted
        request.failed_at(backend.id)
        self._engine.blame.retried(self._chosen, backend, status)
        if request.explanation is not None:
            request.explanation.answered(backend, status)
        return following

    def is_afforded(self, slow: LiveBackend) -> bool:
        """Whether the budget bears one more attempt, beside that at `slow`."""
        if self._enters(slow):
            return True
        self._chosen.budget.refuse(slow)
        return False

    def _may_leave(self, failed: LiveBackend, *, or_dead: bool = False) -> bool:
        """Whether it may go elsewhere for `failed`.

        If the budget bears it; else if `failed` is dead, where that may be: what dies
        with all its work adds none, and dies once; else if it has just begun to fail.
        """
        if (
            self._enters(failed)
            or (or_dead and self._engine.is_dead(failed, self._request))
            or self._chosen.budget.forgives(failed, monotonic())
        ):
            return True
        self._chosen.budget.refuse(failed)
        return False

    def _enters(self, failed: LiveBackend) -> bool:
        """Whether it is counted in the budget, from now on if there is room."""
        if self._counted is None:
            chosen = self._chosen
            self._counted = chosen.budget.enter(failed, chosen.members)
        return self._counted is not None

    def _after(self, error: AttemptError) -> Again:
        request, upload = self._request, self._request.upload
        again = after(
            error,
            method=request.head.method,
            body_is_lost=upload is not None and upload.is_lost,
        )
        if request.attempts < self._chosen.attempts:
            return again
        is_harmless = error.sent is Sent.NOTHING
        return again if is_harmless and self._held_s() > 0 else Again.NO

    def _held_s(self) -> float:
        """How long it may still be held, from the first question on."""
        now = monotonic()
        self._held_until = self._held_until or now + self._chosen.line.limits.hold_s
        return self._held_until - now

    def _look(self, again: Again) -> LiveBackend:
        """One not tried; for want of it, for `FRESH` the last again, else a backup.

        Raises:
            UnavailableError: there is none.
            FullError: there is, but without room.
        """
        self._engine.refresh()
        last = self.tried[-1]
        try:
            return self._chosen.take_with_room(self._request, self.tried)
        except FullError:
            raise
        except UnavailableError:
            if again is not Again.FRESH or not last.is_usable:
                return self._chosen.take_backup(self._request, self.tried)
        if not self._chosen.enter(last, self._request):
            raise FullError(f"{last.name} is at its limit")
        return last

    def _hold(self, error: UnavailableError) -> LiveBackend | None:
        """One that may have come back, or None if requests are not held (so long)."""
        left_s = self._held_s()
        if left_s <= 0:
            return None
        self.tried.clear()
        not_before = monotonic() + COMEBACK_S

        def look() -> LiveBackend:
            if monotonic() < not_before:
                raise UnavailableError(error.detail)
            self._engine.refresh()
            return self._chosen.take_with_room(self._request)

        return self._engine.wait(self._request, look, error, left_s)
