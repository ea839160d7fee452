"""The fast lane's transport: makes `HubStream`s, and keeps the deadlines of all.

One timer of the process looks at every stream four times a second, instead of a
timer per wait. Figures for the whole are in docs/performance.md.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from lb.errors import ConnectRefusedError, ConnectTimeoutError, StreamTimeoutError
from lb.streams.addresses import is_number, resolve
from lb.streams.hub_stream import HubStream
from lb.streams.splice import Pipes

if TYPE_CHECKING:
    from lb.model import Address
    from lb.streams.addresses import Place, SockAddr

SWEEP_S: Final = 0.25

_NONBLOCKING: Final = (
    socket.SOCK_STREAM
    | getattr(socket, "SOCK_NONBLOCK", 0)
    | getattr(socket, "SOCK_CLOEXEC", 0)
)


class HubTransport:
    """Makes `HubStream`s and keeps their deadlines; one per worker process."""

    def __init__(self) -> None:
        self.hub = gevent.get_hub()
        self.streams: set[HubStream] = set()
        self.pipes = Pipes()
        self._timer = self.hub.loop.timer(SWEEP_S, SWEEP_S)
        self._timer.start(self.sweep)

    def adopt(self, sock: _socket.socket) -> HubStream:
        """A stream over an accepted, non-blocking socket, which it now owns."""
        return HubStream(self, sock)

    def sweep(self) -> None:
        """End every wait whose deadline has passed. O(streams), 0.1 us each."""
        now = monotonic()
        for stream in [s for s in self.streams if s.deadline < now]:
            if stream.deadline < now:
                stream.expire()

    def connect(self, address: Address, timeout_s: float) -> HubStream:
        """See `lb.streams.stream.Transport.connect`."""
        deadline = monotonic() + timeout_s
        if is_number(address):
            places = resolve(address)
        else:
            places = self._look_up(address, timeout_s)
        refused: Exception | None = None
        for family, sockaddr in places:
            try:
                return self._connect(family, sockaddr, deadline)
            except StreamTimeoutError as error:
                raise ConnectTimeoutError(
                    f"no answer to connect within {timeout_s:g} s"
                ) from error
            except OSError as error:
                refused = error
        raise ConnectRefusedError(f"connect failed: {refused}") from refused

    def _look_up(self, address: Address, timeout_s: float) -> list[Place]:
        """A name's addresses, by gevent's resolver, within the time to connect."""
        with gevent.Timeout(timeout_s, False):
            return resolve(address)
        raise ConnectTimeoutError(f"no address of {address.host} in {timeout_s:g} s")

    def _connect(self, family: int, sockaddr: SockAddr, deadline: float) -> HubStream:
        sock = _socket.socket(family, _NONBLOCKING)
        try:
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(sockaddr)
        except BaseException:  # a kill of this greenlet, too, must leak nothing
            sock.close()
            raise
        stream = HubStream(self, sock)
        try:
            if code == errno.EINPROGRESS:
                stream.deadline = deadline
                stream.wait_writable()
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except BaseException:  # a kill of this greenlet, too, must leak nothing
            stream.close()
            raise
        return stream

    def close(self) -> None:
        """Stop the sweep and close every stream."""
        self._timer.stop()
        self._timer.close()
        for stream in list(self.streams):
            stream.close()
        self.pipes.close()
