"""A backend in a process of its own that fails on command.

    python -m trials.backend PORT NAME FILE

It listens on PORT of loopback. `GET /LENGTH/MILLISECONDS/FRAMING` is answered after so
long with a body of that length for the request's `X-Id` (`trials.content`), framed by
`length` or `chunked`; other methods likewise, and a body that came is held against
what it must be. `Expect: 100-continue` is answered, and an `Upgrade` gets 101 and then
its own bytes back. The id of a POST is appended to FILE when its head has come, and
before anything else happens to it. `/health` is answered at once and, but for a process
that is stopped or dead, well: the worst faults are those that no probe sees.

A line on standard input says what happens to the other requests from then on: a fault
and the share of requests that meet it, as in `reset 0.1`; `well` for none. The process
ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trials.content import body_of

if TYPE_CHECKING:
    from collections.abc import Callable

RESET: Final = struct.pack("ii", 1, 0)
END: Final = b"\r\n\r\n"
SLOW_S: Final = 0.4
STALE_S: Final = 0.02
"""Within how long a kept connection is closed after an answer, by the fault `stale`."""

HEALTH: Final = b"/health"
BUSY: Final = b"HTTP/1.1 503 Busy\r\nX-Backend: %b\r\nContent-Length: 0\r\n\r\n"
SWITCHED: Final = (
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
    b"X-Backend: %b\r\nX-Echo: %b\r\n\r\n"
)
PIECE: Final = 8192
MOST_BYTES: Final = 8 << 20
"""Of a request; clients of a trial send less."""


class Conduct:
    """How the process behaves; changed by lines on standard input."""

    def __init__(self, name: bytes, posts: int) -> None:
        self.name = name
        self._posts = posts
        self._fault = "well"
        self._share = 0.0

    def listen(self) -> None:
        """Take one line, or end with the input."""
        line = sys.stdin.readline().split()
        if not line:
            os._exit(0)
        self._fault, self._share = line[0], float(line[1]) if line[1:] else 1.0

    def draw(self, target: bytes) -> str:
        """What happens to this request."""
        is_spared = target == HEALTH or random.random() >= self._share
        return "well" if is_spared else self._fault

    def note_post(self, request_id: bytes) -> None:
        """That it came here, whatever follows: one write, so a kill loses none."""
        os.write(self._posts, request_id + b"\n")


@dataclass
class Asked:
    """A request's head."""

    method: bytes
    target: bytes
    fields: dict[bytes, bytes]

    @property
    def request_id(self) -> bytes:
        """As its client named it."""
        return self.fields.get(b"x-id", b"-")


def head_in(data: bytes) -> Asked:
    """The head in these bytes, which are whole."""
    first, *lines = data.split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    pairs = (line.partition(b":") for line in lines)
    return Asked(
        method, target, {name.lower(): value.strip() for name, _, value in pairs}
    )


def whole_body(asked: Asked, data: bytearray) -> tuple[bytes, int] | None:
    """The request's body and how many bytes it took, or None before all of it came."""
    if asked.fields.get(b"transfer-encoding") != b"chunked":
        length = int(asked.fields.get(b"content-length", b"0"))
        return (bytes(data[:length]), length) if len(data) >= length else None
    body, at = bytearray(), 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line_end], 16)
        start, at = line_end + 2, line_end + 4 + size
        if len(data) < at:
            return None
        if not size:
            return bytes(body), at
        body += data[start : start + size]
    return None


def answer_to(asked: Asked, name: bytes, came: bytes) -> tuple[bytes, bytes]:
    """The head and the body as they go on the wire."""
    length, _, framing = plan_of(asked.target)
    body = body_of(asked.request_id, length)
    is_right = came == body_of(asked.request_id, len(came))
    head = (
        b"HTTP/1.1 %d %b\r\nX-Backend: %b\r\nX-Echo: %b\r\n"
        % (200 if is_right else 400, b"So", name, asked.request_id)
    )  # fmt: skip
    if framing != b"chunked":
        head += b"Content-Length: %d\r\n\r\n" % len(body)
        return head, b"" if asked.method == b"HEAD" else body
    pieces = (body[at : at + PIECE] for at in range(0, len(body), PIECE))
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n", framed + b"0\r\n\r\n"


