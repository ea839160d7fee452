"""Small real servers that answer health probes, well or badly."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from lb.model import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def listening(port: int = 0) -> Iterator[Address]:
    """A TCP address that accepts connections, until the block ends."""
    with socket.create_server(("127.0.0.1", port), backlog=64) as server:
        yield Address("127.0.0.1", server.getsockname()[1])


def free_port() -> int:
    """A port at which nobody listens now."""
    with listening() as address:
        return address.port


@contextlib.contextmanager
def serving(
    answer: Callable[[socket.socket, bytes], None], path: Path | None = None
) -> Iterator[tuple[Address, list[bytes]]]:
    """An address where each connection gets `answer`, and the heads received."""
    heads: list[bytes] = []
    server = _server(path)

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.settimeout(5)
                head = _head(peer)
                if head:
                    heads.append(head)
                    answer(peer, head)

    thread = threading.Thread(target=serve)
    thread.start()
    port = 0 if path else server.getsockname()[1]
    try:
        yield (Address(path=str(path)) if path else Address("127.0.0.1", port)), heads
    finally:
        # Only a shutdown wakes a thread that waits in accept.
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def _server(path: Path | None) -> socket.socket:
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def _head(peer: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(4096)
        if not piece:
            break
        data += piece
    return data


def reply(data: bytes) -> Callable[[socket.socket, bytes], None]:
    """An answer of fixed bytes."""
    return lambda peer, _: peer.sendall(data)
