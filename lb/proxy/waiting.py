"""Where requests wait for room: first in, first out, bounded, each with a deadline.

A request that finds every backend of its set full waits here; one that finds none
up waits too, if `queue.hold` says so (a backend that restarts then costs time, not
errors). The line is this process's own. Room that this process makes is given to the
first in line at once; room that others make is noticed by looking, every 10 ms and
only while somebody waits. A request whose client has left is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import ClientGoneError, FullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.proxy.exchange import Request
    from lb.upstream.backend import LiveBackend

LOOK_S: Final = 0.01
"""How often the first in line looks for room that other processes made."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`size` requests, each for `timeout_s` where all is full, `hold_s` where down."""

    size: int = 1024
    timeout_s: float = 5.0
    hold_s: float = 0.0


class Waiter:
    """A request in line; `take` finds it a backend or raises, as `BackendSet.take`."""

    __slots__ = ("backend", "deadline", "error", "event", "request", "take")

    def __init__(
        self, request: Request, take: Callable[[], LiveBackend], deadline: float
    ) -> None:
        self.request = request
        self.take = take
        self.deadline = deadline
        self.event = threading.Event()
        self.backend: LiveBackend | None = None
        self.error: Exception | None = None


class WaitingLine:
    """The line of one set in one process."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._waiting: deque[Waiter] = deque()
        self._lock = threading.Lock()
        self._is_watched = False

    def __len__(self) -> int:
        return len(self._waiting)

    def use(self, limits: QueueLimits) -> None:
        """Go by other limits, for who comes from now on."""
        self._limits = limits

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits: then nobody may go past."""
        return bool(self._waiting)

    def patience_s(self, error: UnavailableError) -> float:
        """How long a request that met `error` may wait; 0 is not at all."""
        if isinstance(error, FullError):
            return self._limits.timeout_s
        return self._limits.hold_s

    def wait(
        self,
        request: Request,
        take: Callable[[], LiveBackend],
        error: UnavailableError,
    ) -> LiveBackend:
        """The backend that `take` finds in time, for a request that met `error`.

        Raises:
            FullError: the line is full, or there was no room in time.
            UnavailableError: no backend came up in time.
            ClientGoneError: the client left meanwhile.
        """
        patience_s = self.patience_s(error)
        if patience_s <= 0:
            raise error
        if len(self._waiting) >= self._limits.size:
            raise FullError(f"{self._limits.size} requests wait already")
        waiter = Waiter(request, take, monotonic() + patience_s)
        waiter.error = error
        try:
            with self._lock:
                self._waiting.append(waiter)
            self._watch()
            waiter.event.wait(patience_s + 1.0)
        finally:
            self._forget(waiter)
        if waiter.backend is None:
            raise waiter.error
        return waiter.backend

    def serve(self) -> None:
        """Give what room there is to the first in line; drop who needs none any more.

        Costs nothing while nobody waits.
        """
        while self._waiting and self._serve_first():
            pass

    def _serve_first(self) -> bool:
        """Whether the first in line is done with; False while it has to wait."""
        with self._lock:
            if not self._waiting:
                return False
            waiter = self._waiting[0]
            if waiter.request.is_abandoned:
                waiter.error = ClientGoneError("the client left the queue")
            else:
                try:
                    waiter.backend = waiter.take()
                except UnavailableError as error:
                    waiter.error = error
                    if monotonic() < waiter.deadline:
                        return False
            self._waiting.popleft()
            waiter.event.set()
            return True

    def _forget(self, waiter: Waiter) -> None:
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _watch(self) -> None:
        with self._lock:
            if self._is_watched:
                return
            self._is_watched = True
        threading.Thread(target=self._look, name="queue", daemon=True).start()

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            self._drop_those_behind()
            self.serve()
            with self._lock:
                if not self._waiting:
                    self._is_watched = False
                    return
            pause.wait(LOOK_S)

    def _drop_those_behind(self) -> None:
        """End the waits, anywhere in line, of clients that left, and those too long."""
        now = monotonic()
        with self._lock:
            over = [
                w for w in self._waiting if w.request.is_abandoned or w.deadline < now
            ]
            for waiter in over:
                self._waiting.remove(waiter)
                if waiter.request.is_abandoned:
                    waiter.error = ClientGoneError("the client left the queue")
                waiter.event.set()
