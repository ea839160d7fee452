"""Streams on the standard `socket`: the portable lane's.

They block their thread, with a timeout computed from the deadline; where gevent
has patched `socket` they are cooperative without knowing it. Readers cannot be
woken from outside, so `interrupt` and `on_event` do nothing.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from time import monotonic
from typing import TYPE_CHECKING

from lb.errors import (
    ConnectRefusedError,
    ConnectTimeoutError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.streams.addresses import resolve
from lb.streams.stream import NEVER, READ_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.model import Address
    from lb.streams.splice import Pipe


class BlockingStream:
    """One socket with a timeout for each operation."""

    __slots__ = ("_error", "deadline", "on_event", "sock", "stays_armed")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = NEVER
        self.on_event: Callable[[], None] | None = None
        self.stays_armed = False
        self._error: Exception | None = None
        """What it was cut with."""

    def _set_timeout(self) -> None:
        if self.deadline == math.inf:
            self.sock.settimeout(None)
            return
        left = self.deadline - monotonic()
        if left <= 0:
            raise StreamTimeoutError("deadline passed")
        self.sock.settimeout(left)

    def read(self) -> bytes:
        """See `lb.streams.stream.Stream.read`."""
        try:
            self._set_timeout()
            data = self.sock.recv(READ_BYTES)
        except TimeoutError as error:
            raise StreamTimeoutError("deadline passed") from error
        except OSError as error:
            raise StreamClosedError(error.strerror) from error
        if self._error is not None and not data:
            raise self._error  # an end of ours must not pass for the peer's
        return data

    def watch(self) -> None:
        """Do nothing: this kind cannot but wait."""

    def read_nowait(self) -> bytes | None:
        """Do nothing: this kind cannot but wait."""
        return None

    def write_nowait(self, data: bytes) -> int:
        """Do nothing: this kind cannot but wait."""
        return 0

    def write(self, data: bytes | memoryview) -> None:
        """See `lb.streams.stream.Stream.write`."""
        try:
            self._set_timeout()
            self.sock.sendall(data)
        except TimeoutError as error:
            raise StreamTimeoutError("deadline passed") from error
        except OSError as error:
            raise StreamClosedError(error.strerror) from error

    def take(self, limit_bytes: int) -> bytes | Pipe:
        """See `Stream.take`; always reads."""
        return self.read()

    def pass_on(self, pipe: Pipe) -> None:
        """See `Stream.pass_on`; reads the pipe."""
        try:
            self.write(pipe.read_out())
        finally:
            pipe.release()

    def is_quiet(self) -> bool:
        """See `Stream.is_quiet`; costs a system call."""
        if self.sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def has_input(self) -> bool:
        """See `Stream.has_input`."""
        return not self.is_quiet()

    def shut_write(self) -> None:
        """See `Stream.shut_write`."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise StreamClosedError(error.strerror) from error

    def close(self) -> None:
        """See `Stream.close`."""
        with contextlib.suppress(OSError):
            self.sock.close()

    def interrupt(self, error: Exception) -> None:
        """Do nothing: a thread in `recv` cannot be woken."""

    def cut(self, error: Exception) -> None:
        """See `Stream.cut`; a thread in `recv` meets the end of the stream."""
        self._error = error
        with contextlib.suppress(OSError):  # already gone
            self.sock.shutdown(socket.SHUT_RDWR)

    def wake_reader(self, error: Exception) -> bool:
        """Do nothing: a thread in `recv` cannot be woken."""
        return False

    def wake_writer(self, error: Exception) -> bool:
        """Do nothing: a thread in `send` cannot be woken."""
        return False


class BlockingTransport:
    """Makes `BlockingStream`s; usable from many threads."""

    def connect(self, address: Address, timeout_s: float) -> BlockingStream:
        """See `lb.streams.stream.Transport.connect`."""
        deadline = monotonic() + timeout_s
        refused: Exception | None = None
        for family, sockaddr in resolve(address):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(max(deadline - monotonic(), 0.001))
                sock.connect(sockaddr)
                if family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except TimeoutError as error:
                sock.close()
                raise ConnectTimeoutError(
                    f"no answer to connect within {timeout_s:g} s"
                ) from error
            except OSError as error:
                sock.close()
                refused = error
            else:
                return BlockingStream(sock)
        raise ConnectRefusedError(f"connect failed: {refused}") from refused
