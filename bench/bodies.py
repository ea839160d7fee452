"""The bodies that backends give, the same for all: tests of a body are by equality."""

from __future__ import annotations

from functools import cache
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * 1024

TINY: Final = b"Hello from here\n"
PATTERN: Final = b"".join(b"%015x\n" % line for line in range(64))

CHUNK: Final = 256
CHUNKS: Final = 256

FILES: Final = {"/10k": 10 * KIB, "/1m": MIB, "/64m": 64 * MIB}
"""Paths with a body of that many bytes."""


@cache
def of_size(size: int) -> bytes:
    """A body of `size` bytes; each KiB of it is `PATTERN`."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


@cache
def chunked() -> bytes:
    """A body of `CHUNKS` chunks as it is on the wire, with its last chunk."""
    chunk = b"%x\r\n%b\r\n" % (CHUNK, of_size(CHUNK))
    return chunk * CHUNKS + b"0\r\n\r\n"


def unchunked() -> bytes:
    """What `chunked()` carries."""
    return of_size(CHUNK) * CHUNKS
