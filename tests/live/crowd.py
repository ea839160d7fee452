"""Many clients and backends that count for themselves, in one event loop.

They know nothing of the balancer: a backend counts what it has to do at once, and
clients what they are answered, and how late. Cheap enough for 10,000 requests a
second beside the balancer on two cores.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

END = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nX-Backend: %b\r\nContent-Length: 2\r\n\r\nok"


class CountingBackend:
    """Answers each request 200 after `takes_s` seconds, and counts meanwhile.

    All at once, or (`one_by_one`) each when it is done with those before it.
    """

    def __init__(
        self, name: str, *, takes_s: float = 0.0, one_by_one: bool = False
    ) -> None:
        self.name = name
        self.takes_s = takes_s
        self.one_by_one = one_by_one
        self.free_at = 0.0
        self.port = 0
        self.answer = OK % name.encode()
        self.served = self.at_once = self.most_at_once = self.connections = 0

    @property
    def address(self) -> str:
        """As `LB_BACKENDS` wants it, with its name."""
        return f"{self.name}=127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Begin to count anew."""
        self.served = self.most_at_once = self.connections = 0


class _Serving(asyncio.Protocol):
    """One connection to a counting backend; requests without bodies."""

    def __init__(
        self, backend: CountingBackend, opened: set[asyncio.Transport]
    ) -> None:
        self._backend = backend
        self._open = opened
        self._loop = asyncio.get_running_loop()
        self._is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)
        self._backend.connections += 1

    def data_received(self, data: bytes) -> None:
        assert data.endswith(END), "a whole head at a time"
        assert not self._is_busy, "one request at a time"
        backend = self._backend
        self._is_busy = True
        backend.at_once += 1
        backend.most_at_once = max(backend.most_at_once, backend.at_once)
        if backend.one_by_one:
            now = self._loop.time()
            backend.free_at = max(now, backend.free_at) + backend.takes_s
            self._loop.call_at(backend.free_at, self._finish)
        elif backend.takes_s:
            self._loop.call_later(backend.takes_s, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        if self._is_busy:
            self._is_busy = False
            self._backend.at_once -= 1
            self._backend.served += 1
            self._transport.write(self._backend.answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)
        if self._is_busy:
            self._is_busy = False
            self._backend.at_once -= 1


class Tally:
    """What clients got: answers by status, latencies, and requests never answered."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.lost = 0

    def percentile(self, share: float) -> float:
        """The latency in seconds that this share of the answers kept to."""
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]


class _Asking(asyncio.Protocol):
    """One client that asks again when it has its answer, as long as it may."""

    def __init__(self, tally: Tally, request: bytes, may_ask: Callable[[], bool]):
        self._tally = tally
        self._request = request
        self._may_ask = may_ask
        self._rest = b""
        self._is_asking = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._is_asking = self._may_ask()
        if self._is_asking:
            self._asked_at = monotonic()
            self._transport.write(self._request)
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        head, end, body = data.partition(END)
        at = head.lower().find(b"content-length: ")
        if not end or len(body) < int(head[at + 16 :].split(b"\r\n", 1)[0]):
            self._rest = data
            return
        self._rest = b""
        self._tally.statuses[int(head[9:12])] += 1
        self._tally.latencies.append(monotonic() - self._asked_at)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.lost += self._is_asking
        if not self.ended.done():
            self.ended.set_result(None)


class Crowd:
    """The event loop of backends and clients; it runs until the block ends."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Transport] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def backend(
        self, name: str, *, takes_s: float = 0.0, one_by_one: bool = False
    ) -> CountingBackend:
        """A counting backend that listens on a free port."""
        made = CountingBackend(name, takes_s=takes_s, one_by_one=one_by_one)
        server = self._run(
            self._loop.create_server(
                lambda: _Serving(made, self._open), "127.0.0.1", 0, backlog=1024
            )
        )
        self._servers.append(server)
        made.port = server.sockets[0].getsockname()[1]
        return made

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something while clients ask."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, what)

    def ask(
        self,
        port: int,
        *,
        clients: int,
        requests: int = 0,
        seconds: float = 0.0,
        target: bytes = b"/",
        timeout_s: float = 40.0,
    ) -> Tally:
        """What `clients` got that asked again and again, each on one connection.

        So often in all (as near as each ends its last), or for so long.
        """
        tally = Tally()
        wire = b"GET %b HTTP/1.1\r\nHost: crowd\r\n\r\n" % target
        asked = 0
        until = monotonic() + seconds

        def may_ask() -> bool:
            nonlocal asked
            asked += 1
            return asked <= requests if requests else monotonic() < until

        async def run() -> None:
            made = [
                await self._loop.create_connection(
                    lambda: _Asking(tally, wire, may_ask), "127.0.0.1", port
                )
                for _ in range(clients)
            ]
            ends = [asking.ended for _, asking in made]
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.gather(*ends)
            for transport, asking in made:
                transport.abort()
                await asking.ended

        self._run(run(), timeout_s + DEADLINE_S)
        return tally

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for transport in self._open:
            transport.abort()
        while self._open:
            await asyncio.sleep(0)

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float = DEADLINE_S) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)
