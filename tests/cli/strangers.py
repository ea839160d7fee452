"""Servers that are no admin process of Evenhand, or one that a test looks over."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class Stranger(ThreadingHTTPServer):
    """Answers every request alike, and keeps the heads of what it was asked."""

    daemon_threads = True

    def __init__(self, status: int, kind: str, body: bytes, *fields: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.kind, self.body, self.fields = status, kind, body, fields
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        head = {key.lower(): value for key, value in self.headers.items()}
        self.server.asked.append((f"{self.command} {self.path}", head))
        self.rfile.read(int(head.get("content-length", "0")))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        for field in self.server.fields:
            self.send_header(*field.split(": ", 1))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stranger(
    body: str,
    *fields: str,
    status: int = 200,
    kind: str = "application/json",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Stranger]:
    server = Stranger(status, kind, body.encode(), *fields)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
