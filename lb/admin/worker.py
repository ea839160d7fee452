"""gunicorn's threaded worker, in which no client can keep a thread by being slow.

The app has a few dozen threads, and whoever can connect can ask for one. gunicorn gives
a thread to each connection before anything has come, waits for the rest of a request
for ever, and lets its one event loop wait at the close of each connection; so some
clients that stand still would lock out the operator. Here

    a connection            waits for its first byte in the event loop, without a thread
    a request's head        must be there `HEAD_S` after its first byte
    each read and write     must get on within `STALL_S`: uploads, and streams of events
    a body that nobody read ends its connection, if the rest is not there already
    a close                 waits for the client in the connection's thread

How long an answer may take is the views' business.
"""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from time import monotonic
from typing import Any, Final

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD_S: Final = 5.0
STALL_S: Final = 10
DRAIN_S: Final = 0.25
LINGER_S: Final = 0.5
"""How long a closing connection is read on, so that its client gets the answer."""

STALL: Final = struct.pack("ll", STALL_S, 0)
PASSING: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
"""Errors of an accept that mean: not this one."""


class Connection(TConn):  # type: ignore[misc] # gunicorn is not typed
    """A connection whose thread has waited for its client already when it closes."""

    def close(self, graceful: bool = False) -> None:
        """Close at once: it is called in the event loop."""
        super().close()


class AdminWorker(ThreadWorker):  # type: ignore[misc] # gunicorn is not typed
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: dict[Connection, float] = {}
        """Until when a thread may read a head there; the event loop looks."""

    def accept(self, listener: Any) -> None:
        """Take a connection, and wait in the event loop for its first byte."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in PASSING:
                raise
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, sock, address, listener.getsockname())
        # The kernel's timeouts, as gunicorn makes sockets block without one.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, STALL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, STALL)
        conn.timeout = monotonic() + HEAD_S
        self.pending_conns.append(conn)
        heed = partial(self.on_pending_socket_readable, conn)
        self.poller.register(sock, EVENT_READ, heed)

    def murder_pending(self) -> None:
        """End what is late; called at least once a second."""
        super().murder_pending()
        now = monotonic()
        for conn, until in list(self._reading.items()):
            if now > until:
                with suppress(OSError):  # it has ended by itself
                    conn.sock.shutdown(socket.SHUT_RDWR)

    def handle(self, conn: Connection) -> Any:
        """Serve one request, in a thread; whether another may follow."""
        self._reading[conn] = monotonic() + HEAD_S
        try:
            may_follow = super().handle(conn)
        finally:
            self._reading.pop(conn, None)
        if may_follow is False:
            close_graceful(conn.sock, timeout=LINGER_S)
        return may_follow

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """The answer to a request whose head is there."""
        self._reading.pop(conn, None)
        try:
            return super().handle_request(req, conn)
        except BlockingIOError as error:  # STALL_S is over
            message = "the client takes nothing"
            raise ConnectionResetError(errno.ECONNRESET, message) from error

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """gunicorn's own, which would wait 5 s for a body that nobody has read."""
        deadline = monotonic() + DRAIN_S
        return bool(keepalive and conn.parser.finish_body(deadline=deadline))
