"""A backend in a process of its own that fails on command, and counts each POST.

    python -m tests.live.faulty PORT NAME FILE

It listens on PORT of loopback, answers every request 200 with NAME after 2 ms, and
appends the body of each POST to FILE as a line, when it has come and before anything
else happens to it. A line on standard input says what it does from then on: a fault
and the share of requests that meet it, as in `reset 0.1`; `well` for none. With
`idle 0.6` it closes connections that were idle for so many seconds, without a word
before. Each line is answered with what it has seen so far, as JSON.

SIGTERM lets it finish what it has begun, with `Connection: close`, and end.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import struct
import sys
from pathlib import Path
from time import time
from typing import Final

TAKES_S: Final = 0.002
RESET: Final = struct.pack("ii", 1, 0)
END: Final = b"\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\nX-Backend: %b\r\nContent-Length: %d\r\n%b\r\n"
CLOSE: Final = b"Connection: close\r\n"

LOSES_S: Final = 0.1
"""How long it has decided to close an idle connection, and reads no more, before it
does: what comes meanwhile is lost, as at a server whose event loop is busy."""


class Behaviour:
    """What it does to a request; changed by lines on standard input."""

    def __init__(self, name: str, posts: int) -> None:
        self.name = name.encode()
        self.posts = posts
        self.fault = "well"
        self.share = 0.0
        self.idle_s = 0.0
        self.is_leaving = False
        self.open: set[Serving] = set()
        self.requests = 0
        self.last_at = 0.0

    def change(self) -> None:
        line = sys.stdin.readline().split()
        if not line:
            os._exit(0)
        number = float(line[1]) if line[1:] else 1.0
        if line[0] == "idle":
            self.idle_s = number
        elif line[0] != "tell":
            self.fault, self.share = line[0], number
        seen = {
            "requests": self.requests,
            "open": len(self.open),
            "last_at": self.last_at,
        }
        print(json.dumps(seen), flush=True)

    def draw(self) -> str:
        """The fault of this request."""
        return self.fault if random.random() < self.share else "well"

    def leave(self, server: asyncio.Server) -> None:
        """End when the last connection does; those without a request end now."""
        self.is_leaving = True
        server.close()
        for serving in list(self.open):
            serving.leave()
        self.end_if_left()

    def end_if_left(self) -> None:
        if self.is_leaving and not self.open:
            os._exit(0)


class Serving(asyncio.Protocol):
    """One connection."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._data = b""
        self._is_busy = False
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._behaviour.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stay()
        self._behaviour.open.discard(self)
        self._behaviour.end_if_left()

    def leave(self) -> None:
        if not self._is_busy and not self._data:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._stay()
        self._data += data
        head, end, body = self._data.partition(END)
        at = head.lower().find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if not end or len(body) < length:
            return
        self._data = b""
        self._is_busy = True
        behaviour = self._behaviour
        behaviour.requests += 1
        behaviour.last_at = time()
        if head.startswith(b"POST"):
            os.write(behaviour.posts, body + b"\n")
        loop = asyncio.get_running_loop()
        loop.call_later(TAKES_S, self._finish, behaviour.draw())

    def _finish(self, fault: str) -> None:
        self._is_busy = False
        transport, behaviour = self._transport, self._behaviour
        if fault == "reset":
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()
        elif fault == "close":
            transport.close()
        elif fault == "garbage":
            transport.write(b"220 mail.example ESMTP\r\n\r\n")
            transport.close()
        elif fault == "half":
            transport.write(OK % (behaviour.name, 10, b"") + b"half.")
            transport.close()
        elif fault == "busy":
            transport.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        elif behaviour.is_leaving:
            transport.write(OK % (behaviour.name, 2, CLOSE) + b"ok")
            transport.close()
        else:
            transport.write(OK % (behaviour.name, 2, b"") + b"ok")
            self._wait(fault)

    def _wait(self, fault: str) -> None:
        """For the next request, but perhaps not for long."""
        loop = asyncio.get_running_loop()
        if fault == "stale":  # without a word, some time after the answer
            loop.call_later(random.random() * 0.005, self._transport.close)
        elif self._behaviour.idle_s:
            self._closing = loop.call_later(self._behaviour.idle_s, self._turn_away)

    def _stay(self) -> None:
        """Something came, or nothing will: no close is due."""
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.cancel()

    def _turn_away(self) -> None:
        """Read no more, and close a moment later."""
        self._closing = None
        if not self._transport.is_closing():
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(LOSES_S, self._transport.close)


async def serve(port: int, behaviour: Behaviour) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, behaviour.change)
    server = await loop.create_server(
        lambda: Serving(behaviour), "127.0.0.1", port, backlog=512
    )
    loop.add_signal_handler(signal.SIGTERM, behaviour.leave, server)
    print("listens", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    file = os.open(Path(sys.argv[3]), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    asyncio.run(serve(int(sys.argv[1]), Behaviour(sys.argv[2], file)))
