"""Where a body ends: counts or decodes its bytes as they come.

A framing is fed what arrived and gives back the body's own bytes; it says when it
`is_done` and keeps in `rest` what came behind the end, which belongs to the next
message (of a client) or to nobody (of a backend: such a connection is poisoned).
`ended()` tells it that the peer closed: only `UntilClose` may end so.

The chunked decoder follows RFC 9112 section 7.1 to the letter: hexadecimal digits
only, CRLF only; extensions are bounded and dropped, never interpreted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from lb.http1.grammar import CHUNKED, NEVER_TRAILERS, UNTIL_CLOSE, is_token

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_SIZE_LINE: Final = 4096
"""Bytes of one chunk-size line with its extensions; nginx and h11 bound it too."""

MAX_SIZE_DIGITS: Final = 15
"""Hexadecimal digits of a chunk size: below 2**60, so no parser overflows."""

MAX_SIZES: Final = 4096
"""Size lines remembered, for all bodies of the process: 0.4 MB at most."""

MAX_TRAILERS: Final = 16384
"""Bytes of a trailer section (Node allows 16 KiB for a whole head)."""

_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class FramingError(ValueError):
    """The body's framing is broken; its user says whose fault that is."""


class Framing(Protocol):
    """A body as it is cut out of a byte stream."""

    is_done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """The body bytes in `data`, possibly none. Raises: FramingError."""

    def ended(self) -> None:
        """The peer closed. Raises: FramingError unless the body may end here."""


class Sized:
    """A body of `length` bytes (Content-Length)."""

    __slots__ = ("is_done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.is_done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that belongs to the body."""
        if len(data) < self.left:
            self.left -= len(data)
            return data
        body, self.rest = data[: self.left], data[self.left :]
        self.left = 0
        self.is_done = True
        return body

    def skip(self, count: int) -> None:
        """`count` bytes of the body, no more than are `left`, went another way."""
        self.left -= count
        self.is_done = self.left == 0

    def ended(self) -> None:
        """A close before the last byte is a broken body."""
        raise FramingError(f"closed with {self.left} bytes of the body missing")


class UntilClose:
    """A response body that ends with its connection."""

    __slots__ = ("is_done", "rest")

    def __init__(self) -> None:
        self.is_done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """All of `data`."""
        return data

    def ended(self) -> None:
        """The close is the end."""
        self.is_done = True


class Chunked:
    """A body in the chunked coding; `trailers` holds lines that may be passed on.

    Those that the head's Connection field `nominated` (in lower case) may not.
    """

    __slots__ = (
        "_left",
        "_nominated",
        "_pending",
        "_trailer_bytes",
        "is_done",
        "rest",
        "trailers",
    )

    # What `_left` says besides "bytes of the chunk still to come".
    _SIZE_LINE: Final = 0
    _CHUNK_END: Final = -1
    _TRAILERS: Final = -2

    def __init__(self, nominated: Collection[bytes] = ()) -> None:
        self._left = self._SIZE_LINE
        self._nominated = nominated
        self._pending = b""
        self._trailer_bytes = 0
        self.is_done = False
        self.rest = b""
        self.trailers: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """The chunks' data in `data`, joined."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.is_done:
            if self._left == self._SIZE_LINE:
                at = _whole_chunks(data, at, parts)
            if self._left > 0:
                piece = data[at : at + self._left]
                parts.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                # Most often its end is here too; 2 us less for each small chunk.
                if data.startswith(b"\r\n", at):
                    at += 2
                else:
                    self._left = self._CHUNK_END
                continue
            line_end = data.find(b"\n", at)
            if line_end < 0:
                self._keep_partial(data[at:])
                break
            self._line(data[at : line_end + 1])
            at = line_end + 1
        if self.is_done:
            self.rest = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def ended(self) -> None:
        """A close before the last chunk is a broken body."""
        raise FramingError("closed before the last chunk")

    def _keep_partial(self, line: bytes) -> None:
        """Remember the start of a line whose end has not come, within bounds."""
        limit = MAX_TRAILERS if self._left == self._TRAILERS else MAX_SIZE_LINE
        if self._left == self._CHUNK_END and line != b"\r":
            raise FramingError("a chunk is longer than its size")
        if len(line) - line.endswith(b"\r") > limit:
            raise FramingError("a line of the chunked coding is too long")
        self._pending = line

    def _line(self, line: bytes) -> None:
        """Take one whole line, up to and with its LF."""
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise FramingError("a line of the chunked coding does not end in CRLF")
        line = line[:-2]
        if self._left == self._CHUNK_END:
            if line:
                raise FramingError("a chunk is longer than its size")
            self._left = self._SIZE_LINE
        elif self._left == self._SIZE_LINE:
            size = _chunk_size(line)
            self._left = size or self._TRAILERS
            if size and len(line) <= MAX_SIZE_DIGITS and len(_sizes) < MAX_SIZES:
                _sizes[line] = size
        elif line:
            self._trailer(line)
        else:
            self.is_done = True

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        name, colon, value = line.partition(b":")
        if self._trailer_bytes > MAX_TRAILERS:
            raise FramingError("the trailer section is too large")
        if not colon or not is_token(name) or not _is_field_value(value):
            raise FramingError("a trailer line is not a field")
        lowered = name.lower()
        if lowered in NEVER_TRAILERS or lowered in self._nominated or b"_" in name:
            return
        self.trailers.append(line)


_sizes: dict[bytes, int] = {}
"""Size lines seen before, without extension, and what they say; at most `MAX_SIZES`."""


def _whole_chunks(data: bytes, at: int, parts: list[bytes]) -> int:
    """Take the chunks from `at` on that are here whole; where it stopped.

    Only those whose size line was seen before: 0.6 us for each instead of 2.5, and
    small chunks come by the hundred. What is odd in any way is left to `feed`.
    """
    while True:
        line_end = data.find(b"\r\n", at, at + MAX_SIZE_DIGITS + 2)
        size = _sizes.get(data[at:line_end]) if line_end > 0 else None
        if size is None:
            return at
        start = line_end + 2
        stop = start + size
        if not data.startswith(b"\r\n", stop):
            return at
        parts.append(data[start:stop])
        at = stop + 2


def framing_for(length: int, nominated: Collection[bytes] = ()) -> Framing:
    """The framing that a head's `length` stands for; see `Chunked` for the other."""
    if length == CHUNKED:
        return Chunked(nominated)
    if length == UNTIL_CLOSE:
        return UntilClose()
    return Sized(length)


def chunk(data: bytes) -> bytes:
    """`data` (not empty) as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: list[bytes]) -> bytes:
    """The end of a chunked body, with its trailer lines."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n" + b"\r\n".join(trailers) + b"\r\n\r\n"


def _chunk_size(line: bytes) -> int:
    """The size in a chunk-size line (RFC 9112 section 7.1); extensions are dropped."""
    digits, semicolon, extension = line.partition(b";")
    if semicolon:
        digits = digits.rstrip(b" \t")  # BWS before an extension, section 7.1.1
        if len(line) > MAX_SIZE_LINE or not _is_field_value(extension):
            raise FramingError("a chunk extension is not well formed")
    if not digits or len(digits) > MAX_SIZE_DIGITS or not _HEX.issuperset(digits):
        raise FramingError("a chunk size is not a hexadecimal number")
    return int(digits, 16)


def _is_field_value(value: bytes) -> bool:
    """Whether `value` is free of control bytes but tab (RFC 9110 section 5.5)."""
    return all(c >= 32 or c == 9 for c in value) and 127 not in value
