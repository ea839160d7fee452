"""Server-Sent Events out of bytes, as WHATWG's HTML standard has them (9.2.6).

No I/O: what arrives is handed in, whole or in pieces, and messages come out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from lb.errors import ReachError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 32 << 20
"""Of a line or message. A snapshot of 4,096 backends with long reasons is 12 MB."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?=[^\n])")
"""A CR at the end of what has arrived may yet be half of a CRLF."""


class Message(NamedTuple):
    """One message; `last_id` is the id of this or the last one that had one."""

    kind: str
    data: str
    last_id: str


class Messages:
    """One stream's messages; a reconnected stream is another."""

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._searched = 0
        """How much of it has no end of a line: a large one comes in many pieces."""
        self._kind = ""
        self._data: list[str] = []
        self._size = 0
        self._last_id = ""

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that these bytes end.

        Raises:
            ReachError: one is larger than any of ours.
        """
        self._arrived += data
        begin = 0
        ends = [end.span() for end in _LINE_END.finditer(self._arrived, self._searched)]
        for end, after in ends:
            line = bytes(self._arrived[begin:end])
            begin = after
            message = self._take(line.decode("utf-8", "replace"))
            if message is not None:
                yield message
        del self._arrived[:begin]
        self._searched = max(0, len(self._arrived) - 1)
        if len(self._arrived) + self._size > MOST_BYTES:
            raise ReachError(f"a message of more than {MOST_BYTES} bytes")

    def _take(self, line: str) -> Message | None:
        """Take a line; an empty one ends a message."""
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._last_id = value
        return None

    def _end(self) -> Message | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data, self._size = "", [], 0
        return Message(kind, "\n".join(data), self._last_id) if data else None
