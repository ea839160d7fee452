"""A backend's live state in one process: its idle connections and its cells.

Its identity (`lb.model.Backend`) is configured; this is what traffic makes of it.
Idle connections are kept last in, first out, so that a burst's surplus grows old
and is closed while the few that are needed stay warm.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import ConnectRefusedError, ConnectTimeoutError
from lb.model import Verdict, Wish
from lb.shm import FULL_SHARE, RowCells
from lb.streams.stream import NEVER
from lb.upstream.connection import Connection
from lb.upstream.idle_limit import IdleLimit

if TYPE_CHECKING:
    from lb.http1.response import ResponseParser
    from lb.model import Backend
    from lb.shm import Standing
    from lb.streams.stream import Transport


NO_CELLS: Final = RowCells(0, -1, -1, -1, -1)
"""Of a backend that the roster has not placed yet."""


LOOK_S: Final = 0.25
ALIVE_S: Final = 0.1
"""How long to look whether a backend is dead, and to believe that it is not."""

CROSSED_S: Final = 0.25
"""A close that comes later did not cross the request: it says nothing of idle times."""

NO_DEATH: Final = frozenset({EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL})
"""Why a connect may fail though its backend lives: that has a full queue (as a unix
socket tells it), or this machine lacks the means."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of one backend's idle connections in one process.

    `idle` is a count; `idle_s` and `age_s` are seconds since last use and birth.
    """

    idle: int
    idle_s: float
    age_s: float


class LiveBackend:
    """One backend as this process uses it.

    `row` is its place in the shared table, `id` its identity there, `cells` where
    this process counts for it.
    """

    __slots__ = (
        "_alive_until",
        "_connections",
        "_idle",
        "_limits",
        "_parser",
        "_transport",
        "address",
        "cells",
        "grace_began",
        "group",
        "head_time_s",
        "id",
        "idle_limit",
        "is_available",
        "is_backup",
        "is_judged",
        "is_usable",
        "is_wanted",
        "max_in_flight",
        "name",
        "own_weight",
        "row",
        "share",
        "weight",
        "why_not",
    )

    def __init__(
        self,
        backend: Backend,
        transport: Transport,
        parser: ResponseParser,
        limits: PoolLimits,
    ) -> None:
        self.name = backend.name
        self.address = backend.address
        self.group = backend.group
        self.row = self.id = -1
        self.cells = NO_CELLS
        self.head_time_s = 0.0
        """Seconds to a response head, lately (EWMA); 0.0 while unknown."""
        self.is_wanted = self.is_judged = self.is_available = True
        """See `lb.balance.line_up`, as the shared file says it."""
        self.share = FULL_SHARE
        """Percent of its weight that it gets."""
        self.is_usable = True
        """Whether it may get requests: it is available, or its set is in panic."""
        self.why_not = ""
        """Why it is not available: the verdict, traffic, or somebody's wish."""
        self.configure(backend)
        self._transport = transport
        self._parser = parser
        self._limits = limits
        self.idle_limit = IdleLimit(limits.idle_s)
        """How long its idle connections are kept, as learned here."""
        # append, pop and remove of a deque are atomic: threads may share it.
        self._idle: deque[Connection] = deque()
        self._connections: set[Connection] = set()
        self._alive_until = 0.0
        self.grace_began = -inf
        """When its failures were last forgiven (`lb.proxy.budget`), monotonic."""

    def configure(self, backend: Backend) -> None:
        """Take what may change of a backend that stays the same."""
        self.own_weight = self.weight = backend.weight
        self.max_in_flight = backend.max_in_flight
        self.is_backup = backend.backup

    def heed(self, wish: Wish, standing: Standing) -> bool:
        """Take what operator and checker say of it; whether that is something new."""
        before = self.is_wanted, self.is_judged, self.is_available, self.share
        why_not = ""
        if wish is not Wish.READY:
            why_not = wish.name.lower()
        elif not standing.share:
            why_not = "own_wish"
        self.is_wanted = not why_not
        if standing.verdict is Verdict.DOWN:
            why_not = why_not or "down"
        elif standing.is_ejected:
            why_not = why_not or "ejected"
        self.why_not = why_not
        self.is_judged = standing.is_good or not standing.is_gone
        self.is_available = self.is_usable = not why_not
        self.share = standing.share
        return before != (
            self.is_wanted,
            self.is_judged,
            self.is_available,
            self.share,
        )

    def use(self, parser: ResponseParser, limits: PoolLimits) -> None:
        """Go by other limits; idle connections beyond them are closed, oldest first."""
        self._parser = parser
        self._limits = limits
        self.idle_limit.bound(limits.idle_s)
        while len(self._idle) > limits.idle:
            try:
                connection = self._idle.popleft()
            except IndexError:  # another thread took the last one
                return
            connection.is_idle = False
            connection.close()

    def __repr__(self) -> str:
        return f"<LiveBackend {self.name} idle={len(self._idle)}>"

    @property
    def idle_connections(self) -> int:
        """How many connections wait to be used again."""
        return len(self._idle)

    def take_idle(self, now: float, *, is_precious: bool = False) -> Connection | None:
        """A live idle connection, the youngest first, or None. Amortised O(1).

        For a request that could not be sent again (`is_precious`), the kernel is
        asked whether the backend has closed it: the event loop may not know yet.
        """
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            connection.is_idle = False
            if (
                connection.stream.is_quiet()
                and not (is_precious and connection.stream.has_input())
                and now <= connection.expires
            ):
                connection.stream.deadline = NEVER
                connection.taken_at = now
                return connection
            self._learn(connection, now)
            connection.close()
        return None

    def connect(self, timeout_s: float) -> Connection:
        """A new connection. Raises what `Transport.connect` raises."""
        stream = self._transport.connect(self.address, timeout_s)
        connection = Connection(self, stream, self._parser)
        self._connections.add(connection)
        return connection

    def is_dead(self, timeout_s: float) -> bool:
        """Whether nobody listens there now; looked at ten times a second at most.

        Who does not answer in time may be alive, and so may who answered lately.
        """
        now = monotonic()
        if now < self._alive_until:
            return False
        try:
            self._transport.connect(self.address, min(timeout_s, LOOK_S)).close()
        except ConnectRefusedError as error:
            if getattr(error.__cause__, "errno", None) not in NO_DEATH:
                return True
        except ConnectTimeoutError:
            pass
        self._alive_until = now + ALIVE_S
        return False

    def forget(self, connection: Connection) -> None:
        """It was closed."""
        self._connections.discard(connection)

    def under_way(self) -> list[Connection]:
        """The connections that carry a request or a tunnel and were not cut. O(n).

        Connects that are under way come later, so this is to be asked again.
        """
        found = list(self._connections)
        return [each for each in found if not (each.is_idle or each.is_cut)]

    def put(self, connection: Connection, now: float) -> None:
        """Keep a connection for another request, or close it when it cannot be."""
        stream = connection.stream
        if (
            not connection.is_reusable
            or not self.is_usable
            or not stream.is_quiet()
            or len(self._idle) >= self._limits.idle
            or now > (too_old := connection.born + self._limits.age_s)
        ):
            connection.close()
            return
        connection.is_idle = True
        connection.idle_since = now
        expires = now + self.idle_limit.keep_s
        stream.deadline = connection.expires = min(expires, too_old)
        self._idle.append(connection)

    def discard(self, connection: Connection) -> None:
        """Drop an idle connection that its backend closed or that is too old."""
        try:
            self._idle.remove(connection)
        except ValueError:  # taken meanwhile by another thread
            return
        connection.is_idle = False
        self._learn(connection, monotonic())
        connection.close()

    def _learn(self, connection: Connection, now: float) -> None:
        """From an idle connection that its backend closed, or that expired."""
        idle_s, limit = now - connection.idle_since, self.idle_limit
        if now <= connection.expires:
            limit.lost(idle_s, now)
        elif idle_s >= limit.keep_s:
            limit.outlived(now)

    def lost_in_use(self, connection: Connection) -> None:
        """Learn from one that was closed without an answer after it had been idle."""
        now = monotonic()
        if now - connection.taken_at < CROSSED_S:
            self.idle_limit.lost(connection.taken_at - connection.idle_since, now)

    def close_idle(self) -> None:
        """Close every idle connection: the backend is down, drains or is gone."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.is_idle = False
            connection.close()
