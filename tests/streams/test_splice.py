"""Bodies through pipes: exactly the bytes, and no pipe lost, whatever happens."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from contextlib import contextmanager
from hashlib import sha256
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.errors import (
    ClientGoneError,
    EarlyAnswerError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.streams.blocking import BlockingStream
from lb.streams.hub import HubTransport
from lb.streams.splice import MAX_PIPES, TURN_BYTES, Pipe, Pipes
from lb.streams.stream import READ_BYTES
from tests.streams.pairs import PATIENCE_S, SOON_S, Kind, hub_until, reset, tcp_pair

if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator

LARGE = Random(1).randbytes(6 << 20)
"""More than the sockets and the pipe between them hold."""


class Line:
    """A source and a sink of one transport, and the far ends that a test plays."""

    def __init__(self, hub: Kind) -> None:
        self.source, self.sender = hub.pair()
        self.sink, self.receiver = hub.pair()
        self.pipes: Pipes = hub.transport.pipes
        self.source.deadline = self.sink.deadline = monotonic() + PATIENCE_S

    def take(self, limit_bytes: int = TURN_BYTES) -> Pipe:
        """What has come; it must be in a pipe."""
        piece = self.source.take(limit_bytes)
        assert isinstance(piece, Pipe)
        return piece

    def move(self, count: int) -> None:
        """Relay `count` bytes, as a session does."""
        while count > 0:
            piece = self.source.take(count)
            count -= len(piece)
            assert count >= 0
            if isinstance(piece, Pipe):
                self.sink.pass_on(piece)
            else:
                assert piece, "it ended early"
                self.sink.write(piece)

    def received(self, count: int) -> bytes:
        """The next bytes at the far end, in another thread's time."""
        self.receiver.settimeout(PATIENCE_S)
        data = b""
        while len(data) < count:
            data += self.receiver.recv(count - len(data))
        return data

    def clog(self) -> None:
        """Fill the sink until it takes nothing more."""
        self.sink.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.clogged = 0
        quiet_since = monotonic()
        while monotonic() - quiet_since < SOON_S:  # the kernel moves on in between
            try:
                self.clogged += self.sink.sock.send(bytes(65536))
                quiet_since = monotonic()
            except BlockingIOError:
                gevent.sleep(0.001)

    def count(self) -> int:
        """How many pipes there are, used or not."""
        return self.pipes._made

    def close(self) -> None:
        for far in (self.sender, self.receiver):
            far.close()


@pytest.fixture
def line(hub: Kind) -> Iterator[Line]:
    made = Line(hub)
    yield made
    made.close()
    hub.transport.close()
    assert made.count() == 0, "every pipe came back"


@contextmanager
def far_ends(
    line: Line, data: bytes, piece: int = 1 << 20, *, pause_s: float = 0.0
) -> Iterator[bytearray]:
    """Send `data` at one end and collect at the other, while the hub runs."""
    got = bytearray()
    for far in (line.sender, line.receiver):
        far.setblocking(False)

    def send() -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[line.sender.send(left[:piece]) :]
                gevent.sleep(0)
            except BlockingIOError:
                gevent.sleep(0.001)

    def receive() -> None:
        while len(got) < len(data):
            try:
                got.extend(line.receiver.recv(piece))
                gevent.sleep(pause_s)
            except BlockingIOError:
                gevent.sleep(0.001)

    ends = [gevent.spawn(send), gevent.spawn(receive)]
    yield got
    gevent.joinall(ends, timeout=PATIENCE_S, raise_error=True)
    assert all(end.ready() for end in ends)


@pytest.mark.parametrize("piece", [1000, 65536, 1 << 20])
def test_a_large_body_arrives_to_the_byte(line: Line, piece: int) -> None:
    data = LARGE if piece > 1000 else LARGE[:500_000]
    with far_ends(line, data, piece) as got:
        line.move(len(data))
    assert sha256(got).digest() == sha256(data).digest()
    assert line.count() == 1, "one pipe is enough for one transfer"


def test_what_is_behind_the_limit_stays_in_the_socket(line: Line) -> None:
    line.sender.sendall(b"x" * 100_000 + b"GET / HTTP/1.1\r\n\r\n")
    line.move(100_000)
    assert line.received(100_000) == b"x" * 100_000
    assert line.source.read() == b"GET / HTTP/1.1\r\n\r\n"


