"""Between WSGI and the engine: an environ as request bytes, a response as pieces.

Pure but for the reading of `wsgi.input` and of the response body.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from lb.errors import AttemptError, RequestError
from lb.http1.grammar import CHUNKED
from lb.shm.labels import CLIENT_LEFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.http1.request import RequestParser
    from lb.http1.request_head import RequestHead
    from lb.http1.response import ResponseHead
    from lb.proxy.exchange import Response

READ_BYTES: Final = 16384
"""Asked of `wsgi.input` at once: `read(n)` blocks until n bytes are there."""

_NOT_FIELDS: Final = frozenset(("HTTP_EXPECT", "HTTP_UPGRADE"))
"""Of the client's connection, which the WSGI server has dealt with.

Not so `Connection`: the fields that it names are still there, and end here.
"""


def parse_environ(parser: RequestParser, environ: dict[str, Any]) -> RequestHead:
    """The request head that a WSGI server has taken apart, put together again.

    Raises:
        RequestError: it is not one that may be passed on.
    """
    data = _head_bytes(environ)
    head = parser.parse(data)
    if head is None or head.size != len(data):
        raise RequestError("the request head is not one message")
    return head


def _head_bytes(environ: dict[str, Any]) -> bytes:
    version = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    lines = [f"{environ['REQUEST_METHOD']} {_target(environ)} {version}"]
    for key, value in environ.items():
        if key.startswith("HTTP_") and key not in _NOT_FIELDS:
            lines.append(f"{key[5:].replace('_', '-').title()}: {value}")
    if content_type := environ.get("CONTENT_TYPE"):
        lines.append(f"Content-Type: {content_type}")
    length = environ.get("CONTENT_LENGTH")
    if length and "HTTP_TRANSFER_ENCODING" not in environ:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _target(environ: dict[str, Any]) -> str:
    """The target byte for byte where the server kept it (gunicorn, Werkzeug do)."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        return str(raw)
    path = quote(environ.get("PATH_INFO", "/").encode("latin-1"))
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


class InputSource:
    """A request body from `wsgi.input`; see `lb.proxy.upload.Source`."""

    rest = b""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._left = length
        self.is_done = False
        self.trailers: list[bytes] = []

    def read(self) -> bytes:
        """See `Source.read`; a piece is `READ_BYTES`, or what is left of the body."""
        if self.is_done:
            return b""
        is_chunked = self._left == CHUNKED
        want = READ_BYTES if is_chunked else min(READ_BYTES, self._left)
        try:
            piece: bytes = self._stream.read(want)
        except OSError as error:  # the server's own finding, or the client is gone
            raise RequestError(f"the request body broke off: {error}") from error
        if not piece and not is_chunked:
            raise RequestError("the request body ended too early")
        if not is_chunked:
            self._left -= len(piece)
        self.is_done = self._left == 0 if not is_chunked else not piece
        return piece

    def take(self) -> bytes:
        """See `Source.take`; always reads."""
        return self.read()

    def wake(self) -> None:
        """Do nothing: a thread in `read` cannot be woken."""


def status_line(head: ResponseHead) -> str:
    """Status and reason as WSGI wants them."""
    return f"{head.status} {head.reason.decode('latin-1')}"


def header_pairs(
    head: ResponseHead, via: bytes, marks: Sequence[tuple[bytes, bytes]] = ()
) -> list[tuple[str, str]]:
    """The fields of a response as WSGI wants them, with `Via` and `marks` added."""
    pairs = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in (*head.pairs(), *marks)
    ]
    pairs.append(("Via", f"1.{head.minor} {via.decode('latin-1')}"))
    return pairs


class Account(Protocol):
    """Where it is told how a request went."""

    def note_cut(self, status: int, error: AttemptError) -> None:
        """The backend broke off the body of its response of that status."""

    def close(self, status: int, sent_bytes: int, label: str) -> None:
        """The request is over; `label` says how, "" for well."""


class BodyIterator:
    """A response body for a WSGI server: iterated, then closed.

    An error amid the body is raised, so that the server breaks the connection off
    and the client does not take what it has for the whole.
    """

    def __init__(self, response: Response, idle_s: float, account: Account) -> None:
        self._response = response
        self._idle_s = idle_s
        self._account = account
        self._sent = 0
        self._is_closed = False
        self._label = ""
        self._first: bytes | None = response.body.first
        if response.body.is_done:
            response.finish()

    def __iter__(self) -> BodyIterator:
        return self

    def __next__(self) -> bytes:
        piece, self._first = self._first, None
        if not piece:
            piece = self._read()
        if not piece:
            self._response.finish()
            raise StopIteration
        self._sent += len(piece)
        return piece

    def _read(self) -> bytes:
        response = self._response
        if response.body.is_done:
            return b""
        if response.connection is not None:
            response.connection.stream.deadline = monotonic() + self._idle_s
        try:
            return response.body.read()
        except AttemptError as error:
            self._label = error.label
            self._account.note_cut(response.head.status, error)
            raise

    def close(self) -> None:
        """Called by the server when all is sent, or the client is gone."""
        if not self._is_closed:
            self._is_closed = True
            if not self._label and (self._first or not self._response.body.is_done):
                self._label = CLIENT_LEFT
            self._response.close()
            self._account.close(self._response.head.status, self._sent, self._label)
