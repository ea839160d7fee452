"""Take a TCP port to listen on, or say in one sentence why it cannot be had.

gunicorn would retry a port in use for five seconds with several lines of log.
Here a demo backend knows at once; waiting for a port is its keeper's task.
"""

from __future__ import annotations

import errno
import os
import socket

BACKLOG = 2048


class ListenError(Exception):
    """The port cannot be listened on; the message says why."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` (name or address) and `port`.

    The caller closes it.

    Raises:
        ListenError: with a sentence that says why not.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"cannot listen on host {host!r}: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Without it, connections of the last run keep the port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _translated(error, host, port) from None
    return listener


def _translated(error: OSError, host: str, port: int) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} on {host} is in use: stop what runs there, "
            "or choose another port"
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ListenError(f"cannot listen on port {port} of {host}: {reason}")
