"""Kept-alive connections that idle: opened, used once, held.

They are this process's own; each has had one response, as a browser's connection has
before its user reads.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Final

from bench.errors import RunVoidError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.exact import Address
    from bench.workloads import Workload

ALL_OPEN_S: Final = 60.0
TIMEOUT_S: Final = 10.0


@contextlib.contextmanager
def held(address: Address, workload: Workload) -> Iterator[list[socket.socket]]:
    """The workload's idle connections, until the end of the block.

    Raises:
        RunVoidError: one cannot be opened or used, or all take too long.
    """
    give_up = time.monotonic() + ALL_OPEN_S
    connections: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for number in range(workload.idle_connections):
            if time.monotonic() > give_up:
                raise RunVoidError(f"only {number} connections in {ALL_OPEN_S:g} s")
            try:
                sock = stack.enter_context(socket.create_connection(address, TIMEOUT_S))
                _use(sock, workload)
            except OSError as error:
                raise RunVoidError(f"idle connection {number}: {error}") from error
            connections.append(sock)
        yield connections


def _use(sock: socket.socket, workload: Workload) -> None:
    sock.sendall(workload.head(0) + workload.sent())
    data = b""
    while not data.endswith(workload.answer()):
        more = sock.recv(65_536)
        if not more:
            raise ConnectionResetError("closed before its first response")
        data += more


def check_held(connections: list[socket.socket]) -> None:
    """Raise RunVoidError if the proxy closed any of them meanwhile."""
    for sock in connections:
        sock.setblocking(False)
        try:
            data = sock.recv(1)
        except BlockingIOError:
            continue
        except OSError as error:
            raise RunVoidError(f"an idle connection broke: {error}") from error
        raise RunVoidError(f"an idle connection got {data!r} or was closed")
