"""Streams on gevent's event loop: the fast lane's, one thread, many greenlets.

Three things make them cheaper than gevent's own sockets (figures in
docs/performance.md):

1. C-level non-blocking sockets (`_socket.socket`), without gevent's wrapper, which
   first tries a `recv` that fails, then arms a watcher, waits, and tries again.
2. The read watcher stays armed for the life of the connection: no `epoll_ctl` per
   wait. An event that nobody waits for disarms it (the poll is level-triggered and
   would fire for ever) and calls `on_event`: so a pooled connection that its
   backend closes, and a client that leaves while its backend works, are noticed
   at once and for nothing.
3. No timer per wait: a stream has a deadline, and one timer of the process looks
   at all of them four times a second. A deadline may so be missed by 0.25 s.

A stream belongs to the hub of its thread and cannot be shared between threads.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent

from lb.errors import (
    EarlyAnswerError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.streams.splice import CANNOT
from lb.streams.stream import NEVER, READ_BYTES

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from lb.streams.hub import HubTransport
    from lb.streams.splice import Pipe

_READ: Final = 1
_WRITE: Final = 2
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: `close` sends RST."""


class HubStream:
    """One non-blocking socket, read by one greenlet at a time."""

    __slots__ = (
        "_armed",
        "_hub",
        "_interruption",
        "_transport",
        "_waiter",
        "_watcher",
        "_writer",
        "deadline",
        "on_event",
        "sock",
        "stays_armed",
    )

    def __init__(self, transport: HubTransport, sock: _socket.socket) -> None:
        self.sock = sock
        self.deadline = NEVER
        self.on_event: Callable[[], None] | None = None
        self.stays_armed = False
        self._transport = transport
        self._hub = transport.hub
        self._waiter: Any = None
        self._writer: Any = None
        self._interruption: Exception | None = None
        self._watcher = self._hub.loop.io(sock.fileno(), _READ)
        self._watcher.start(self._on_readable)
        self._armed = True
        transport.streams.add(self)

    def __repr__(self) -> str:
        fileno = self.sock.fileno()
        return f"<HubStream fd={fileno} {'waiting' if self._waiter else 'running'}>"

    def read(self) -> bytes:
        """See `lb.streams.stream.Stream.read`."""
        while True:
            self._wait_readable()
            try:
                return self.sock.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise StreamClosedError(error.strerror) from error

    def watch(self) -> None:
        """See `Stream.watch`."""
        self.stays_armed = True
        if not self._armed and self._watcher is not None:
            self._watcher.start(self._on_readable)
            self._armed = True

    def read_nowait(self) -> bytes | None:
        """See `Stream.read_nowait`."""
        if self._interruption is not None:
            return None
        try:
            return self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def write_nowait(self, data: bytes) -> int:
        """See `Stream.write_nowait`."""
        try:
            return self.sock.send(data)
        except OSError:  # `write` meets it again
            return 0

    def take(self, limit_bytes: int) -> bytes | Pipe:
        """See `lb.streams.stream.Stream.take`."""
        while True:
            self._wait_readable()
            try:
                return self._transport.pipes.fill(self.sock, limit_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise StreamClosedError(error.strerror) from error

    def _wait_readable(self) -> None:
        """Wait until something has come, or raise at the deadline or when told to."""
        if self._interruption is not None:
            self._raise_interruption()
        if not self._armed:
            if self._watcher is None:
                raise StreamClosedError("the stream is closed")
            self._watcher.start(self._on_readable)
            self._armed = True
        self._waiter = getcurrent()
        try:
            reason = self._hub.switch()
        finally:
            self._waiter = None
        if reason:
            raise reason

    def write(self, data: bytes | memoryview) -> None:
        """See `lb.streams.stream.Stream.write`."""
        try:
            sent = self.sock.send(data)
            if sent == len(data):
                return
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise StreamClosedError(error.strerror) from error
        self._write_rest(memoryview(data)[sent:])

    def _write_rest(self, left: memoryview) -> None:
        # The deadline is for a peer that takes nothing: each step renews it.
        patience_s = self.deadline - monotonic()
        while left:
            if self._interruption is not None:
                self._raise_interruption()
            try:
                self.wait_writable()
            except EarlyAnswerError as error:
                error.unsent = left
                raise
            try:
                left = left[self.sock.send(left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise StreamClosedError(error.strerror) from error
            self.deadline = monotonic() + patience_s

    def pass_on(self, pipe: Pipe) -> None:
        """See `lb.streams.stream.Stream.pass_on`."""
        patience_s = self.deadline - monotonic()
        try:
            while not self._drain(pipe, patience_s):
                if self._interruption is not None:
                    self._raise_interruption()
                self.wait_writable()
        except EarlyAnswerError as error:
            error.unsent = error.unsent or pipe.read_out()
            raise
        finally:
            pipe.release()

    def _drain(self, pipe: Pipe, patience_s: float) -> bool:
        """Send of `pipe` what goes now; whether it is empty. See `_write_rest`."""
        try:
            pipe.drain(self.sock)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in CANNOT:
                self._transport.pipes.close()
                self.write(pipe.read_out())
                return True
            raise StreamClosedError(error.strerror) from error
        self.deadline = monotonic() + patience_s
        return not pipe

    def wait_writable(self) -> None:
        """Wait until the peer takes bytes again, or raise at the deadline."""
        watcher = self._hub.loop.io(self.sock.fileno(), _WRITE)
        self._writer = getcurrent()
        watcher.start(self._on_writable)
        try:
            reason = self._hub.switch()
        finally:
            self._writer = None
            watcher.stop()
            watcher.close()
        if reason:
            raise reason

    def is_quiet(self) -> bool:
        """See `Stream.is_quiet`; as of the last turn of the event loop, for nothing."""
        return self._armed and self._interruption is None

    def has_input(self) -> bool:
        """See `Stream.has_input`; costs a system call, 0.5 us."""
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def has_ended(self) -> bool:
        """Whether the peer has closed; costs a system call."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """See `Stream.close`."""
        self._transport.streams.discard(self)
        self.on_event = None
        self.stays_armed = False
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
            self._armed = False
        self.sock.close()

    def abort(self) -> None:
        """Close with a reset, so that the peer cannot take what it has for whole."""
        with contextlib.suppress(OSError):  # already gone
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def shut_write(self) -> None:
        """See `Stream.shut_write`."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise StreamClosedError(error.strerror) from error

    def interrupt(self, error: Exception) -> None:
        """See `Stream.interrupt`; must be called in the hub or another greenlet."""
        waiter = self._waiter or self._writer
        if waiter is None:
            self._interruption = error
            if self.stays_armed:
                self._hub.loop.run_callback(self._on_readable)
        elif getcurrent() is self._hub:
            waiter.switch(error)
        else:
            self._interruption = error
            self._hub.loop.run_callback(self._wake)

    def cut(self, error: Exception) -> None:
        """See `Stream.cut`; must be called in the hub or another greenlet."""
        self.interrupt(error)
        with contextlib.suppress(OSError):  # already gone
            self.sock.shutdown(socket.SHUT_RDWR)

    def wake_reader(self, error: Exception) -> bool:
        """See `Stream.wake_reader`; must be called in the hub."""
        waiter = self._waiter
        if waiter is None:
            return False
        waiter.switch(error)
        return True

    def wake_writer(self, error: Exception) -> bool:
        """See `Stream.wake_writer`; must be called in the hub."""
        writer = self._writer
        if writer is None:
            return False
        writer.switch(error)
        return True

    def _wake(self) -> None:
        waiter, error = self._waiter or self._writer, self._interruption
        if waiter is not None and error is not None:
            self._interruption = None
            waiter.switch(error)

    def _raise_interruption(self) -> None:
        error, self._interruption = self._interruption, None
        if error is not None:
            raise error

    def expire(self) -> None:
        """End the wait whose deadline has passed (the sweep calls this in the hub)."""
        waiter = self._waiter or self._writer
        if waiter is not None:
            waiter.switch(StreamTimeoutError("deadline passed"))
        elif self.on_event is not None:
            if self.stays_armed:
                self._interruption = StreamTimeoutError("deadline passed")
            self.on_event()

    def _on_readable(self) -> None:
        if self.stays_armed:
            if self.on_event is not None:
                self.on_event()
            return
        waiter = self._waiter
        if waiter is not None:
            waiter.switch()
            return
        if self._watcher is None:  # closed since it was asked to look
            return
        self._watcher.stop()
        self._armed = False
        if self.on_event is not None:
            self.on_event()

    def _on_writable(self) -> None:
        writer = self._writer
        if writer is not None:
            writer.switch()
