"""The workloads, as a table: what is asked for, of how many backends, by which load.

Each is the same bytes for every peer. A workload's name is what `--workloads` takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bench import bodies
from bench.errors import BenchError


class Load(Enum):
    """Who makes the load."""

    WRK = "wrk: as many requests as go, on a fixed number of connections"
    TRANSFER = "one large transfer after the other on one connection"
    RATE = "requests at fixed times, however long the responses take"
    IDLE = "wrk, while many other connections idle"


class Source(Enum):
    """Who answers."""

    STATIC = "nginx"
    WIRE = "a Python program that sends prepared bytes"


HOST: Final = "www.example.com"

BROWSER: Final = (
    "Connection: keep-alive",
    "Cache-Control: max-age=0",
    'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
    "image/webp,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
)
"""With Host and Cookie 14 fields."""

COOKIE: Final = "Cookie: theme=dark; _ga=GA1.1.1234567890.1700000000; session="
"""What changes in every request follows it, 16 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload; `path` decides what the backends answer."""

    name: str
    title: str
    path: str = "/tiny"
    load: Load = Load.WRK
    source: Source = Source.STATIC
    method: str = "GET"
    fields: tuple[str, ...] = ()
    upload_bytes: int = 0
    has_changing_cookie: bool = False
    connections: int = 64
    backends: int = 2
    logs_access: bool = False
    probe_interval_s: float = 2.0
    idle_connections: int = 0
    rate: int = 0

    def head(self, number: int) -> bytes:
        """The head of the request of that number, with its empty line."""
        start, end = self.head_parts()
        return start + (b"%016x" % number if self.has_changing_cookie else b"") + end

    def head_parts(self) -> tuple[bytes, bytes]:
        """The head before and after what changes in every request."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {HOST}", *self.fields]
        if self.upload_bytes:
            lines.append(f"Content-Length: {self.upload_bytes}")
        if self.has_changing_cookie:
            lines.append(COOKIE)
        return "\r\n".join(lines).encode(), b"\r\n\r\n"

    def sent(self) -> bytes:
        """The body of the request."""
        return bodies.of_size(self.upload_bytes)

    def answer(self) -> bytes:
        """The body of the right response."""
        if self.path in bodies.FILES:
            return bodies.of_size(bodies.FILES[self.path])
        if self.path == "/chunked":
            return bodies.unchunked()
        if self.upload_bytes:
            return b"%d" % self.upload_bytes
        return bodies.TINY


MANY = 600.0
"""Seconds between probes where many backends are chosen from: choosing is measured
there, and a peer without health checks has no probes to pay for."""

ALL: Final = (
    Workload("tiny", "tiny GET"),
    Workload(
        "browser",
        "browser-like GET, 14 fields, changing cookie",
        fields=BROWSER,
        has_changing_cookie=True,
    ),
    Workload(
        "post-1k",
        "POST of 1 KiB",
        "/length",
        source=Source.WIRE,
        method="POST",
        upload_bytes=bodies.KIB,
        fields=("Content-Type: application/octet-stream",),
    ),
    Workload("get-10k", "10 KiB response", "/10k"),
    Workload("get-1m", "1 MiB response", "/1m", connections=16),
    Workload("download-64m", "64 MiB download", "/64m", load=Load.TRANSFER),
    Workload(
        "upload-64m",
        "64 MiB upload",
        "/length",
        load=Load.TRANSFER,
        source=Source.WIRE,
        method="POST",
        upload_bytes=64 * bodies.MIB,
    ),
    Workload(
        "chunked", "64 KiB response in 256 chunks", "/chunked", source=Source.WIRE
    ),
    Workload("connect", "new connection per request", fields=("Connection: close",)),
    Workload("conns-1000", "tiny GET, 1,000 connections", connections=1000),
    Workload("access-log", "tiny GET with access log", logs_access=True),
    Workload(
        "idle-5000",
        "tiny GET beside 5,000 idle connections",
        load=Load.IDLE,
        idle_connections=5000,
    ),
    Workload("backends-2", "tiny GET, 2 backends", probe_interval_s=MANY),
    Workload(
        "backends-100", "tiny GET, 100 backends", backends=100, probe_interval_s=MANY
    ),
    Workload(
        "backends-2000",
        "tiny GET, 2,000 backends",
        backends=2000,
        probe_interval_s=MANY,
    ),
    Workload(
        "rate-5000", "tiny GET, 5,000 requests per second", load=Load.RATE, rate=5000
    ),
)

BASELINES: Final = {"backends-100": "backends-2", "backends-2000": "backends-2"}
"""Workloads that are also compared with another one of the same peer."""


def named(names: list[str]) -> list[Workload]:
    """The workloads of these names, in the order of the table; all for none.

    Raises:
        BenchError: there is no such workload.
    """
    known = [workload.name for workload in ALL]
    if unknown := [name for name in names if name not in known]:
        raise BenchError(
            f"there is no workload {', '.join(unknown)}: there are {', '.join(known)}"
        )
    return [workload for workload in ALL if not names or workload.name in names]
