"""A backend that sends prepared bytes and counts received ones: for what nginx cannot.

nginx makes no many small chunks of a body, and answers an upload before it read it.
One process, one epoll, one `recv` and one `send` per small request: 15 us, for chunks
28, less than any proxy in front needs for them. Chunks lie ready in one buffer, so
what is measured is a proxy's work with the chunks, not the system calls of a backend
that sends each alone. It speaks just enough HTTP for the benchmark's own requests, with
Content-Length only.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import sys
from typing import Final

from bench import bodies

CHUNKED: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    + bodies.chunked()
)
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TURN: Final = bytearray(bodies.MIB)
"""Where all bodies end; nobody reads them."""


class Connection:
    """One connection from a proxy: a head, then the body that the head announced."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unsent = memoryview(b"")
        self.waits_to_send = False
        self._head = b""
        self._body_left = 0
        self._response = b""

    def on_readable(self) -> None:
        """Take what came, and respond once the request is whole."""
        count = self.sock.recv_into(TURN)
        if not count:
            raise ConnectionResetError
        if self._body_left:
            self._body_left -= count
        else:
            self._head += TURN[:count]
            self._take_head()
        if self._response and not self._body_left:
            self.unsent, self._response = memoryview(self._response), b""
            self.send()

    def _take_head(self) -> None:
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        self._head = b""
        found = LENGTH.search(head)
        length = int(found[1]) if found else 0
        self._body_left = length - len(rest)
        is_chunked = head.split(b" ", 2)[1] == b"/chunked"
        self._response = CHUNKED if is_chunked else length_response(length)

    def send(self) -> None:
        """Send of the response what goes now."""
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]


def length_response(length: int) -> bytes:
    """The response that tells how long the request's body was."""
    body = b"%d" % length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def serve(listener: socket.socket) -> None:
    """Answer until the process is ended."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while True:
        for fd, events in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = Connection(sock)
                poll.register(sock, select.EPOLLIN)
            else:
                _turn(poll, connections, fd, events)


def _turn(
    poll: select.epoll, connections: dict[int, Connection], fd: int, events: int
) -> None:
    connection = connections[fd]
    try:
        if events & select.EPOLLOUT:
            connection.send()
        else:
            connection.on_readable()
    except BlockingIOError:
        return
    except OSError:
        connections.pop(fd).sock.close()
        return
    if bool(connection.unsent) != connection.waits_to_send:
        connection.waits_to_send = not connection.waits_to_send
        poll.modify(fd, select.EPOLLOUT if connection.waits_to_send else select.EPOLLIN)


def main() -> None:
    """Serve on the loopback port that the command line names."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096) as sock:
        serve(sock)


if __name__ == "__main__":
    main()
