"""The constants of RFC 9110 and 9112 that more than one module needs."""

from __future__ import annotations

from typing import Final

NO_BODY: Final = 0
"""Body length of a message without a body, or with an empty one."""

CHUNKED: Final = -1
"""Body length of a message in the chunked transfer coding (RFC 9112 section 7.1)."""

UNTIL_CLOSE: Final = -2
"""Body length of a response that ends with its connection (RFC 9112 section 6.3)."""

TOKEN: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
"""The bytes of a `token` (RFC 9110 section 5.6.2)."""

MAX_LEARNED: Final = 2048
"""Spellings of field names that a parser remembers the rule of."""

MAX_KNOWN: Final = 256
"""Heads that a parser remembers with what they mean."""

MAX_KNOWN_BYTES: Final = 512
"""Bytes of a head to remember; longer ones (a browser's) differ each time.

To hash 800 bytes twice and find nothing takes 0.8 us.
"""

MAX_LEARNED_NAME: Final = 64
"""Bytes of a name to remember; with `MAX_LEARNED` it bounds them to 0.6 MB."""

IDEMPOTENT: Final = frozenset(
    (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE")
)
"""Methods whose effect is the same once or twice (RFC 9110 section 9.2.2)."""

HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields for one connection only: never passed on (RFC 9110 section 7.6.1)."""

NEVER_TRAILERS: Final = HOP_BY_HOP | frozenset(
    (
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"max-forwards",
        b"range",
        b"set-cookie",
        b"trailer",
        b"via",
        b"www-authenticate",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    )
)
"""Fields of routing, framing or authority: dropped from trailers (RFC 9110 6.5.1)."""


def is_token(data: bytes) -> bool:
    """Whether `data` is a token: not empty and only of `TOKEN` bytes."""
    return bool(data) and TOKEN.issuperset(data)


def list_members(value: bytes) -> list[bytes]:
    """The lower-cased members of a comma list, empty ones left out (RFC 9110 5.6.1)."""
    return [m for part in value.split(b",") if (m := part.strip(b" \t").lower())]


def parse_length(value: bytes) -> int:
    """The number in a Content-Length value, or -1 where it is not one.

    Only `1*DIGIT` (RFC 9110 section 8.6) of at most 18 digits: no sign, no space,
    no list, nothing that overflows 64 bits in anybody's parser.
    """
    return int(value) if value.isdigit() and len(value) <= 18 else -1
