"""Streams under test and their far ends, over real sockets on loopback."""

from __future__ import annotations

import _socket
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent

from lb.streams.blocking import BlockingStream, BlockingTransport
from lb.streams.hub import HubTransport
from lb.streams.hub_stream import HubStream

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 5.0
"""Longer than the sweep of deadlines, shorter than anybody's patience."""

SOON_S = 0.05


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets of TCP, which knows resets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), PATIENCE_S)
        far, _ = listener.accept()
    far.settimeout(PATIENCE_S)
    return near, far


@dataclass
class Kind:
    """One implementation: how to make its streams, and how to let its loop run."""

    name: str
    transport: Any

    def adopt(self, sock: socket.socket) -> Any:
        """A stream of this kind over `sock`, which it then owns."""
        if isinstance(self.transport, HubTransport):
            raw = _socket.socket(fileno=sock.detach())
            raw.setblocking(False)
            return self.transport.adopt(raw)
        return BlockingStream(sock)

    def pair(self) -> tuple[Any, socket.socket]:
        """A stream and its far end."""
        near, far = tcp_pair()
        return self.adopt(near), far


def kinds() -> dict[str, Callable[[], Any]]:
    return {"hub": HubTransport, "blocking": BlockingTransport}


def hub_until(condition: Callable[[], object]) -> None:
    """Let the event loop run until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        gevent.sleep(0.001)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


__all__ = ["PATIENCE_S", "SOON_S", "HubStream", "Kind", "hub_until", "kinds", "reset"]