def plan_of(target: bytes) -> tuple[int, float, bytes]:
    """The body's length, the seconds that the answer takes, and its framing."""
    parts = target[1:].split(b"/")
    if len(parts) != 3:
        return 2, 0.0, b"length"
    return int(parts[0]), int(parts[1]) / 1000, parts[2]


class Serving(asyncio.Protocol):
    """One connection; its requests are answered one after another."""

    def __init__(self, conduct: Conduct, loop: asyncio.AbstractEventLoop) -> None:
        self._conduct = conduct
        self._loop = loop
        self._data = bytearray()
        self._asked: Asked | None = None
        self._is_busy = self._is_tunnel = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 # for its type
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._is_tunnel:
            self._transport.write(data)
            return
        self._data += data
        if len(self._data) > MOST_BYTES:
            self._transport.abort()
        elif not self._is_busy:
            self._take()

    def _take(self) -> None:
        if self._asked is None:
            at = self._data.find(END)
            if at < 0:
                return
            self._asked = head_in(bytes(self._data[:at]))
            del self._data[: at + len(END)]
            if self._asked.method == b"POST":
                self._conduct.note_post(self._asked.request_id)
            if b"expect" in self._asked.fields:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        found = whole_body(self._asked, self._data)
        if found is None:
            return
        asked, self._asked = self._asked, None
        body, length = found
        del self._data[:length]
        self._is_busy = True
        fault = self._conduct.draw(asked.target)
        later_s = plan_of(asked.target)[1] + (SLOW_S if fault == "slow" else 0.0)
        self._after(later_s, lambda: self._finish(asked, body, fault))

    def _after(self, later_s: float, then: Callable[[], None]) -> None:
        if later_s:
            self._loop.call_later(later_s, then)
        else:
            then()

    def _finish(self, asked: Asked, came: bytes, fault: str) -> None:
        transport = self._transport
        if fault == "reset":
            self._reset()
        elif fault == "close":
            transport.close()
        elif fault == "garbage":
            transport.write(b"220 mail.example ESMTP\r\n\r\n")
            transport.close()
        elif fault == "busy":
            transport.write(BUSY % self._conduct.name)
            self._go_on()
        else:
            self._answer(asked, came, fault)

    def _answer(self, asked: Asked, came: bytes, fault: str) -> None:
        transport = self._transport
        if b"upgrade" in asked.fields:
            self._is_tunnel = True
            transport.write(SWITCHED % (self._conduct.name, asked.request_id))
            return
        head, body = answer_to(asked, self._conduct.name, came)
        if fault == "half":
            transport.write(head + body[: len(body) // 2])
            transport.close()
            return
        transport.write(head + body)
        if fault == "stale":  # without a word, some time after the answer
            self._loop.call_later(random.random() * STALE_S, self._close_kept)
        self._go_on()

    def _close_kept(self) -> None:
        """Unless it has become a tunnel, which is an answer that has begun."""
        if not self._is_tunnel:
            self._transport.close()

    def _go_on(self) -> None:
        self._is_busy = False
        if self._data:
            self._take()

    def _reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()


async def serve(port: int, conduct: Conduct) -> None:
    """Answer until standard input ends."""
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, conduct.listen)
    server = await loop.create_server(
        lambda: Serving(conduct, loop), "127.0.0.1", port, backlog=512
    )
    sys.stdout.write("listens\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """As the command line says."""
    port, name, file = sys.argv[1:]
    posts = os.open(Path(file), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    asyncio.run(serve(int(port), Conduct(name.encode(), posts)))


if __name__ == "__main__":
    main()
