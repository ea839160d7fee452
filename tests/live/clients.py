"""Clients that ask again and again, count all that fails, and know when and where.

Each request of theirs has a story: when its connection was made and from which port,
when it began and ended, and how far its answer came. So a test can say of each failed
one whether it had to be.
"""

from __future__ import annotations

import asyncio
import threading
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count
from time import monotonic, time
from typing import TYPE_CHECKING, Self

from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

GET = b"GET / HTTP/1.1\r\nHost: faults\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: faults\r\nContent-Length: %d\r\n\r\n%b"
END = b"\r\n\r\n"

AGAIN_S = 0.05
"""After a refused connect: a dead balancer is not worth a busy loop."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A request without a whole answer of status 200; times are unix seconds.

    `status` is 0 where no whole answer came, and `has_begun` whether part of one did;
    `port` is the client's, `connected` when it was connected.
    """

    is_post: bool
    status: int
    has_begun: bool
    port: int
    connected: float
    began: float
    ended: float


class Clients:
    """`gets` clients that GET and `posts` that POST, again and again, until it ends.

    Each on a connection of its own, which it replaces when it was closed, and with a
    pause of `pause_s()` seconds between two requests.
    """

    def __init__(
        self,
        port: int,
        *,
        gets: int = 12,
        posts: int = 4,
        pause_s: Callable[[], float] | None = None,
    ) -> None:
        self.port = port
        self.pause_s = pause_s
        self.is_over = False
        self.ids = count(1)
        self.statuses: Counter[int] = Counter()
        """Answers to idempotent requests; 0 for those that got none, or no whole one."""
        self.posted: Counter[int] = Counter()
        """The same of the others."""
        self.failed: list[Failed] = []
        self.worst_s = 0.0
        """The longest that an idempotent request has waited."""
        self.answers: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        """When each good answer came, by the backend that gave it."""
        self._kinds = [False] * gets + [True] * posts
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over = True
        self._thread.join(2 * DEADLINE_S)
        assert not self._thread.is_alive()

    @property
    def failures(self) -> list[Failed]:
        """The idempotent requests that failed."""
        return [each for each in self.failed if not each.is_post]

    def wait_answers(self, more: int) -> None:
        """Return when so many more idempotent requests are over."""
        start = self.statuses.total()
        wait_for(lambda: self.statuses.total() >= start + more, f"{more} answers")

    def wait_served_by(
        self, name: str, after: float, *, timeout_s: float = DEADLINE_S
    ) -> float:
        """How long after unix time `after` that backend gave its first answer."""
        wait_for(
            lambda: self.first_answer(name, after) is not None,
            f"an answer by {name}",
            timeout_s=timeout_s,
        )
        at = self.first_answer(name, after)
        assert at is not None
        return at - after

    def first_answer(self, name: str, after: float) -> float | None:
        """When that backend first answered well after unix time `after`."""
        times = self.answers[name]
        at = bisect_left(times, after)
        return times[at] if at < len(times) else None

    def count_between(self, name: str, begin: float, end: float) -> int:
        """Its good answers between two unix times."""
        times = self.answers[name]
        return bisect_left(times, end) - bisect_left(times, begin)

    def report(self, what: str) -> str:
        """One line for people."""
        failures = len(self.failures)
        return (
            f"{what}: {self.statuses.total()} idempotent requests, {failures} failed,"
            f" worst wait {self.worst_s * 1000:.0f} ms; {self.posted.total()} POSTs,"
            f" {self.posted[200]} answered 200"
        )

    async def _run(self) -> None:
        asking = [Asking(self, is_post) for is_post in self._kinds]
        await asyncio.gather(*(each.run() for each in asking))

    def over(
        self, asking: Asking, status: int, *, name: str = "", begun: bool = False
    ) -> None:
        """A request has ended: well, badly, or without a whole answer (status 0)."""
        now = time()
        (self.posted if asking.is_post else self.statuses)[status] += 1
        if not asking.is_post:
            self.worst_s = max(self.worst_s, monotonic() - asking.asked)
        if status == 200:
            self.answers[name].append(now)
            return
        story = (begun, asking.port, asking.connected, asking.began, now)
        self.failed.append(Failed(asking.is_post, status, *story))


class Asking(asyncio.Protocol):
    """One client, with one connection at a time."""

    def __init__(self, clients: Clients, is_post: bool) -> None:
        self._clients = clients
        self.is_post = is_post
        self.port = 0
        self.connected = self.began = self.asked = 0.0
        self._is_asking = False
        self._data = b""
        self._next: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Ask until it is over."""
        loop = asyncio.get_running_loop()
        while not self._clients.is_over:
            self._lost.clear()
            self.began, self.asked = time(), monotonic()
            try:
                await loop.create_connection(
                    lambda: self, "127.0.0.1", self._clients.port
                )
            except OSError:
                self._clients.over(self, 0)
                await asyncio.sleep(AGAIN_S)
                continue
            await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        self.connected = time()
        self._data = b""
        self._ask()

    def _ask(self) -> None:
        if self._clients.is_over or self._transport.is_closing():
            self._transport.close()
            return
        self._is_asking = True
        self.began, self.asked = time(), monotonic()
        wire = GET
        if self.is_post:
            number = b"%d" % next(self._clients.ids)
            wire = POST % (len(number), number)
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data if self._data else data
        head, end, body = data.partition(END)
        if not end:
            return
        fields = head.lower()
        if len(body) < int(_field(fields, b"content-length: ") or b"0"):
            return
        self._data = b""
        self._is_asking = False
        name = _field(fields, b"x-backend: ").decode()
        self._clients.over(self, int(head[9:12]), name=name)
        if b"connection: close" in fields:
            self._transport.close()
        elif (pause_s := self._clients.pause_s) is not None:
            loop = asyncio.get_running_loop()
            self._next = loop.call_later(pause_s(), self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_asking:
            self._is_asking = False
            self._clients.over(self, 0, begun=bool(self._data))
        if self._next is not None:
            self._next.cancel()
        self._lost.set()


def _field(fields: bytes, name: bytes) -> bytes:
    """The value behind `name` in lower-case header lines; empty for none."""
    at = fields.find(name)
    return fields[at + len(name) :].split(b"\r\n", 1)[0] if at >= 0 else b""
