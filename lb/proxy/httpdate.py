"""The Date field's value now (RFC 9110 section 5.6.7), made once a second."""

from __future__ import annotations

from email.utils import formatdate
from time import time

_made: list[tuple[int, bytes]] = [(0, b"")]


def http_date() -> bytes:
    """The present time as an HTTP date."""
    now = int(time())
    second, text = _made[0]
    if second != now:
        text = formatdate(now, usegmt=True).encode("ascii")
        _made[0] = (now, text)
    return text
