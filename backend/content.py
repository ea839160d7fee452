"""Body content that shows when a byte was lost, doubled or moved.

The content repeats every 65,521 bytes. That is a prime, so dropping or doubling
a buffer of any usual size (a power of two) shifts all that follows and changes
the digest, while one block in memory serves bodies of any length. It is not
random: the same length always gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD_BYTES = 65_521
_PERIOD = hashlib.shake_256(b"Evenhand").digest(PERIOD_BYTES)
_PIECE = _PERIOD * 4


def pieces(length: int) -> Iterator[bytes]:
    """The first `length` bytes of the content, in pieces of at most 256 KiB."""
    while length > len(_PIECE):
        yield _PIECE
        length -= len(_PIECE)
        breathe()
    yield _PIECE[:length]


def breathe() -> None:
    """Let the other greenlets of this process run.

    A socket that is always ready never makes gevent switch by itself, so that
    one fast download would hold up every other request and the heartbeat.
    """
    time.sleep(0)


def icon() -> bytes:
    """A favicon: one blue pixel, as 70 bytes of ICO with a 32-bit bitmap."""
    bitmap = struct.pack("<IiiHHIIiiII", 40, 1, 2, 1, 32, 0, 8, 0, 0, 0, 0)
    bitmap += bytes((0xC0, 0x60, 0x20, 0xFF))  # blue, green, red, opaque
    bitmap += bytes(4)  # the mask, one row padded to four bytes
    entry = struct.pack("<BBBBHHII", 1, 1, 0, 0, 1, 32, len(bitmap), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + bitmap


def text_or_base64(data: bytes) -> dict[str, str | None]:
    """`data` as `body` where it is UTF-8, else as `body_base64`."""
    try:
        return {"body": data.decode(), "body_base64": None}
    except UnicodeDecodeError:
        return {"body": None, "body_base64": base64.b64encode(data).decode()}
