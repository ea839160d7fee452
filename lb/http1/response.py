"""A response head: from the bytes of a backend to what a client is sent.

The mirror of `lb.http1.request`: picohttpparser checks the syntax, one dictionary
keeps or drops each field, and this module refuses what the parser lets through
(bare LF, folded lines, two readings of where the body ends). A response that
cannot be read in exactly one way becomes a 502, never a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gunicorn_h1c._parser import IncompleteError, ParseError, parse_response

from lb.errors import ResponseError, ResponseTooLargeError
from lb.http1.grammar import (
    CHUNKED,
    HOP_BY_HOP,
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    MAX_LEARNED,
    MAX_LEARNED_NAME,
    NO_BODY,
    UNTIL_CLOSE,
    list_members,
    parse_length,
)
from lb.http1.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SPACE_BEFORE_COLON: Final = re.compile(rb"(?m)^([!#-'*+.^-z|~0-9A-Z-]+)[ \t]+:")

SPECIAL: Final = b""
"""A rule that is not a prefix: the field is looked at, one by one."""


class ResponseHead:
    """What one response says, and its fields as a client will get them.

    `lines` alternates prefixes (`CRLF name: `) and values; `length` is the body's
    length in bytes, `CHUNKED` or `UNTIL_CLOSE`; `size` is the head's own.
    """

    __slots__ = (
        "closes",
        "declared_length",
        "is_chunked",
        "keep_alive",
        "keep_alive_s",
        "length",
        "lines",
        "minor",
        "nominated",
        "reason",
        "size",
        "status",
        "upgrade",
        "wire",
        "wire_via",
    )

    def __init__(self, status: int, reason: bytes, minor: int, size: int) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.size = size
        self.lines: list[bytes] = []
        self.declared_length = -1
        self.is_chunked = False
        self.length = NO_BODY
        self.keep_alive = minor >= 1
        self.keep_alive_s = -1
        """What the backend's `Keep-Alive: timeout=` says, or -1."""
        self.closes = False
        self.nominated: list[bytes] = []
        self.upgrade = b""
        self.wire = b""
        self.wire_via: bytes | None = None
        """The head as most clients get it, once made so, and for which `Via`."""

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The fields as (name, value), for a lane that renders them otherwise."""
        names = (prefix[2:-2] for prefix in self.lines[0::2])
        return list(zip(names, self.lines[1::2], strict=True))

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} {self.length}>"


def _memory() -> Memory[ResponseHead]:
    return Memory(limit=MAX_KNOWN, limit_bytes=MAX_KNOWN_BYTES)


class ResponseParser:
    """Parses the heads of backends; keep one per process."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._rules: dict[bytes, bytes] = {}
        self._known: Memory[ResponseHead] = _memory()
        self._known_heads: Memory[ResponseHead] = _memory()
        """Answers to HEAD: the same bytes mean another body length there."""

    def parse(self, data: bytes, method: bytes) -> ResponseHead | None:
        """The head at the start of `data`, or None while it is not all there.

        `method` is the request's: it decides whether a body follows.

        A head that came before, byte for byte (a server's answers differ little
        within a second), is not parsed again: 0.4 us instead of 3.7; else the look
        costs 0.2 us. So a head that was given out belongs to many responses and
        must not be changed.

        Raises:
            ResponseError: when the bytes are not a response that may be passed on.
        """
        end = data.find(b"\r\n\r\n", 0, MAX_KNOWN_BYTES) + 4
        if end == 3:
            return self._parse(data, method)
        block = data[:end] if end != len(data) else data
        known = self._known_heads if method == b"HEAD" else self._known
        head = known.get(block)
        if head is not None:
            return head
        head = self._parse(data, method)
        if head is not None and head.size == end:
            known.offer(block, head)
        return head

    def _parse(self, data: bytes, method: bytes) -> ResponseHead | None:
        try:
            raw = parse_response(data)
        except IncompleteError:
            if len(data) > self._limit:
                raise ResponseTooLargeError("the response head is too large") from None
            return None
        except ParseError as error:
            return self._parse_repaired(data, method, error)
        head = ResponseHead(
            raw["status"], raw["message"], raw["minor_version"], raw["consumed"]
        )
        pairs = raw["headers"]
        _check_lines(data, head, len(pairs))
        if head.size > self._limit:
            raise ResponseTooLargeError("the response head is too large")
        self._keep(pairs, head)
        head.length = body_length(head, method)
        return head

    def _parse_repaired(
        self, data: bytes, method: bytes, error: ParseError
    ) -> ResponseHead | None:
        """The head without white space before colons, which a proxy MUST remove.

        RFC 9112 section 5.1; in a request the same is refused.
        """
        raw, end, _ = data.partition(b"\r\n\r\n")
        if not end and raw.endswith((b" ", b"\t")):
            end = b":"  # it may be the very next byte to come
        raw += end
        repaired = _SPACE_BEFORE_COLON.sub(rb"\1:", raw)
        if len(repaired) == len(raw):
            raise ResponseError(f"no HTTP response: {data[:40]!r}") from error
        head = self._parse(repaired, method)
        if head is not None:
            head.size = len(raw)
        return head

    def _keep(self, pairs: Sequence[tuple[bytes, bytes]], head: ResponseHead) -> None:
        rules = self._rules
        kept: list[bytes] = []
        head.lines = kept
        keep = kept.append
        for name, value in pairs:
            prefix = rules.get(name)
            if prefix is None:
                prefix = self._learn(name)
            if prefix:
                keep(prefix)
                keep(value)
            else:
                rule = _SPECIAL_FIELDS.get(name.lower())
                if rule and (kept_value := rule(head, value)) is not None:
                    keep(b"\r\n" + name + b": ")
                    keep(kept_value)
        if head.nominated:
            names, head.nominated = [*head.nominated, b"connection"], []
            head.declared_length, head.is_chunked = -1, False
            self._keep([p for p in pairs if p[0].lower() not in names], head)
            head.nominated = names  # trailers of these names are removed, too

    def _learn(self, name: bytes) -> bytes:
        """The rule for a name seen for the first time in this spelling."""
        if not name:
            raise ResponseError("a header line is folded")
        lowered = name.lower()
        is_special = lowered in _SPECIAL_FIELDS or lowered in HOP_BY_HOP
        if lowered == b"date" and name != b"date":
            name = b"Date"  # so that one look tells whether there is one
        rule = SPECIAL if is_special else b"\r\n" + name + b": "
        if len(name) <= MAX_LEARNED_NAME:
            if len(self._rules) >= MAX_LEARNED:
                self._rules.clear()  # one backend must not slow the others
            self._rules[name] = rule
        return rule


