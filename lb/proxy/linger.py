"""Closes a client's connection so that no reset destroys our answer on its way.

A close with unread bytes makes the kernel send RST, and the client's kernel then
throws away the answer it had (RFC 9112 section 9.6).
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import StreamClosedError, StreamTimeoutError

if TYPE_CHECKING:
    from lb.streams.stream import Stream

LINGER_S: Final = 5.0
LINGER_BYTES: Final = 16 << 20
"""How much of an unwanted upload is read so that the client gets to our answer."""


def linger(stream: Stream) -> None:
    """Say that nothing more will come, and read a little of what still does."""
    left = LINGER_BYTES
    stream.deadline = monotonic() + LINGER_S
    with suppress(StreamClosedError, StreamTimeoutError):
        stream.shut_write()
        while left > 0 and (data := stream.read()):
            left -= len(data)
