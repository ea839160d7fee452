"""A backend whose every byte a test decides, and which remembers what it was sent.

It is an honest fake of the outside world: a real listening socket on loopback, a
thread per connection, and a script per target that may answer, stall, break off or
say nonsense. Without a script it answers 200 with its own name.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.processes import free_port
from tests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[["Talk"], None]

RESET = struct.pack("ii", 1, 0)


class GoneError(Exception):
    """The balancer closed the connection."""


@dataclass
class Talk:
    """One request as it came, and the means to answer it.

    `head` is exact, with its empty line; `body` what `read_body` has decoded.
    """

    backend: ScriptedBackend
    sock: socket.socket
    peer: int
    head: bytes
    body: bytes = b""
    rest: bytes = b""
    is_body_read: bool = False

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.partition(b"\r\n")[0]

    @property
    def target(self) -> bytes:
        """The target, exact."""
        return self.line.split(b" ")[1]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header lines in order, names as spelled."""
        lines = self.head.split(b"\r\n")[1:-2]
        parts = [line.partition(b":") for line in lines]
        return [(name, value.strip()) for name, _, value in parts]

    def values(self, name: bytes) -> list[bytes]:
        """The values of the lines of that name, in any spelling."""
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def read(self, size: int = 65536) -> bytes:
        """More bytes of the request. Raises: GoneError."""
        data, self.rest = self.rest, b""
        if not data:
            try:
                data = self.sock.recv(size)
            except ConnectionError as error:
                raise GoneError from error
        if not data:
            raise GoneError
        return data

    def read_body(self) -> bytes:
        """The body to its end, decoded. Raises: GoneError."""
        if self.is_body_read:
            return self.body
        self.is_body_read = True
        if b"chunked" in self.values(b"transfer-encoding"):
            self.body = self._read_chunks()
        else:
            length = int(next(iter(self.values(b"content-length")), b"0"))
            self.body = self._exactly(length)
        return self.body

    def _exactly(self, length: int) -> bytes:
        parts, left = [], length
        while left:
            data = self.read()
            if len(data) > left:
                data, self.rest = data[:left], data[left:]
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def _line(self) -> bytes:
        data = b""
        while b"\r\n" not in data:
            data += self.read()
        line, _, self.rest = data.partition(b"\r\n")
        return line

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self._line(), 16):
            parts.append(self._exactly(size))
            assert self._line() == b""
        while self._line():
            pass
        return b"".join(parts)

    def send(self, *pieces: bytes) -> None:
        """Send pieces, each in a call of its own. Raises: GoneError."""
        try:
            for piece in pieces:
                self.sock.sendall(piece)
        except ConnectionError as error:
            raise GoneError from error

    def reply(
        self, body: bytes = b"", *fields: bytes, status: bytes = b"200 OK"
    ) -> None:
        """Send a whole response with Content-Length."""
        lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
        self.send(b"\r\n".join([*lines, b"", body]))

    def close(self) -> None:
        """Close in order."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def await_close(self) -> None:
        """Return when the balancer has closed the connection."""
        with contextlib.suppress(GoneError):
            while True:
                self.read()


class ScriptedBackend:
    """Listens on a fixed port of loopback from `open` until `close`.

    `scripts` maps targets to what to do; `talks` holds every request in order.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.scripts: dict[bytes, Script] = {}
        self.talks: list[Talk] = []
        self.connections = 0
        self._listener: socket.socket | None = None
        self._socks: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """As `LB_BACKENDS` wants it, with its name."""
        return f"{self.name}=127.0.0.1:{self.port}"

    def seen(self, target: bytes) -> list[Talk]:
        """The requests for that target so far."""
        return [talk for talk in self.talks if talk.target == target]

    def open(self) -> None:
        """Listen (again)."""
        listener = self._listener = socket.create_server(
            ("127.0.0.1", self.port), backlog=512
        )
        self._start(self._accept, listener)

    def close(self) -> None:
        """Refuse from now on, reset all connections, and end all threads."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # A thread in accept() keeps a listening socket alive until it is woken.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for sock in list(self._socks):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self._threads.clear()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, address = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, sock, address[1])

    def _serve(self, sock: socket.socket, peer: int) -> None:
        sock.settimeout(60.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socks.add(sock)
        try:
            with sock:
                self._serve_requests(sock, peer)
        except (GoneError, OSError):
            pass
        finally:
            self._socks.discard(sock)

    def _serve_requests(self, sock: socket.socket, peer: int) -> None:
        rest = b""
        while sock.fileno() >= 0:
            while b"\r\n\r\n" not in rest:
                data = sock.recv(65536)
                if not data:
                    return
                rest += data
            head, end, rest = rest.partition(b"\r\n\r\n")
            talk = Talk(self, sock, peer, head + end, rest=rest)
            self.talks.append(talk)
            script = self.scripts.get(talk.target, answer_by_name)
            script(talk)
            if sock.fileno() >= 0:
                talk.read_body()
            rest = talk.rest


def answer_by_name(talk: Talk) -> None:
    """Answer 200 with the backend's name, after the whole body was read."""
    talk.read_body()
    name = talk.backend.name.encode()
    talk.reply(name, b"X-Backend: " + name)
