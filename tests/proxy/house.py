"""Backends with limits behind a real engine, whose connects and answers always work.

Everything is real but the streams: the shared file, its slots, the set, its line.
Requests run in threads, as in the portable lane.
"""

from __future__ import annotations

import math
import threading
from time import monotonic
from typing import TYPE_CHECKING

from lb.balance.round_robin import RoundRobin
from lb.errors import ConnectRefusedError
from lb.http1.request import RequestParser
from lb.http1.response import ResponseParser
from lb.model import Address, Backend
from lb.proxy.asker import Timeouts
from lb.proxy.backend_set import BackendSet
from lb.proxy.engine import Engine
from lb.proxy.exchange import Request, Response
from lb.proxy.loads import LiveLoads
from lb.proxy.roster import Roster
from lb.proxy.tally import LockedTally
from lb.proxy.waiting import QueueLimits, WaitingLine
from lb.shm import SharedFile, publish
from lb.upstream.backend import LiveBackend, PoolLimits
from tests.shm.present import present
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Answering:
    """A stream that answers each request it is sent, unless it is stale.

    `before_read` is called before each read.
    """

    def __init__(self) -> None:
        self.deadline = math.inf
        self.on_event: Callable[[], None] | None = None
        self.before_read: Callable[[], None] = lambda: None
        self.is_closed = self.is_stale = False

    def write(self, data: bytes) -> None:
        pass

    def read(self) -> bytes:
        self.before_read()
        return b"" if self.is_stale else OK

    def has_input(self) -> bool:
        return False

    def is_quiet(self) -> bool:
        return not self.is_closed

    def close(self) -> None:
        self.is_closed = True


class Transport:
    """Connects to every port that is not in `refused`."""

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.asked: list[int] = []
        self.made: list[Answering] = []

    def connect(self, address: Address, timeout_s: float) -> Answering:
        self.asked.append(address.port)
        if address.port in self.refused:
            raise ConnectRefusedError("refused")
        self.made.append(Answering())
        return self.made[-1]


def a_request(method: bytes = b"GET") -> Request:
    """A request as the fast lane makes it."""
    data = b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method
    head = RequestParser(limit_bytes=4096).parse(data)
    assert head is not None
    return Request(head, data, began=monotonic())


class Guest:
    """A request in a thread of its own; over once `settle` could be waited for."""

    def __init__(self, engine: Engine, *, method: bytes = b"GET") -> None:
        self.request = a_request(method)
        self.response: Response | None = None
        self.error: Exception | None = None
        self._engine = engine
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.response = self._engine.exchange(self.request)
        except Exception as error:  # noqa: BLE001 - for the test to judge
            self.error = error

    @property
    def is_settled(self) -> bool:
        """Whether it has a response, or an error."""
        return self.response is not None or self.error is not None

    def settle(self) -> Guest:
        """The same, when it has a response or an error."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "it still waits"
        return self

    def leave(self) -> None:
        """It has all of its response."""
        assert self.settle().response is not None, self.error
        assert self.response is not None
        self.response.finish()


class House:
    """The process under test, and what stands around it; `close` it."""

    def __init__(
        self, path: Path, backends: Sequence[Backend], queue: QueueLimits
    ) -> None:
        publish(path, backends)
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        self.transport = Transport()
        self.tally = LockedTally(self.slot)
        self.loads = LiveLoads(self.file.in_flight_reader())
        self.line = WaitingLine(queue, self.slot.turns("default"))
        self.set: BackendSet = BackendSet(
            "default",
            RoundRobin(0),
            policy_name="round_robin",
            attempts=3,
            line=self.line,
            tally=self.tally,
            loads=self.loads,
        )
        parser = ResponseParser(limit_bytes=4096)
        limits = PoolLimits(idle=50, idle_s=60, age_s=600)
        self.roster = Roster(
            self.file,
            self.slot,
            {"default": self.set},
            lambda b: LiveBackend(b, self.transport, parser, limits),  # type: ignore[arg-type]
        )
        self.engine = Engine(
            self.roster,
            self.tally,
            Timeouts(connect_s=1, response_s=1, idle_s=1),
            find_set=lambda _: self.set,
        )

    def come(self, method: bytes = b"GET") -> Guest:
        """One more request, which is served, refused or in line now."""
        before = len(self.line)
        guest = Guest(self.engine, method=method)
        wait_for(
            lambda: guest.is_settled or len(self.line) > before, "it to find its place"
        )
        return guest

    def in_flight(self, row: int = 0) -> int:
        """Requests under way at a backend, over all processes."""
        return self.file.in_flight(row)

    def live(self, name: str) -> LiveBackend:
        """This process's object for a backend."""
        self.roster.refresh()
        (found,) = (b for b in self.roster.backends if b.name == name)
        return found

    def close(self) -> None:
        """Everything must be over."""
        assert not len(self.line)
        rows = self.file.geometry.rows
        assert [self.in_flight(row) for row in range(rows)] == [0] * rows
        self.slot.release()
        self.file.close()


class Rival:
    """Another process that uses the same file: its own slot, line and counts."""

    def __init__(self, path: Path) -> None:
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        self.turns = self.slot.turns("default")
        self.in_flight = 0

    def enter(self, row: int = 0) -> None:
        """It has one request more under way at a backend."""
        self.file.cells[present(self.file, self.slot, row).in_flight] += 1
        self.in_flight += 1

    def leave(self, row: int = 0) -> None:
        """One less."""
        self.file.cells[present(self.file, self.slot, row).in_flight] -= 1
        self.in_flight -= 1

    def close(self) -> None:
        """It leaves in order."""
        self.slot.release()
        self.file.close()


def backend(number: int, *, limit: int = 0, backup: bool = False) -> Backend:
    """Backend `b1`, `b2`, ... at the port of its number."""
    address = Address("127.0.0.1", number)
    return Backend(f"b{number}", address, max_in_flight=limit, backup=backup)
