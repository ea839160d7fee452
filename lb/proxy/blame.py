"""Which failures of requests speak against their backend, and are noted as faults.

    what happened                                    is it the backend's?
    a connect failed                                 yes
    no answer, none in time, or no HTTP              yes
    the same, an earlier attempt used up the time    no: it had not its full time
    a reused connection closed before any answer     no: it may have been stale
    a body broke off, or stalled                     yes
    a status that `health.eject.status` names        yes, also if it is tried again
    any other status; the client left                no

What follows from faults is decided by the leader of the health checks.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import (
    AttemptError,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResponseTimeoutError,
    Sent,
)

if TYPE_CHECKING:
    from lb.errors import HttpError
    from lb.proxy.asker import Timeouts
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.exchange import Request
    from lb.proxy.tally import Tally
    from lb.upstream.backend import LiveBackend

CONNECT_FAILURES: Final = (ConnectRefusedError, ConnectTimeoutError)
"""Errors that say nothing of a request, but something of the backend."""

TIMEOUTS: Final = (ConnectTimeoutError, ResponseTimeoutError)

GOOD_BELOW: Final = 500
"""Responses of a status below are counted as good, but for those that are spoiled."""

LEAST_FAULT: Final = 400
"""No status below counts against a backend, whatever the settings say."""


class Blame:
    """Counts failures, and notes those that are faults; one per process."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def attempt(
        self,
        request: Request,
        backend: LiveBackend,
        error: HttpError,
        timeouts: Timeouts,
    ) -> None:
        """An attempt at `backend` failed before any answer was passed on."""
        to_connect = isinstance(error, CONNECT_FAILURES)
        self._tally.fail(backend, error.label, to_connect=to_connect)
        if not isinstance(error, AttemptError) or error.sent is Sent.MAYBE:
            return
        is_short = request.attempts > 1 and isinstance(error, TIMEOUTS)
        if not is_short or timeouts.left_s(request, monotonic()) > 0:
            self._tally.fault(backend)

    def body(self, request: Request, status: int, error: AttemptError) -> None:
        """The backend broke off the body of its response of `status`."""
        backend = request.backend
        if backend is not None:
            self._tally.fail(backend, error.label, to_connect=False)
            self._tally.fault(backend, is_spoiled=status < GOOD_BELOW)

    def finished(self, request: Request) -> None:
        """A request got the status that its backend gave; for `LEAST_FAULT` and up."""
        chosen, backend = request.backend_set, request.backend
        if chosen is not None and backend is not None:
            status = request.status
            self._status(chosen, backend, status, is_spoiled=status < GOOD_BELOW)

    def retried(self, chosen: BackendSet, backend: LiveBackend, status: int) -> None:
        """The same where the request goes elsewhere for that status."""
        self._status(chosen, backend, status, is_spoiled=False)

    def _status(
        self, chosen: BackendSet, backend: LiveBackend, status: int, *, is_spoiled: bool
    ) -> None:
        if status in chosen.judging.faults:
            self._tally.fault(backend, is_spoiled=is_spoiled)
