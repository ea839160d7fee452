"""Ask a backend for a page, and judge the answer.

The door to `requests`.  Its own timeout counts from one received piece to the
next, so a backend that dribbles could hold a probe for ever; here the socket is
ours and every wait on it ends at the probe's one deadline.  The same makes unix
sockets work.  Redirects are not followed (they are answers), and proxies, netrc
and the like from the environment are not used.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from http.client import RemoteDisconnected
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util.retry import Retry

from lb.health.probe import connect, failed, result
from lb.shm import NOT_REACHED

if TYPE_CHECKING:
    import socket

    from _typeshed import ReadableBuffer, WriteableBuffer

    from lb.health.settings import HealthSettings
    from lb.model import Address
    from lb.shm import ProbeRecord

USER_AGENT = "evenhand-health"
BODY_BYTES = 64 * 1024
"""How much of an answer is searched for the expected text: health pages are short,
and a probe must not download a file every two seconds."""
WISH_CHARACTERS = 16
"""How much of what a backend asks for is looked at and kept."""


def probe_http(address: Address, settings: HealthSettings) -> ProbeRecord:
    """Whether `settings.path` is answered as wanted, all within the timeout.

    Raises:
        OSError: as `lb.health.probe.failed`.
    """
    started = time.monotonic()
    deadline = started + settings.timeout
    connect_s = NOT_REACHED
    try:
        with connect(address, deadline) as sock:
            connect_s = time.monotonic() - started
            answer = _ask(_Timed(sock, deadline), address, settings)
    except OSError as error:  # `requests` derives its errors from it too
        late = time.monotonic() >= deadline
        origin = TimeoutError() if late else _origin(error)
        return failed(started, origin, settings.timeout, connect_s=connect_s)
    found = result(started, ok=not answer.fault, detail=answer.detail)
    head_s = answer.at - started - connect_s
    return replace(found, connect_s=connect_s, head_s=head_s, asked=answer.asked)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is wrong with an answer (empty: nothing); `at` is monotonic, of its head."""

    status: int
    at: float
    fault: str = ""
    wish: str = ""
    """What stands in the field by which backends ask for a share."""

    @property
    def detail(self) -> str:
        if self.fault:
            return self.fault
        said = f", it says {self.wish}" if self.wish else ""
        return f"status {self.status}{said}"

    @property
    def asked(self) -> int | None:
        return share_of(self.wish)


def share_of(wish: str) -> int | None:
    """The percentage in `drain` (0) or `50%`; None for all else, which asks nothing."""
    wish = wish.strip().lower()
    if wish == "drain":
        return 0
    digits = wish.removesuffix("%").rstrip()
    if not (wish.endswith("%") and digits.isascii() and digits.isdigit()):
        return None
    return min(100, int(digits[:4]))


def _ask(sock: _Timed, address: Address, settings: HealthSettings) -> _Answer:
    # Without a session, which merges settings that there are none of: a third less.
    adapter = _Adapter(sock)
    request = _request(address, settings.path, settings.host)
    try:
        response = adapter.send(request, stream=True, timeout=settings.timeout)
        with response:
            at, status = time.monotonic(), response.status_code
            wish = response.headers.get(settings.header, "") if settings.header else ""
            fault = ""
            if status not in settings.status:
                fault = f"status {status}, expected {settings.status}"
            elif settings.body and not _has_text(response, settings.body.encode()):
                fault = "the expected text is not in the body"
            return _Answer(status, at, fault, wish[:WISH_CHARACTERS])
    finally:
        adapter.close()


@lru_cache(maxsize=4096)
def _request(address: Address, path: str, host: str) -> requests.PreparedRequest:
    """What a backend is asked; kept, as it takes a sixth of a probe to make."""
    own = "localhost" if address.path else str(address)
    fields = {
        "Host": host or own,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    return requests.Request("GET", f"http://{own}{path}", fields).prepare()


def _has_text(response: requests.Response, text: bytes) -> bool:
    seen = b""
    for piece in response.iter_content(4096):
        seen += piece
        if text in seen[:BODY_BYTES]:
            return True
        if len(seen) >= BODY_BYTES:
            break
    return False


def _origin(error: OSError) -> OSError:
    """The system's own error behind what `requests` made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RemoteDisconnected):
            return OSError("closed before it answered")
        if isinstance(cause, OSError) and cause.errno:
            return cause
        cause = cause.__cause__ or cause.__context__
    return OSError("no valid HTTP answer")


@dataclass(frozen=True, slots=True)
class _Timed:
    """A connected socket as `http.client` uses it, with one deadline for all."""

    sock: socket.socket
    deadline: float

    def sendall(self, data: ReadableBuffer) -> None:
        self.arm()
        self.sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def arm(self) -> None:
        """Let the next wait end at the deadline."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self.sock.settimeout(remaining)

    def settimeout(self, timeout: float | None) -> None:
        """Nothing: the deadline counts."""

    def close(self) -> None:
        """Nothing: whoever connected closes, after the answer was read."""


class _TimedReader(io.RawIOBase):
    """What arrives at a timed socket."""

    def __init__(self, timed: _Timed) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._timed.arm()
        return self._timed.sock.recv_into(buffer)


_ONCE = Retry(0, read=False)


class _Adapter(HTTPAdapter):
    """Sends every request over one given socket, and never twice."""

    def __init__(self, sock: _Timed) -> None:
        super().__init__(max_retries=_ONCE)
        self._pool = _Pool(sock)

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        """Make none: it is never asked, and takes a tenth of a probe to make."""

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()


class _Pool(HTTPConnectionPool):
    """A pool of the one connection that there is."""

    def __init__(self, sock: _Timed) -> None:
        super().__init__("localhost", maxsize=1)
        self._sock = sock

    def _new_conn(self) -> Any:
        return _Connection(self._sock)


class _Connection(HTTPConnection):
    """A connection that is connected already."""

    def __init__(self, sock: _Timed) -> None:
        super().__init__("localhost")
        self._given = sock

    def connect(self) -> None:
        self.sock = self._given
