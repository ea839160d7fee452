"""What only the fast lane's streams do: notice, interrupt, sweep."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import gevent
import pytest

from lb.errors import ClientGoneError, StreamClosedError, StreamTimeoutError
from tests.streams.pairs import PATIENCE_S, SOON_S, hub_until, reset

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lb.streams.hub_stream import HubStream
    from tests.streams.pairs import Kind

OPEN = Path("/proc/self/fd")


def close(sock: socket.socket) -> None:
    sock.close()


def speak(sock: socket.socket) -> None:
    sock.sendall(b"x")


@pytest.mark.parametrize("happen", [close, speak, reset])
def test_what_nobody_waits_for_is_told_once(
    hub: Kind, happen: Callable[[socket.socket], None]
) -> None:
    stream, far = hub.pair()
    told: list[bool] = []
    stream.on_event = lambda: told.append(stream.is_quiet())
    gevent.sleep(0.01)
    assert told == []
    assert stream.is_quiet()
    happen(far)
    hub_until(lambda: told)
    gevent.sleep(0.02)
    assert told == [False], "once, and the stream is not quiet any more"
    far.close()


def test_an_event_that_is_not_taken_costs_nothing(hub: Kind) -> None:
    """The poll is level-triggered: a watcher left armed would spin."""
    stream, far = hub.pair()
    far.sendall(b"x")
    hub_until(lambda: not stream.is_quiet())
    before = resource.getrusage(resource.RUSAGE_THREAD)
    gevent.sleep(0.2)
    after = resource.getrusage(resource.RUSAGE_THREAD)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.1
    assert stream.read() == b"x"
    assert stream.is_quiet()
    far.close()


def test_an_event_while_somebody_reads_goes_to_the_reader(hub: Kind) -> None:
    stream, far = hub.pair()
    told: list[int] = []
    stream.on_event = lambda: told.append(1)
    reader = gevent.spawn(stream.read)
    gevent.sleep(0)
    far.sendall(b"x")
    assert reader.get(timeout=PATIENCE_S) == b"x"
    assert told == []
    far.close()


def test_has_ended_tells_a_close_from_bytes(hub: Kind) -> None:
    stream, far = hub.pair()
    assert not stream.has_ended()
    far.sendall(b"x")
    hub_until(lambda: not stream.is_quiet())
    assert not stream.has_ended()
    assert stream.read() == b"x"
    far.close()
    hub_until(lambda: not stream.is_quiet())
    assert stream.has_ended()


def test_has_ended_is_true_of_a_reset_or_closed_stream(hub: Kind) -> None:
    stream, far = hub.pair()
    reset(far)
    hub_until(lambda: not stream.is_quiet())
    assert stream.has_ended()
    stream.close()
    assert stream.has_ended()


def test_interrupt_ends_the_read_that_waits(hub: Kind) -> None:
    stream, far = hub.pair()
    reader = gevent.spawn(stream.read)
    gevent.sleep(0)
    stream.interrupt(ClientGoneError("why"))
    with pytest.raises(ClientGoneError, match="why"):
        reader.get(timeout=PATIENCE_S)
    far.sendall(b"x")
    assert stream.read() == b"x", "once only"
    far.close()


def test_interrupt_before_a_read_ends_it_at_once(hub: Kind) -> None:
    stream, far = hub.pair()
    stream.interrupt(ClientGoneError("why"))
    assert not stream.is_quiet(), "no pool may take it for fresh"
    with pytest.raises(ClientGoneError):
        stream.read()
    assert stream.is_quiet()
    far.close()


def test_interrupt_from_the_event_of_another_stream_works(hub: Kind) -> None:
    """That is how a client that leaves ends the wait for its backend."""
    client, far_client = hub.pair()
    backend, far_backend = hub.pair()
    client.on_event = lambda: backend.interrupt(ClientGoneError("left"))
    reader = gevent.spawn(backend.read)
    gevent.sleep(0)
    far_client.close()
    with pytest.raises(ClientGoneError):
        reader.get(timeout=PATIENCE_S)
    far_backend.close()


def test_a_deadline_that_passes_unattended_is_an_event(hub: Kind) -> None:
    """So pooled connections grow too old and are closed."""
    stream, far = hub.pair()
    stream.on_event = stream.close
    stream.deadline = monotonic() + SOON_S
    hub_until(lambda: stream not in hub.transport.streams)
    assert far.recv(1) == b""
    far.close()


def test_sweep_ends_each_wait_that_is_due_and_no_other(hub: Kind) -> None:
    pairs = [hub.pair() for _ in range(20)]
    for i, (stream, _) in enumerate(pairs):
        stream.deadline = monotonic() - 1 if i % 2 else monotonic() + PATIENCE_S
    readers = [gevent.spawn(stream.read) for stream, _ in pairs]
    gevent.sleep(0)
    hub_until(lambda: all(reader.dead for reader in readers[1::2]))
    assert all(isinstance(r.exception, StreamTimeoutError) for r in readers[1::2])
    assert not any(reader.dead for reader in readers[0::2])
    for (_, far), reader in zip(pairs, readers, strict=True):
        far.close()
        if not reader.dead:
            assert reader.get(timeout=PATIENCE_S) == b""


def test_thousands_of_waits_are_ended_by_one_timer(hub: Kind) -> None:
    """No greenlet sleeps for a deadline."""
    pairs = [hub.pair() for _ in range(200)]
    for stream, _ in pairs:
        stream.deadline = monotonic() + SOON_S
    readers = [gevent.spawn(stream.read) for stream, _ in pairs]
    begun = monotonic()
    gevent.joinall(readers, timeout=PATIENCE_S)
    assert all(isinstance(r.exception, StreamTimeoutError) for r in readers)
    assert monotonic() - begun < 1
    for _, far in pairs:
        far.close()


def test_abort_resets_so_that_nothing_looks_whole(hub: Kind) -> None:
    stream, far = hub.pair()
    stream.write(b"half")
    stream.abort()
    stream.abort()
    with pytest.raises(ConnectionResetError):
        b"".join(iter(lambda: far.recv(100), b""))
    far.close()


def test_shut_write_ends_one_way_only(hub: Kind) -> None:
    stream, far = hub.pair()
    stream.write(b"bye")
    stream.shut_write()
    assert (far.recv(10), far.recv(10)) == (b"bye", b"")
    far.sendall(b"answer")
    assert stream.read() == b"answer"
    reset(far)
    hub_until(lambda: not stream.is_quiet())
    with pytest.raises(StreamClosedError):
        stream.shut_write()
    far.close()


def test_closed_streams_leave_no_descriptor_and_no_watcher(hub: Kind) -> None:
    before = len(list(OPEN.iterdir()))
    for _ in range(50):
        stream, far = hub.pair()
        stream.close()
        far.close()
    assert hub.transport.streams == set()
    assert len(list(OPEN.iterdir())) == before


def test_closing_the_transport_closes_its_streams(hub: Kind) -> None:
    _, far = hub.pair()
    hub.transport.close()
    assert far.recv(1) == b""
    far.close()


def test_repr_tells_what_it_does(hub: Kind) -> None:
    stream, far = hub.pair()
    assert repr(stream).endswith("running>")
    gevent.spawn(stream.read)
    gevent.sleep(0)
    assert repr(stream).endswith("waiting>")
    far.close()


def full(stream: HubStream) -> None:
    """Write until the peer takes nothing more, then stand in the write."""
    while True:
        stream.write(b"x" * 1_000_000)


def test_a_write_that_waits_can_be_interrupted(hub: Kind) -> None:
    """A client that leaves frees a backend that takes nothing."""
    stream, far = hub.pair()
    stream.deadline = monotonic() + PATIENCE_S
    writer = gevent.spawn(full, stream)
    writing_s = monotonic() + SOON_S
    hub_until(lambda: monotonic() > writing_s)
    stream.interrupt(ClientGoneError("left"))
    with pytest.raises(ClientGoneError):
        writer.get(timeout=PATIENCE_S)
    far.close()


def test_waking_a_reader_leaves_a_writer_alone(hub: Kind) -> None:
    stream, far = hub.pair()
    stream.deadline = monotonic() + PATIENCE_S
    writer = gevent.spawn(full, stream)
    writing_s = monotonic() + SOON_S
    hub_until(lambda: monotonic() > writing_s)
    assert not stream.wake_reader(ClientGoneError("left"))
    assert not writer.ready()
    writer.kill()
    far.close()


def test_a_peer_that_takes_a_little_at_a_time_is_not_cut_off(hub: Kind) -> None:
    """The deadline is for one that takes nothing: each step renews it."""
    stream, far = hub.pair()
    far.setblocking(False)
    begun = monotonic()
    patience_s = 4 * SOON_S
    stream.deadline = begun + patience_s
    writer = gevent.spawn(stream.write, b"x" * 30_000_000)
    while not writer.ready():
        gevent.sleep(0.01)
        with suppress(BlockingIOError):
            far.recv(400_000)
        assert monotonic() < begun + PATIENCE_S
    assert writer.get() is None
    assert stream.deadline > begun + patience_s
    far.close()
