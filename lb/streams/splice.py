"""Pipes through which large bodies go from socket to socket inside the kernel.

`os.splice` moves pages, not bytes: what a backend sends reaches the client without
ever being copied into this process and out again (figures in docs/performance.md).
It needs a pipe between the two sockets, and the bytes that lie in one are a `Pipe`,
which is passed about as pieces of a body are, and has a length as they have.

Where splicing is not possible (not Linux, no descriptor left, a socket that cannot)
`Pipes.fill` gives bytes instead. It never waits; the streams do that.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from lb.streams.stream import READ_BYTES

if TYPE_CHECKING:
    import _socket

WORTH_BYTES: Final = 65536
"""What must be left of a body for a pipe to pay: with 64 KiB left (a body of 128) it
costs a tenth less than to read and write, with 32 as much."""

TURN_BYTES: Final = 524288
"""What one connection may move before others have their turn: 0.3 ms of work."""

PIPE_BYTES: Final = 1048576
"""A pipe's size: 256 pages, each of which holds one fragment of a packet, however
small. 64 MiB took 45 ms of CPU with 64 pages, 41 with 128, 37 with 256."""

LEAST_PIPE_BYTES: Final = 65536
"""Below it (Linux makes tiny ones for a user who has too many) reading is cheaper."""

MAX_PIPES: Final = 32
"""Pipes of one process, which bounds what slow readers leave in them to 16 MiB. Linux
lets an unprivileged user have 64 of this size (`pipe-user-pages-soft`)."""

CANNOT: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""How a kernel or a socket says that it does not splice."""

_HAS_SPLICE: Final = hasattr(os, "splice") and hasattr(fcntl, "F_SETPIPE_SZ")
_FLAGS: Final = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)


class Pipe:
    """Bytes on their way that lie in the kernel; `len` says how many.

    Whoever has one gives it to `Stream.pass_on`, or else must `release` it.
    """

    __slots__ = ("_held", "_pipes", "_reader", "_writer")

    def __init__(self, pipes: Pipes) -> None:
        self._pipes = pipes
        self._held = 0
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __len__(self) -> int:
        return self._held

    def __repr__(self) -> str:
        return f"<Pipe {self._reader}-{self._writer} holds {self._held}>"

    def enlarge(self) -> bool:
        """Make it hold `PIPE_BYTES`, or what is allowed; whether that is enough."""
        try:
            size = fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            size = fcntl.fcntl(self._writer, fcntl.F_GETPIPE_SZ)
        return size >= LEAST_PIPE_BYTES

    def fill(self, source: _socket.socket, limit_bytes: int) -> int:
        """Take in what has come, into an empty pipe; how much (0: the peer closed).

        Raises:
            BlockingIOError: nothing has come.
            OSError: of the source.
        """
        self._held = os.splice(source.fileno(), self._writer, limit_bytes, flags=_FLAGS)
        return self._held

    def drain(self, sink: _socket.socket) -> None:
        """Give as much of it as is taken now.

        Raises:
            BlockingIOError: nothing is taken now.
            OSError: of the sink.
        """
        self._held -= os.splice(self._reader, sink.fileno(), self._held, flags=_FLAGS)

    def read_out(self) -> bytes:
        """All of it as bytes after all; the pipe is empty then."""
        data = b""
        while len(data) < self._held:
            data += os.read(self._reader, self._held - len(data))
        self._held = 0
        return data

    def release(self) -> None:
        """Nobody needs it any more, nor what is left in it."""
        self._pipes.put(self)

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)
        self._held = 0


class Pipes:
    """The pipes of one process: made when needed, at most `MAX_PIPES`, and kept.

    For one thread. A pipe is out only while bytes lie in it, so slow peers hold as
    many at most, and all other bodies are read and written meanwhile.
    """

    def __init__(self) -> None:
        self._free: list[Pipe] = []
        self._made = 0
        self._limit = MAX_PIPES if _HAS_SPLICE else 0

    def __repr__(self) -> str:
        return f"<Pipes free={len(self._free)} made={self._made}>"

    def fill(self, source: _socket.socket, limit_bytes: int) -> bytes | Pipe:
        """What has come, at most `limit_bytes` of it in a pipe; empty at the end.

        Without a pipe to be had it is read as ever, and then up to `READ_BYTES`.

        Raises:
            BlockingIOError: nothing has come.
            OSError: of the source.
        """
        pipe = self._take()
        if pipe is None:
            return source.recv(READ_BYTES)
        try:
            if pipe.fill(source, min(limit_bytes, TURN_BYTES)):
                return pipe
        except OSError as error:
            pipe.release()
            if error.errno not in CANNOT:
                raise
            self.close()
            return source.recv(READ_BYTES)
        pipe.release()
        return b""

    def _take(self) -> Pipe | None:
        if self._free:
            return self._free.pop()
        if self._made >= self._limit:
            return None
        try:
            pipe = Pipe(self)
        except OSError:  # no descriptor is left
            return None
        if not pipe.enlarge():
            pipe.close()
            return None
        self._made += 1
        return pipe

    def put(self, pipe: Pipe) -> None:
        """Take one back. One that holds bytes is closed: they are nobody else's."""
        if pipe or not self._limit:
            pipe.close()
            self._made -= 1
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Have no pipes from now on: at the end, or where splicing does not work."""
        self._limit = 0
        while self._free:
            self._free.pop().close()
            self._made -= 1