def test_a_turn_is_bounded(line: Line) -> None:
    """However fast the peer is, others are served in between."""
    with far_ends(line, LARGE):
        sizes = []
        while sum(sizes) < len(LARGE):
            pipe = line.take(len(LARGE) - sum(sizes))
            sizes.append(len(pipe))
            line.sink.pass_on(pipe)
    assert max(sizes) <= TURN_BYTES


def test_the_end_of_the_source_is_empty(line: Line) -> None:
    line.sender.sendall(b"last")
    line.sender.close()
    line.sink.pass_on(line.take())
    assert line.received(4) == b"last"
    assert line.source.take(TURN_BYTES) == b""
    assert line.source.take(TURN_BYTES) == b""


def test_a_source_that_is_reset_or_silent_or_closed_says_so(line: Line) -> None:
    line.source.deadline = monotonic() + SOON_S
    with pytest.raises(StreamTimeoutError):
        line.source.take(TURN_BYTES)
    line.source.deadline = monotonic() + PATIENCE_S
    reset(line.sender)
    with pytest.raises(StreamClosedError):
        line.source.take(TURN_BYTES)
    line.source.close()
    with pytest.raises(StreamClosedError):
        line.source.take(TURN_BYTES)


def test_no_pipe_is_held_while_nothing_comes(line: Line) -> None:
    waiting = gevent.spawn(line.source.take, TURN_BYTES)
    gevent.sleep(0.01)
    assert line.count() == 0
    line.source.interrupt(ClientGoneError("left"))
    with pytest.raises(ClientGoneError):
        waiting.get(timeout=PATIENCE_S)


def test_a_sink_that_takes_nothing_ends_at_its_deadline(line: Line) -> None:
    line.clog()
    line.sender.sendall(b"x" * 50_000)
    pipe = line.take()
    line.sink.deadline = monotonic() + SOON_S
    with pytest.raises(StreamTimeoutError):
        line.sink.pass_on(pipe)
    assert line.count() == 0, "it was closed with what was in it"


def test_a_sink_that_takes_a_little_is_not_cut_off(line: Line) -> None:
    """The deadline is for one that takes nothing: each step renews it."""
    data = LARGE * 3
    begun = monotonic()
    patience_s = 4 * SOON_S
    line.sink.deadline = begun + patience_s
    with far_ends(line, data, 200_000, pause_s=0.01) as got:
        for at in range(0, len(data), TURN_BYTES):
            line.sink.deadline = monotonic() + patience_s
            line.move(min(TURN_BYTES, len(data) - at))
    assert got == data
    assert monotonic() > begun + patience_s


def test_a_sink_that_is_gone_says_so(line: Line) -> None:
    reset(line.receiver)
    hub_until(lambda: not line.sink.is_quiet())
    line.sender.sendall(b"x" * 1000)
    pipe = line.take()
    with pytest.raises(StreamClosedError):
        line.sink.pass_on(pipe)
    assert line.count() == 0


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_a_wait_for_the_sink_can_be_ended(line: Line, how: str) -> None:
    line.clog()
    line.sender.sendall(b"x" * 50_000)
    moving = gevent.spawn(line.move, 50_000)
    hub_until(lambda: line.sink._writer is not None)
    if how == "kill":
        moving.kill()
    else:
        line.sink.interrupt(ClientGoneError("left"))
        with pytest.raises(ClientGoneError):
            moving.get(timeout=PATIENCE_S)
    assert line.count() == 0


def test_an_early_answer_gives_back_what_is_unsent(line: Line) -> None:
    """So an upload can go on behind an interim answer without losing a byte."""
    line.clog()
    data = LARGE[:60_000]
    line.sender.sendall(data)
    hub_until(lambda: len_readable(line.source.sock) == len(data))
    pipe = line.take()
    assert len(pipe) == len(data)
    moving = gevent.spawn(line.sink.pass_on, pipe)
    hub_until(lambda: line.sink._writer is not None)
    hub_loop_call(lambda: line.sink.wake_writer(EarlyAnswerError()))
    with pytest.raises(EarlyAnswerError) as caught:
        moving.get(timeout=PATIENCE_S)
    unsent = bytes(caught.value.unsent)
    assert unsent
    assert data.endswith(unsent)
    writing = gevent.spawn(line.sink.write, unsent)
    line.receiver.setblocking(False)
    got = bytearray()
    while len(got) < line.clogged + len(data):
        try:
            got += line.receiver.recv(65536)
        except BlockingIOError:
            gevent.sleep(0.001)
    writing.get(timeout=PATIENCE_S)
    assert got[line.clogged :] == data


