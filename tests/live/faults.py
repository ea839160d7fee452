"""Faulty backends as a test drives them, and clients that count all that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Self

from tests.processes import ROOT, free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from pathlib import Path

GET = b"GET / HTTP/1.1\r\nHost: faults\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: faults\r\nContent-Length: %d\r\n\r\n%b"


class FaultyBackend:
    """`tests.live.faulty` in a process of its own, which may be killed and stopped."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._posts = folder / f"posts-{name}"
        self.start()

    @property
    def address(self) -> str:
        """As `LB_BACKENDS` wants it, with its name."""
        return f"{self.name}=127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen (again)."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.live.faulty"),
                *(str(self.port), self.name, str(self._posts)),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear("listens")

    def do(self, fault: str, share: float = 1.0) -> None:
        """From now on, do that to such a share of all requests."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{fault} {share}\n")
        self.process.stdin.flush()
        self._hear("done")

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def kill(self) -> None:
        """As by `kill -9`; may be called twice."""
        with self.process:
            self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, and nobody answers."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def posts(self) -> Counter[bytes]:
        """How often each POST came here, over all of its lives."""
        return Counter(self._posts.read_bytes().split())


class Clients:
    """`gets` clients that GET and `posts` that POST, again and again, until it ends.

    Each on a connection of its own, which it replaces when it was closed.
    """

    def __init__(self, port: int, *, gets: int = 12, posts: int = 4) -> None:
        self._port = port
        self._kinds = [False] * gets + [True] * posts
        self._ids = count(1)
        self._is_over = False
        self.statuses: Counter[int] = Counter()
        """Answers to idempotent requests; 0 for those that got none."""
        self.posted: Counter[int] = Counter()
        """The same of the others."""
        self.worst_s = 0.0
        """The longest that an idempotent request has waited."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join(2 * DEADLINE_S)
        assert not self._thread.is_alive()

    @property
    def failures(self) -> int:
        """Idempotent requests without an answer of status 200."""
        return self.statuses.total() - self.statuses[200]

    def wait_answers(self, more: int) -> None:
        """Return when so many more requests are over."""
        start = self.statuses.total()
        wait_for(lambda: self.statuses.total() >= start + more, f"{more} answers")

    def report(self, what: str) -> str:
        """One line for people."""
        return (
            f"{what}: {self.statuses.total()} idempotent requests, {self.failures}"
            f" failed, worst wait {self.worst_s * 1000:.0f} ms;"
            f" {self.posted.total()} POSTs, {self.posted[200]} answered 200"
        )

    async def _run(self) -> None:
        await asyncio.gather(*(self._ask_on(is_post) for is_post in self._kinds))

    async def _ask_on(self, is_post: bool) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._is_over:
            began = monotonic()
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                status, keeps = await self._ask(*streams, is_post)
            except (OSError, EOFError, ValueError):
                status, keeps = 0, False
            if is_post:
                self.posted[status] += 1
            else:
                self.statuses[status] += 1
                self.worst_s = max(self.worst_s, monotonic() - began)
            if (self._is_over or not keeps) and streams is not None:
                writer, streams = streams[1], None
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_post: bool
    ) -> tuple[int, bool]:
        """The status, and whether the connection may be used again."""
        number = b"%d" % next(self._ids)
        writer.write(POST % (len(number), number) if is_post else GET)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        await reader.readexactly(length)
        return int(head[9:12]), b"connection: close" not in head
