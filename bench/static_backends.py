"""The backends: one nginx on many loopback addresses, and the Python wire backend.

nginx answers from memory or by sendfile, so that the load's cores are the load's.
Its two thousand addresses are 127.1.x.y on one port: real addresses and sockets of
their own for every proxy, and one event loop behind them.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import bodies
from bench.exact import fetch
from bench.processes import free_port, running, wait_until_ready
from bench.workloads import HOST, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.workloads import Workload

MOST: Final = 2000
"""Addresses of the static backend."""

CONFIG: Final = """\
daemon off;
{user}
worker_processes {processes};
worker_rlimit_nofile 32768;
pid {folder}/backend.pid;
error_log {folder}/backend-errors.log crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  tcp_nopush on;
  sendfile on;
  sendfile_max_chunk 2m;
  open_file_cache max=16 inactive=1h;
  default_type text/plain;
  client_body_temp_path {folder}/backend-bodies;
  proxy_temp_path {folder}/backend-unused;
  fastcgi_temp_path {folder}/backend-unused;
  uwsgi_temp_path {folder}/backend-unused;
  scgi_temp_path {folder}/backend-unused;
  server {{
{listen}
    root {folder}/files;
    location = /tiny {{ return 200 "{tiny}"; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Backends:
    """Where the running backends listen."""

    static: tuple[str, ...]
    wire: tuple[str, ...]

    def of(self, workload: Workload) -> tuple[str, ...]:
        """The addresses that a workload is balanced over."""
        if workload.source is Source.WIRE:
            return self.wire
        return self.static[: workload.backends]


def user_line() -> str:
    """What lets nginx's workers, when root starts it, read a folder that is ours."""
    return "" if os.geteuid() else f"user {getpass.getuser()};"


def addresses(port: int, count: int = MOST) -> tuple[str, ...]:
    """`count` loopback addresses with that port."""
    return tuple(f"127.1.{n // 250}.{n % 250 + 1}:{port}" for n in range(count))


def config(folder: Path, listen: tuple[str, ...], processes: int) -> str:
    """The configuration of the static backend."""
    return CONFIG.format(
        user=user_line(),
        folder=folder,
        processes=processes,
        listen="\n".join(f"    listen {address} backlog=4096;" for address in listen),
        tiny=bodies.TINY.decode().replace("\n", "\\n"),
    )


@contextlib.contextmanager
def started(folder: Path, *, cores: frozenset[int]) -> Iterator[Backends]:
    """All backends, until the end of the block."""
    with contextlib.ExitStack() as stack:
        static = stack.enter_context(_static(folder, cores))
        wire = tuple(
            stack.enter_context(_wire(folder / f"wire{n}.log", cores)) for n in range(2)
        )
        yield Backends(static, wire)


@contextlib.contextmanager
def _static(folder: Path, cores: frozenset[int]) -> Iterator[tuple[str, ...]]:
    files = folder / "files"
    files.mkdir()
    for name, size in bodies.FILES.items():
        (files / name.lstrip("/")).write_bytes(bodies.of_size(size))
    port = free_port()
    listen = addresses(port)
    path = folder / "backend.conf"
    path.write_text(config(folder, listen, max(1, len(cores) // 2)))
    argv = ("nginx", "-p", str(folder), "-c", str(path), "-e", "stderr")
    with running(argv, cores=cores, log=folder / "backend.log") as child:
        request = b"GET /tiny HTTP/1.1\r\nHost: %b\r\n\r\n" % HOST.encode()
        wait_until_ready(
            child, lambda: fetch(("127.1.0.1", port), request).status == 200
        )
        yield listen


@contextlib.contextmanager
def _wire(log: Path, cores: frozenset[int]) -> Iterator[str]:
    port = free_port()
    argv = (sys.executable, "-m", "bench.wire_backend", str(port))
    with running(argv, cores=cores, log=log) as child:
        request = b"GET /length HTTP/1.1\r\nHost: %b\r\n\r\n" % HOST.encode()
        wait_until_ready(
            child, lambda: fetch(("127.0.0.1", port), request).status == 200
        )
        yield f"127.0.0.1:{port}"
