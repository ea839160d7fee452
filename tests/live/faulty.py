"""A backend in a process of its own that fails on command, and counts each POST.

    python -m tests.live.faulty PORT NAME FILE

It listens on PORT of loopback, answers every request 200 with NAME after 2 ms, and
appends the body of each POST to FILE as a line, when it has come and before anything
else happens to it. A line on standard input says what it does from then on: a fault
and the share of requests that meet it, as in `reset 0.1`; `well` for none.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
from pathlib import Path
from typing import Final

TAKES_S: Final = 0.002
RESET: Final = struct.pack("ii", 1, 0)
END: Final = b"\r\n\r\n"


class Behaviour:
    """What it does to a request; changed by lines on standard input."""

    def __init__(self, name: str, posts: int) -> None:
        self.name = name
        self.posts = posts
        self.fault = "well"
        self.share = 0.0

    def change(self) -> None:
        line = sys.stdin.readline().split()
        if not line:
            os._exit(0)
        self.fault, self.share = line[0], float(line[1]) if line[1:] else 1.0
        print("done", flush=True)

    def draw(self) -> str:
        """The fault of this request."""
        return self.fault if random.random() < self.share else "well"


class Serving(asyncio.Protocol):
    """One connection."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(END)
        at = head.lower().find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if not end or len(body) < length:
            return
        self._data = b""
        if head.startswith(b"POST"):
            os.write(self._behaviour.posts, body + b"\n")
        loop = asyncio.get_running_loop()
        loop.call_later(TAKES_S, self._finish, self._behaviour.draw())

    def _finish(self, fault: str) -> None:
        transport = self._transport
        if fault == "reset":
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()
        elif fault == "close":
            transport.close()
        elif fault == "garbage":
            transport.write(b"220 mail.example ESMTP\r\n\r\n")
            transport.close()
        elif fault == "busy":
            transport.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        else:
            name = self._behaviour.name.encode()
            transport.write(
                b"HTTP/1.1 200 OK\r\nX-Backend: %b\r\nContent-Length: 2\r\n\r\nok"
                % name
            )
            if fault == "stale":  # without a word, some time after the answer
                later_s = random.random() * 0.005
                asyncio.get_running_loop().call_later(later_s, transport.close)


async def serve(port: int, behaviour: Behaviour) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, behaviour.change)
    server = await loop.create_server(
        lambda: Serving(behaviour), "127.0.0.1", port, backlog=512
    )
    print("listens", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    file = os.open(Path(sys.argv[3]), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    asyncio.run(serve(int(sys.argv[1]), Behaviour(sys.argv[2], file)))
