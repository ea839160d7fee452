"""A client that sends exact bytes and takes only what h11 accepts.

h11 is an HTTP implementation by other people: it judges the balancer's framing
without knowing our code. Every wait has a deadline.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field
from typing import Self

import h11

from tests.waiting import DEADLINE_S


@dataclass
class Answer:
    """One response; `raw` is its fields in order, names as spelled.

    `interim` holds the statuses of the 1xx responses before it; `is_whole` is False
    where the connection ended before the body did.
    """

    status: int
    reason: bytes
    raw: list[tuple[bytes, bytes]]
    body: bytes = b""
    interim: list[int] = field(default_factory=list)
    is_whole: bool = True

    def values(self, name: bytes) -> list[bytes]:
        """The values of the lines of that name, in any spelling."""
        return [v for n, v in self.raw if n.lower() == name.lower()]

    def value(self, name: bytes) -> bytes:
        """The value of the only line of that name."""
        (value,) = self.values(name)
        return value


class Client:
    """One connection to a port of loopback."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._ended = False
        self._http = h11.Connection(h11.CLIENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *pieces: bytes) -> None:
        """Send pieces, each in a call of its own."""
        for piece in pieces:
            self.sock.sendall(piece)

    def send_slowly(self, data: bytes) -> None:
        """Send byte by byte."""
        self.send(*(bytes((byte,)) for byte in data))

    def expect(self, method: bytes = b"GET") -> None:
        """Begin to read the response to a request of that method."""
        self._http = h11.Connection(h11.CLIENT)
        request = h11.Request(method=method, target="/", headers=[("Host", "any")])
        self._http.send(request)
        self._http.send(h11.EndOfMessage())
        if self._rest:
            self._http.receive_data(self._rest)
        self._rest = b""

    def event(self) -> h11.Event | None:
        """The next part of the response; None where the connection broke off.

        Raises:
            h11.RemoteProtocolError: it is not HTTP.
        """
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            self._http.receive_data(data)
            if not data:
                return self._last_event()

    def _last_event(self) -> h11.Event | None:
        """What the end of the connection means: the end of a body, or nothing."""
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            return None
        return event if isinstance(event, h11.EndOfMessage) else None

    def answer(self, method: bytes = b"GET") -> Answer:
        """The next response, read to its end or to the end of the connection."""
        self.expect(method)
        interim: list[int] = []
        event = self.event()
        while isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
            event = self.event()
        assert isinstance(event, h11.Response), f"no response but {event}"
        raw = [(bytes(n), bytes(v)) for n, v in event.headers.raw_items()]
        answer = Answer(event.status_code, bytes(event.reason), raw, interim=interim)
        body = bytearray()
        while isinstance(event := self.event(), h11.Data):
            body += event.data
        answer.body = bytes(body)
        answer.is_whole = isinstance(event, h11.EndOfMessage)
        self._rest = bytes(self._http.trailing_data[0])
        return answer

    def ask(self, data: bytes) -> Answer:
        """The answer to `data`, whose first word is the method."""
        self.send(data)
        return self.answer(data.partition(b" ")[0])

    def is_closed(self) -> bool:
        """Whether the balancer closes the connection, without another byte."""
        with contextlib.suppress(ConnectionResetError):
            return not self._rest and self.sock.recv(1) == b""
        return True


def fetch(port: int, data: bytes) -> Answer:
    """The answer to `data` on a connection of its own."""
    with Client(port) as client:
        return client.ask(data)


def get(target: bytes = b"/", *lines: bytes) -> bytes:
    """A GET request with further header lines."""
    return request(b"GET", target, *lines)


def request(method: bytes, target: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """A request's bytes; Content-Length is added where there is a body."""
    if body:
        lines = (*lines, b"Content-Length: %d" % len(body))
    head = [method + b" " + target + b" HTTP/1.1", b"Host: lb.test", *lines]
    return b"\r\n".join([*head, b"", body])


def in_chunks(data: bytes, size: int = 4000) -> bytes:
    """`data` in the chunked coding, in chunks of that size."""
    pieces = (data[i : i + size] for i in range(0, len(data), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
