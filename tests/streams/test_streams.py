"""The four verbs, the same for both implementations."""

from __future__ import annotations

import math
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from lb.errors import (
    ConnectRefusedError,
    ConnectTimeoutError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.model import Address
from lb.streams.stream import READ_BYTES
from tests.streams.pairs import PATIENCE_S, SOON_S, reset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.streams.pairs import Kind

LARGE = bytes(range(256)) * 16384
"""4 MiB: more than any socket's buffer."""


def in_thread(run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def read_all(sock: socket.socket, into: bytearray, piece: int) -> None:
    while data := sock.recv(piece):
        into += data


def write_often(stream: Any, times: int) -> None:
    for _ in range(times):
        stream.write(LARGE)


def test_read_gives_what_came(kind: Kind) -> None:
    stream, far = kind.pair()
    far.sendall(b"hello")
    assert stream.read() == b"hello"
    far.sendall(b"x" * READ_BYTES * 2)
    assert 0 < len(stream.read()) <= READ_BYTES
    stream.close()
    far.close()


def test_read_waits_for_what_comes_later(kind: Kind) -> None:
    stream, far = kind.pair()
    stream.deadline = monotonic() + PATIENCE_S
    timer = threading.Timer(SOON_S, far.sendall, (b"late",))
    timer.start()
    assert stream.read() == b"late"
    timer.join()
    stream.close()
    far.close()


def test_read_is_empty_when_the_peer_has_closed(kind: Kind) -> None:
    stream, far = kind.pair()
    far.sendall(b"last")
    far.close()
    assert stream.read() == b"last"
    assert stream.read() == b""
    assert stream.read() == b""
    stream.close()


def test_half_close_of_the_peer_leaves_the_other_way_open(kind: Kind) -> None:
    stream, far = kind.pair()
    far.shutdown(socket.SHUT_WR)
    assert stream.read() == b""
    stream.write(b"still")
    assert far.recv(10) == b"still"
    stream.close()
    far.close()


def test_read_of_a_reset_stream_says_so(kind: Kind) -> None:
    stream, far = kind.pair()
    reset(far)
    with pytest.raises(StreamClosedError):
        stream.read()
    stream.close()


def test_write_to_a_peer_that_is_gone_says_so(kind: Kind) -> None:
    stream, far = kind.pair()
    stream.deadline = monotonic() + PATIENCE_S
    reset(far)
    with pytest.raises(StreamClosedError):
        write_often(stream, 3)
    stream.close()


def test_read_ends_at_its_deadline(kind: Kind) -> None:
    stream, far = kind.pair()
    begun = monotonic()
    stream.deadline = begun + SOON_S
    with pytest.raises(StreamTimeoutError):
        stream.read()
    assert SOON_S * 0.9 <= monotonic() - begun < PATIENCE_S
    stream.deadline = math.inf
    far.sendall(b"and then")
    assert stream.read() == b"and then"
    stream.close()
    far.close()


def test_write_ends_at_its_deadline_when_nobody_reads(kind: Kind) -> None:
    stream, far = kind.pair()
    begun = monotonic()
    stream.deadline = begun + SOON_S
    with pytest.raises(StreamTimeoutError):
        write_often(stream, 100)
    assert monotonic() - begun < PATIENCE_S
    stream.close()
    far.close()


@pytest.mark.parametrize("piece", [4096, 1 << 20])
def test_large_write_to_a_slow_reader_arrives_whole(kind: Kind, piece: int) -> None:
    stream, far = kind.pair()
    stream.deadline = monotonic() + PATIENCE_S
    received = bytearray()
    reader = in_thread(lambda: read_all(far, received, piece))
    stream.write(LARGE)
    stream.close()
    reader.join(PATIENCE_S)
    assert received == LARGE
    far.close()


def test_writing_nothing_is_allowed(kind: Kind) -> None:
    stream, far = kind.pair()
    stream.write(b"")
    stream.write(b"x")
    assert far.recv(10) == b"x"
    stream.close()
    far.close()


def test_close_may_be_called_twice_and_is_seen(kind: Kind) -> None:
    stream, far = kind.pair()
    stream.close()
    stream.close()
    assert far.recv(1) == b""
    assert not stream.is_quiet()
    far.close()


def test_a_closed_stream_raises_what_streams_raise(kind: Kind) -> None:
    stream, far = kind.pair()
    stream.close()
    with pytest.raises(StreamClosedError):
        stream.write(b"x")
    with pytest.raises(StreamClosedError):
        stream.read()
    far.close()


def test_connect_reaches_a_listener(kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            stream = kind.transport.connect(Address(host, port), PATIENCE_S)
            far, _ = listener.accept()
            stream.write(b"x")
            assert far.recv(1) == b"x"
            far.close()
            stream.close()


def test_connect_reaches_a_unix_socket(kind: Kind, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        stream = kind.transport.connect(Address(path=path), PATIENCE_S)
        far, _ = listener.accept()
        far.sendall(b"x")
        assert stream.read() == b"x"
        far.close()
        stream.close()


def test_connect_where_nobody_listens_is_refused(kind: Kind, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for address in (
        Address("127.0.0.1", port),
        Address(path=str(tmp_path / "none")),
        Address("no-such-host.invalid", 80),
    ):
        with pytest.raises(ConnectRefusedError):
            kind.transport.connect(address, PATIENCE_S)


def test_connect_that_is_not_answered_ends_in_time(kind: Kind) -> None:
    """A listener whose queue is full lets the next one wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        waiting = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(where)
            waiting.append(sock)
        begun = monotonic()
        with pytest.raises(ConnectTimeoutError):
            kind.transport.connect(Address(*where), SOON_S)
        assert monotonic() - begun < PATIENCE_S
        for sock in waiting:
            sock.close()


def test_is_quiet_tells_whether_something_waits(kind: Kind) -> None:
    stream, far = kind.pair()
    assert stream.is_quiet()
    far.sendall(b"x")
    assert stream.read() == b"x"
    assert stream.is_quiet()
    stream.close()
    far.close()


def test_a_stream_that_is_cut_ends_for_both_sides(kind: Kind) -> None:
    """Who reads gets the error, not an end; the peer gets the end."""
    stream, far = kind.pair()
    far.sendall(b"before")
    assert stream.read() == b"before"
    stream.cut(StreamClosedError("cut"))
    with pytest.raises(StreamClosedError, match="cut"):
        stream.read()
    with pytest.raises(StreamClosedError):
        write_often(stream, 3)
    assert far.recv(1) == b""
    stream.close()
    far.close()


def test_a_read_that_waits_is_woken_by_a_cut(kind: Kind) -> None:
    stream, far = kind.pair()
    caught: list[Exception] = []

    def read() -> None:
        try:
            stream.read()
        except StreamClosedError as error:
            caught.append(error)

    if kind.name == "hub":
        reader = gevent.spawn(read)
        gevent.sleep(0)
        cutter = gevent.spawn(stream.cut, StreamClosedError("cut"))
        gevent.joinall([reader, cutter], timeout=PATIENCE_S)
    else:
        thread = in_thread(read)
        stream.cut(StreamClosedError("cut"))
        thread.join(PATIENCE_S)
    assert [str(error) for error in caught] == ["cut"]
    assert far.recv(1) == b""
    stream.close()
    far.close()