def body_length(head: ResponseHead, method: bytes) -> int:
    """How the body of this response ends: RFC 9112 section 6.3, in its order.

    Raises:
        ResponseError: when two framings are declared at once.
    """
    status = head.status
    if method == b"HEAD" or status < 200 or status in (204, 304):
        if head.declared_length >= 0 and (status < 200 or status == 204):
            _drop_content_length(head)
        return NO_BODY
    if head.is_chunked:
        if head.declared_length >= 0:
            raise ResponseError("both Content-Length and Transfer-Encoding")
        return CHUNKED
    if head.declared_length >= 0:
        return head.declared_length
    return UNTIL_CLOSE


def _drop_content_length(head: ResponseHead) -> None:
    """Take it from a 1xx or 204, which must not have one (RFC 9110 section 8.6)."""
    pairs = zip(head.lines[0::2], head.lines[1::2], strict=True)
    left = [pair for pair in pairs if pair[0].lower() != b"\r\ncontent-length: "]
    head.lines = [part for pair in left for part in pair]


def _check_lines(data: bytes, head: ResponseHead, fields: int) -> None:
    """Refuse bare LF, folded lines and statuses that are none (RFC 9112 section 4)."""
    ends = fields + 2
    if (
        data.count(b"\n", 0, head.size) != ends
        or data.count(b"\r\n", 0, head.size) != ends
    ):
        raise ResponseError("a line of the response head does not end in CRLF")
    if head.status < 100:
        raise ResponseError(f"no status: {data[:20]!r}")


def _connection(head: ResponseHead, value: bytes) -> bytes | None:
    options = list_members(value)
    if b"close" in options:
        head.keep_alive, head.closes = False, True
    elif b"keep-alive" in options:
        head.keep_alive = not head.closes  # close wins, RFC 9112 section 9.3
    head.nominated += [o for o in options if o not in _NOT_NOMINATED]
    return None


def _content_length(head: ResponseHead, value: bytes) -> bytes | None:
    length = parse_length(value)
    if length < 0:
        raise ResponseError("Content-Length is not a number")
    if head.declared_length >= 0:
        raise ResponseError("more than one Content-Length")
    head.declared_length = length
    return value


def _transfer_encoding(head: ResponseHead, value: bytes) -> bytes | None:
    if value.lower() != b"chunked" or head.is_chunked or head.minor == 0:
        raise ResponseError("Transfer-Encoding is not chunked")
    head.is_chunked = True
    return None


def _upgrade(head: ResponseHead, value: bytes) -> bytes | None:
    head.upgrade = value
    return None


def _keep_alive(head: ResponseHead, value: bytes) -> bytes | None:
    """The seconds that the backend keeps an idle connection, if it says so."""
    for parameter in list_members(value):
        name, _, seconds = parameter.partition(b"=")
        if name.strip() == b"timeout":
            head.keep_alive_s = parse_length(seconds.strip())
    return None


_NOT_NOMINATED: Final = HOP_BY_HOP | {b"close", b"content-length"}
"""Connection options that name no field to remove, or one that must stay."""

_SPECIAL_FIELDS: Final[dict[bytes, Callable[[ResponseHead, bytes], bytes | None]]] = {
    b"connection": _connection,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"upgrade": _upgrade,
    b"keep-alive": _keep_alive,
}
"""Field name in lower case to its rule: notes in the head, returns a value to keep."""
