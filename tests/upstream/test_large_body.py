"""Large response bodies as pipes: where they end, and what their failures are."""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import ResponseTimeoutError, TerminatedError
from lb.http1.response import ResponseParser
from lb.model import Address, Backend
from lb.streams.hub import HubTransport
from lb.streams.splice import WORTH_BYTES, Pipe
from lb.upstream.backend import LiveBackend, PoolLimits
from tests.streams.pairs import PATIENCE_S, SOON_S, hub_until, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.upstream.connection import Body, Connection

SIZE = 100_000
"""Enough to be worth a pipe, and little enough to lie in a socket's buffer."""

DATA = bytes(range(250)) * (SIZE // 250)
HTTP = b"HTTP/1.1 200 OK\r\n"


class Line:
    """A connection of the fast lane, and the far end that a test plays."""

    def __init__(self) -> None:
        self.transport = HubTransport()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.backend = LiveBackend(
                Backend("b", Address(*listener.getsockname())),
                self.transport,
                ResponseParser(limit_bytes=1000),
                PoolLimits(idle=1, idle_s=60, age_s=60),
            )
            self.near: Connection = self.backend.connect(PATIENCE_S)
            self.far, _ = listener.accept()
        self.near.stream.deadline = monotonic() + PATIENCE_S

    def body(self, head: bytes) -> Body:
        """The body behind a head that came alone."""
        self.far.sendall(HTTP + head + b"\r\n\r\n")
        body = self.near.take_body(self.near.read_head(b"GET"))
        assert body.first == b""
        return body

    def come(self, data: bytes) -> None:
        """Send, and return when all of it has arrived."""
        sock = self.near.stream.sock  # type: ignore[attr-defined]
        # Nobody reads it meanwhile: by itself the kernel may keep less than all of it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * len(data))
        self.far.sendall(data)
        peek = socket.MSG_PEEK | socket.MSG_DONTWAIT
        hub_until(lambda: len(sock.recv(len(data), peek)) == len(data))


def read_all(body: Body) -> tuple[bytes, int]:
    """A body to its end, and how many of its pieces were in pipes."""
    data, pipes = body.first, 0
    while not body.is_done:
        piece = body.take()
        if isinstance(piece, Pipe):
            pipes += 1
            data += piece.read_out()
            piece.release()
        else:
            data += piece
    return data, pipes


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.near.close()
    made.far.close()
    made.transport.close()


def test_a_large_body_is_taken_by_pipe_and_its_connection_stays_good(
    line: Line,
) -> None:
    for _ in range(2):
        body = line.body(b"Content-Length: %d" % SIZE)
        line.come(DATA)
        assert read_all(body) == (DATA, 1)
        assert line.near.is_reusable


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n", b"x", b"\r\n"])
def test_what_is_behind_a_large_body_poisons_the_connection(
    line: Line, surplus: bytes
) -> None:
    """Though nobody has read it: the pipe took the body and no byte more."""
    body = line.body(b"Content-Length: %d" % SIZE)
    line.come(DATA + surplus)
    assert read_all(body) == (DATA, 1)
    assert not line.near.is_reusable


@pytest.mark.parametrize(
    ("head", "wire"),
    [
        (b"Content-Length: %d" % (WORTH_BYTES - 1), DATA[: WORTH_BYTES - 1]),
        (
            b"Transfer-Encoding: chunked",
            b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, DATA),
        ),
    ],
    ids=["not worth it", "chunked"],
)
def test_other_bodies_are_read(line: Line, head: bytes, wire: bytes) -> None:
    body = line.body(head)
    line.come(wire)
    data, pipes = read_all(body)
    assert pipes == 0
    assert DATA.startswith(data)


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_large_body_that_is_cut_short_says_so(line: Line, end: str) -> None:
    body = line.body(b"Content-Length: %d" % (4 * SIZE))
    line.come(DATA)
    piece = body.take()
    assert len(piece) == SIZE
    assert isinstance(piece, Pipe)
    piece.release()
    if end == "close":
        line.far.close()
    else:
        reset(line.far)
    with pytest.raises(TerminatedError):
        body.take()
    assert not body.is_done


def test_a_large_body_that_stalls_says_so(line: Line) -> None:
    body = line.body(b"Content-Length: %d" % SIZE)
    line.near.stream.deadline = monotonic() + SOON_S
    with pytest.raises(ResponseTimeoutError):
        body.take()
