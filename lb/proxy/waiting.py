"""Where requests wait for room: first in, first out, bounded, each with a deadline.

A request that finds every backend of its set full waits here; one that finds none
up waits too, if `queue.hold` says so (a backend that restarts then costs time, not
errors). The line is this process's own; which process's first is served first is
`lb.shm.turns`'. Room that this process makes is given to the first in line at once;
room that others make is noticed by looking, every few ms and only while somebody
waits. A request whose client has left is dropped.

All of it may be called in the event loop: the lock is held for moments in which
nobody waits for anything, and an event is set, never awaited, there.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import ClientGoneError, FullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.proxy.exchange import Request
    from lb.shm import Turns
    from lb.upstream.backend import LiveBackend

LOOK_S: Final = 0.005
"""How often the first in line looks for room that other processes made. To wake an idle
process takes 0.1 to 0.2 ms, so one that waits uses 2 to 4 % of a core."""

LOOK_SHARE: Final = 10
"""How many times as long as a look took the pause behind it is at least: 1,000 in
line take 0.3 ms, 100,000 would take 30."""

LATE_S: Final = 1.0
"""How much longer than its patience a request waits at most, if nobody looks."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`size` requests, each for `timeout_s` where all is full, `hold_s` where down."""

    size: int = 1024
    timeout_s: float = 5.0
    hold_s: float = 0.0


class Waiter:
    """A request in line; `take` finds it a backend or raises, as `BackendSet.take`."""

    __slots__ = (
        "backend",
        "deadline",
        "error",
        "event",
        "is_in_line",
        "request",
        "since",
        "take",
    )

    def __init__(
        self,
        request: Request,
        take: Callable[[], LiveBackend],
        patience_s: float,
        error: Exception,
    ) -> None:
        self.request = request
        self.take = take
        self.since = monotonic()
        self.deadline = self.since + patience_s
        self.event = threading.Event()
        self.is_in_line = False
        self.backend: LiveBackend | None = None
        self.error = error
        """What it is told if it never gets one."""


class WaitingLine:
    """The line of one set in one process."""

    def __init__(self, limits: QueueLimits, turns: Turns) -> None:
        self.limits = limits
        self._turns = turns
        self.waiting: deque[Waiter] = deque()
        """Who waits in this process; others only look whether somebody does."""
        self._lock = threading.Lock()
        self._is_watched = False

    def __len__(self) -> int:
        return len(self.waiting)

    def use(self, limits: QueueLimits) -> None:
        """Go by other limits, for who comes from now on."""
        self.limits = limits

    def lets_pass(self) -> bool:
        """Whether a request that has just come may take room: nobody waits for it."""
        return not self.waiting and not self._turns.is_anothers(monotonic())

    def wait(
        self,
        request: Request,
        take: Callable[[], LiveBackend],
        error: UnavailableError,
        patience_s: float | None = None,
        *,
        most_s: float = inf,
    ) -> LiveBackend:
        """The backend that `take` finds in time, for a request that met `error`.

        It decides how long that is, if `patience_s` does not; never more than `most_s`.

        Raises:
            FullError: the line is full, or there was no room in time.
            UnavailableError: no backend came up in time.
            ClientGoneError: the client left meanwhile.
        """
        if patience_s is None:
            is_full = isinstance(error, FullError)
            patience_s = self.limits.timeout_s if is_full else self.limits.hold_s
        patience_s = min(patience_s, most_s)
        if patience_s <= 0:
            raise error
        waiter = Waiter(request, take, patience_s, error)
        try:
            self._join(waiter)
            self._watch()
            waiter.event.wait(patience_s + LATE_S)
        finally:
            # Served or not is settled then: it is not in line any more.
            self._leave(waiter)
        if waiter.backend is None:
            raise waiter.error
        return waiter.backend

    def serve(self) -> None:
        """Give what room there is to the first in line; drop who needs none any more.

        Costs nothing while nobody waits.
        """
        while self.waiting and self._serve_first():
            pass

    def _serve_first(self) -> bool:
        """Whether the first in line is done with; False while it has to wait."""
        with self._lock:
            if not self.waiting:
                return False
            waiter = self.waiting[0]
            if not _is_over(waiter):
                if self._turns.is_anothers(waiter.since):
                    return False
                try:
                    waiter.backend = waiter.take()
                except UnavailableError as error:
                    # Its frames refer to the waiter; so it needs no collector.
                    waiter.error = error.with_traceback(None)
                    return False
                except Exception as error:  # noqa: BLE001 - raised to whose it is
                    waiter.error = error
            self.waiting.popleft()
            waiter.is_in_line = False
            self._tell()
            waiter.event.set()
            return True

    def _join(self, waiter: Waiter) -> None:
        with self._lock:
            if len(self.waiting) >= self.limits.size:
                raise FullError(f"{self.limits.size} requests wait already")
            self.waiting.append(waiter)
            waiter.is_in_line = True
            self._tell()

    def _leave(self, waiter: Waiter) -> None:
        with self._lock:
            if waiter.is_in_line:
                self.waiting.remove(waiter)
                self._tell()

    def _tell(self) -> None:
        """Let other processes know since when the first of this one waits."""
        waiting = self.waiting
        self._turns.wait_since(waiting[0].since if waiting else None)

    def _watch(self) -> None:
        with self._lock:
            if self._is_watched:
                return
            self._is_watched = True
        try:
            threading.Thread(target=self._look, name="queue", daemon=True).start()
        except RuntimeError:  # no more threads: the next in line tries again
            self._is_watched = False

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            begun = monotonic()
            self._drop_those_behind()
            self.serve()
            took_s = monotonic() - begun
            with self._lock:
                if not self.waiting:
                    self._is_watched = False
                    return
            # A very long line is looked at more rarely, or it would be all we do.
            pause.wait(max(LOOK_S, LOOK_SHARE * took_s))

    def _drop_those_behind(self) -> None:
        """End the waits, anywhere in line, of clients that left, and those too long."""
        with self._lock:
            over = [waiter for waiter in self.waiting if _is_over(waiter)]
            if not over:
                return
            for waiter in over:
                waiter.is_in_line = False
                waiter.event.set()
            left = [waiter for waiter in self.waiting if waiter.is_in_line]
            self.waiting.clear()
            self.waiting.extend(left)
            self._tell()


def _is_over(waiter: Waiter) -> bool:
    """Whether it has waited long enough, or for nobody."""
    if waiter.request.is_abandoned:
        waiter.error = ClientGoneError("the client left the queue")
        return True
    return waiter.deadline <= monotonic()
