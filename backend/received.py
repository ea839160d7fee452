"""The request head as it came in, which WSGI does not hand on.

WSGI upper-cases header names, joins repeated ones and drops those with an
underscore, yet those are what a proxy may get wrong and what `/echo` is for. So
the bytes that gunicorn's parser reads are noted on their way and kept for the
request that is being served. Under another server (Flask's test client) the
head is rebuilt from what WSGI gives. Nothing is checked here: gunicorn did.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from gunicorn.http.message import Request as GunicornRequest
from gunicorn.http.parser import RequestParser

if TYPE_CHECKING:
    from typing import Any

    from flask import Request

# Each connection is served by a greenlet, and each greenlet has its own context.
_head: ContextVar[bytes] = ContextVar("head", default=b"")


class _Tap:
    """Reads for a parser, and keeps what was read."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.seen = bytearray()

    def read(self) -> bytes:
        data: bytes = self._source.read()
        self.seen += data
        return data


class _NotedRequest(GunicornRequest):  # type: ignore[misc]
    """A request whose head is kept, byte for byte, while it is served."""

    def parse(self, unreader: Any) -> bytes:
        tap = _Tap(unreader)
        unused: bytes = super().parse(tap)
        _head.set(bytes(tap.seen).lstrip(b"\r\n").partition(b"\r\n\r\n")[0])
        return unused


def note_heads() -> None:
    """Make gunicorn's parser in this process keep the heads it reads."""
    RequestParser.mesg_class = _NotedRequest


def target(request: Request) -> str:
    """The request target as sent, neither decoded nor normalised."""
    return str(request.environ.get("RAW_URI") or request.full_path)


def header_pairs(request: Request) -> list[list[str]]:
    """The headers as `[name, value]`: order, spelling and repetition as sent."""
    lines = _head.get().split(b"\r\n")[1:]
    if not lines:
        return [[name, value] for name, value in request.headers]
    return [_pair(line.decode("latin-1")) for line in lines]


def _pair(line: str) -> list[str]:
    name, _, value = line.partition(":")
    return [name, value.strip(" \t")]
