"""A load of requests at fixed times, however long the responses take (an open loop).

Users do not wait for each other. A latency here begins at the time when its request
was due, sent or not, so a proxy that stalls is charged for everybody who came
meanwhile; a closed loop would just ask less ("coordinated omission"). wrk has no such
mode. The time that this generator itself is late is in the figures, for all peers.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from bench.errors import RunVoidError
from bench.figures import percentile
from bench.measurement import LoadResult

if TYPE_CHECKING:
    from bench.exact import Address
    from bench.workloads import Workload

MOST_CONNECTIONS: Final = 512
"""A request for which none is free waits, and its latency grows."""

PATIENCE_S: Final = 2.0
"""How long after the last due time the last responses may come."""

TIMEOUT_S: Final = 5.0

MOST_BYTES: Final = 65_536
"""Size of a response, with its head."""


class OpenLoop:
    """Requests due every 1 / rate seconds from now on, over a pool of connections."""

    def __init__(self, address: Address, workload: Workload) -> None:
        self._address = address
        self._workload = workload
        self._request = workload.head(0) + workload.sent()
        self._answer = workload.answer()
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._free: list[int] = []
        self._due_at: dict[int, float] = {}
        self._partial: dict[int, bytes] = {}
        self._waiting: deque[float] = deque()
        self._latencies_us: list[float] = []
        self._received = 0

    def run(self, seconds: float) -> LoadResult:
        """Send for `seconds`, then await the rest.

        Raises:
            RunVoidError: a response is wrong, or they do not come in time.
            OSError: a connection broke.
        """
        try:
            for _ in range(self._workload.connections):
                self._free.append(self._connect())
            return self._loop(int(seconds * self._workload.rate))
        finally:
            self._poll.close()
            for sock in self._sockets.values():
                sock.close()

    def _loop(self, count: int) -> LoadResult:
        begun = time.perf_counter()
        interval = 1 / self._workload.rate
        give_up = begun + count * interval + PATIENCE_S
        due = 0
        while len(self._latencies_us) < count:
            now = time.perf_counter()
            while due < count and begun + due * interval <= now:
                self._waiting.append(begun + due * interval)
                due += 1
            self._send_waiting()
            if now > give_up:
                raise RunVoidError(
                    f"of {count} requests at {self._workload.rate} per second only "
                    f"{len(self._latencies_us)} were answered in time"
                )
            until = begun + due * interval if due < count else give_up
            self._receive(max(0.0, until - time.perf_counter()))
        return self._result(time.perf_counter() - begun)

    def _send_waiting(self) -> None:
        while self._waiting:
            if self._free:
                fd = self._free.pop()
            elif len(self._sockets) < MOST_CONNECTIONS:
                fd = self._connect()
            else:
                return
            self._due_at[fd] = self._waiting.popleft()
            self._sockets[fd].send(self._request)

    def _connect(self) -> int:
        sock = socket.create_connection(self._address, TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._poll.register(fd, select.EPOLLIN)
        return fd

    def _receive(self, timeout_s: float) -> None:
        # epoll_wait counts in milliseconds, in which five requests are due; select
        # on the one descriptor of the epoll is exact.
        select.select([self._poll], [], [], timeout_s)
        for fd, _ in self._poll.poll(0):
            more = self._sockets[fd].recv(MOST_BYTES)
            if not more:
                raise RunVoidError("a connection was closed")
            data = self._partial.pop(fd, b"") + more
            if self._is_whole(data):
                now = time.perf_counter()
                self._latencies_us.append((now - self._due_at.pop(fd)) * 1e6)
                self._received += len(data)
                self._free.append(fd)
            else:
                self._partial[fd] = data

    def _is_whole(self, data: bytes) -> bool:
        """Whether this is the right response, or (False) the beginning of one."""
        head, end, body = data.partition(b"\r\n\r\n")
        if end and body == self._answer and head.startswith(b"HTTP/1.1 200 "):
            return True
        if end and (len(body) >= len(self._answer) or b" 200 " not in head[:13]):
            raise RunVoidError(f"a wrong response: {data[:80]!r}")
        if len(data) > MOST_BYTES:
            raise RunVoidError(f"more than {MOST_BYTES} bytes and no whole response")
        return False

    def _result(self, elapsed_s: float) -> LoadResult:
        ordered = sorted(self._latencies_us)
        return LoadResult(
            requests=len(ordered),
            elapsed_s=elapsed_s,
            received_bytes=self._received,
            p50_us=percentile(ordered, 0.5),
            p99_us=percentile(ordered, 0.99),
            p999_us=percentile(ordered, 0.999),
        )


def run(address: Address, workload: Workload, *, seconds: float) -> LoadResult:
    """Load one address at the workload's rate for `seconds`.

    Raises:
        RunVoidError: a response is wrong or late beyond measure, or a connection broke.
    """
    try:
        return OpenLoop(address, workload).run(seconds)
    except OSError as error:
        raise RunVoidError(f"a connection failed: {error}") from error
