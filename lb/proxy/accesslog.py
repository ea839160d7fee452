"""The access log: one line per request, written where nobody waits for it.

A request only appends its line to a bounded buffer (0.3 us); a thread of the
operating system joins and writes what has gathered, ten times a second. It has to
be a real thread, whatever gevent has patched: a full disk or a pipe whose reader
stands still then stops the log and nothing else, for as long as that lasts. Lines that
find the buffer full are dropped and counted, and the count is written as soon as there
is room.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections import deque
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Final

from lb import native

if TYPE_CHECKING:
    from lb.proxy.exchange import Request

STANDARD_OUTPUT: Final = "-"
FLUSH_S: Final = 0.1
JOIN_LINES: Final = 2048
"""Lines written at once: about 300 KB."""

PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What may be over some time: then the rest is written, or to a file opened anew."""


def line(
    request: Request, client: str, *, status: int, sent_bytes: int, took_s: float
) -> str:
    """One request as a log line, without its time stamp.

    Client, request line, backend, status, body bytes sent, attempts, milliseconds.
    """
    head = request.head
    backend = request.backend.name if request.backend else "-"
    asked = b"%b %b HTTP/1.%d" % (head.method, head.target, head.minor)
    return (
        f'{client} "{escape(asked)}" {backend} {status} {sent_bytes} '
        f"{request.attempts} {took_s * 1000:.2f}ms"
    )


def escape(data: bytes) -> str:
    """`data` as text that cannot end the quotes or the line it stands in."""
    text = data.decode("latin-1")
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode("ascii").replace('"', '\\"')


class AccessLog:
    """A log with a bounded buffer of `limit` lines, to `where`: `-` or a file.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, where: str, *, limit: int) -> None:
        self._where = where
        self._reopens = False
        self._owns_fd = where != STANDARD_OUTPUT
        self._fd = open_file(where) if self._owns_fd else sys.stdout.fileno()
        self._limit = limit
        self._lines: deque[tuple[float, str]] = deque()
        self._unwritten = memoryview(b"")
        self._dropped = 0
        self._reported = 0
        self._closing = False
        self._done = native.Latch()
        native.start_thread(self._run)

    @property
    def dropped(self) -> int:
        """Lines that found the buffer full."""
        return self._dropped

    @property
    def is_stuck(self) -> bool:
        """Whether something waits that could not be written so far."""
        return bool(self._unwritten)

    def write(self, text: str) -> None:
        """Add one line; never blocks."""
        if len(self._lines) >= self._limit:
            self._dropped += 1
            return
        self._lines.append((time(), text))

    def reopen(self) -> None:
        """Write to the file that has the name now: the old one was moved away.

        Lines that wait go there too; where it cannot be opened, nothing changes.
        """
        self._reopens = self._owns_fd

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is left, for at most `timeout_s` seconds."""
        self._closing = True
        self._done.wait(timeout_s)

    def _run(self) -> None:
        while True:
            closing = self._closing
            if not self._flush():
                break
            if closing and (self._unwritten or not self._lines):
                break
            if self._unwritten or not self._lines:
                native.sleep(FLUSH_S)
        if self._owns_fd:
            os.close(self._fd)
        self._done.open()

    def _flush(self) -> bool:
        """Write one batch, or what is left of it; False when that is hopeless."""
        if self._reopens:
            self._reopens = False
            with contextlib.suppress(OSError):
                new = open_file(self._where)
                os.dup2(new, self._fd, inheritable=False)
                os.close(new)
        try:
            self._unwritten = self._unwritten or memoryview(self._batch())
            while self._unwritten:
                written = os.write(self._fd, self._unwritten)
                self._unwritten = self._unwritten[written:]
        except OSError as error:
            return error.errno in PASSING
        return True

    def _batch(self) -> bytes:
        """The next lines, and how many were dropped before them."""
        lines = self._lines
        batch = [lines.popleft() for _ in range(min(len(lines), JOIN_LINES))]
        text = "".join([f"{_stamp(at)} {text}\n" for at, text in batch])
        if (dropped := self._dropped - self._reported) > 0:
            self._reported += dropped
            text += f"{_stamp(time())} access log: {dropped} lines dropped\n"
        return text.encode()


def open_file(path: str) -> int:
    """A descriptor to append to the file at `path`, made if need be."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


_stamps: dict[int, str] = {}


def _stamp(at: float) -> str:
    """The time as RFC 3339 in UTC with milliseconds; one `strftime` a second."""
    second = int(at)
    text = _stamps.get(second)
    if text is None:
        _stamps.clear()
        text = _stamps[second] = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
    return f"{text}.{int((at - second) * 1000):03d}Z"