def len_readable(sock: _socket.socket) -> int:
    """How much lies in a socket's buffer."""
    try:
        return len(sock.recv(1 << 22, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def hub_loop_call(call: Any) -> None:
    """Run something in the hub, where events happen."""
    gevent.get_hub().loop.run_callback(call)
    gevent.sleep(0)


def test_without_a_pipe_bytes_are_read(line: Line) -> None:
    """As many readers that stand still as there are pipes: others do without."""
    line.sender.sendall(b"x" * (MAX_PIPES + 5))
    held = [line.take(1) for _ in range(MAX_PIPES)]
    assert line.source.take(1) == b"x" * 5
    held.pop().release()
    for pipe in held:
        line.sink.pass_on(pipe)
    line.sender.sendall(b"y")
    line.sink.pass_on(line.take())
    assert line.received(MAX_PIPES) == b"x" * (MAX_PIPES - 1) + b"y"


def test_without_a_descriptor_bytes_are_read(line: Line) -> None:
    line.sender.sendall(LARGE[:READ_BYTES])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        piece = line.source.take(TURN_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(piece, bytes)
    assert LARGE.startswith(piece)
    line.sender.sendall(b"more")
    line.sink.pass_on(line.take())
    assert line.count() == 1, "and again by pipe when there are some"


def test_a_sink_that_cannot_is_written_to_and_no_more_is_tried(line: Line) -> None:
    """Linux splices into nothing that is open for appending."""
    flags = fcntl.fcntl(line.sink.sock.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(line.sink.sock.fileno(), fcntl.F_SETFL, flags | os.O_APPEND)
    with far_ends(line, LARGE) as got:
        line.move(len(LARGE))
    assert got == LARGE
    assert line.count() == 0
    line.sender.sendall(b"x")
    assert line.source.take(1) == b"x"


class NotSpliced:
    """A source with nothing to splice from: the kernel says EINVAL of an event."""

    def __init__(self, event: int) -> None:
        self.event = event

    def fileno(self) -> int:
        return self.event

    def recv(self, size: int) -> bytes:
        return b"read"


def test_a_source_that_cannot_is_read() -> None:
    event = os.eventfd(0)
    pipes = Pipes()
    for _ in range(2):
        assert pipes.fill(NotSpliced(event), 10) == b"read"  # type: ignore[arg-type]
        assert repr(pipes) == "<Pipes free=0 made=0>"
    os.close(event)


def test_a_pipe_given_back_with_bytes_is_never_used_again(line: Line) -> None:
    line.sender.sendall(b"of another client")
    line.take().release()
    assert line.count() == 0
    line.sender.sendall(b"mine")
    line.sink.pass_on(line.take())
    assert line.received(4) == b"mine"


def test_pipes_are_used_again(line: Line) -> None:
    for _ in range(50):
        line.sender.sendall(b"x")
        line.sink.pass_on(line.take())
    assert line.count() == 1
    assert "made=1" in repr(line.pipes)


def test_a_stream_of_the_other_kind_takes_what_is_in_a_pipe(line: Line) -> None:
    near, far = tcp_pair()
    blocking = BlockingStream(near)
    far.sendall(b"abc")
    assert blocking.take(2) == b"abc", "it always reads"
    line.sender.sendall(b"by pipe")
    blocking.pass_on(line.take())
    assert far.recv(100) == b"by pipe"
    blocking.close()
    far.close()


def test_unix_sockets_do_it_too(hub: Kind) -> None:
    line = Line(hub)
    line.sender.close()
    near, line.sender = socket.socketpair(socket.AF_UNIX)
    line.source = hub.adopt(near)
    with far_ends(line, LARGE) as got:
        line.move(len(LARGE))
    assert got == LARGE
    line.close()


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 200_000), min_size=1, max_size=6),
    piece=st.sampled_from([777, 30_000, 1 << 20]),
)
def test_bodies_one_behind_the_other_keep_apart(sizes: list[int], piece: int) -> None:
    """Each is exactly its bytes, wherever packets begin and end."""
    transport = HubTransport()
    line = Line(Kind("hub", transport))
    data = LARGE[: sum(sizes)]
    with far_ends(line, data, piece) as got:
        for size in sizes:
            line.move(size)
    assert got == data
    line.close()
    transport.close()
