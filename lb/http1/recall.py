"""Heads whose fields came before, with another request line or another cookie.

That is how a browser's requests differ: the same dozen fields, a target of its own,
and a cookie that may change each time. The fields between are looked up as they
stand; the request line and the cookie are checked by themselves, more strictly than
the parser would (what is odd in any way is left to it). A head of 14 fields is so
read in 2 us instead of 7.

A template is made by the parser itself, from the fields with a cookie of ours in the
client's place, so what they mean is decided in one place only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lb.errors import RequestError
from lb.http1.memory import Memory
from lb.http1.request_head import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

MOST: Final = 256
MOST_BYTES: Final = 2048
"""Templates kept, and bytes of fields in one: about 1.5 MB at most."""

MARK: Final = b"4d61726b-in-the-place-of-a-cookie"
LINE: Final = b"GET / HTTP/1.1"
VERSION: Final = b" HTTP/1.1"

_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE"))
"""Those that no field's rule asks for; OPTIONS is asked for by Max-Forwards."""

_VISIBLE: Final = bytes(range(0x21, 0x7F))
_TARGET: Final = _VISIBLE.replace(b"#", b"")
_COOKIE: Final = _VISIBLE + b" "


@dataclass(frozen=True, slots=True)
class Template:
    """What fields mean, whatever the target and the cookie; parts as passed on."""

    head: RequestHead
    before: bytes
    after: bytes


class Recall:
    """The templates of one parser, whose `parse` reads what is new."""

    def __init__(
        self, parse: Callable[[bytes], RequestHead | None], *, limit_bytes: int
    ) -> None:
        self._parse = parse
        self._limit = limit_bytes
        self._templates: Memory[Template] = Memory(limit=MOST, limit_bytes=MOST_BYTES)

    def parse(self, block: bytes) -> RequestHead | None:
        """The whole head in `block`, or None where the parser has to read it."""
        line_end = block.find(b"\r\n")
        before, cookie, after = _around_cookie(block, line_end)
        # No NUL is in what a template was made of, so this can be cut in one way only.
        fields = b"%b\0%b" % (before, after)
        template = self._templates.get(fields)
        if template is None:
            if self._templates.is_second(fields):
                self._learn(fields, before, after)
            return None
        method, _, target = block[: line_end - len(VERSION)].partition(b" ")
        if (
            method not in _METHODS
            or target[:1] != b"/"
            or target.translate(None, _TARGET)
            or cookie.translate(None, _COOKIE)
            or cookie[:1] == b" "
            or cookie[-1:] == b" "
            or not block.startswith(VERSION, line_end - len(VERSION))
            or len(block) > self._limit
        ):
            return None
        known = template.head
        head = RequestHead(method, target, 1, len(block))
        head.fields = b"%b%b%b" % (template.before, cookie, template.after)
        head.host = known.host
        head.length = known.length
        head.keep_alive = known.keep_alive
        head.closes = known.closes
        return head

    def _learn(self, fields: bytes, before: bytes, after: bytes) -> None:
        """Make a template of these fields, if they mean the same for every target."""
        try:
            head = self._parse(LINE + before + (MARK if after else b"") + after)
        except RequestError:
            return
        if head is None or not _is_plain(head):
            return
        parts = head.fields.split(MARK) if after else [head.fields, b""]
        if len(parts) == 2:
            self._templates.keep(fields, Template(head, *parts))


def _around_cookie(block: bytes, line_end: int) -> tuple[bytes, bytes, bytes]:
    """The fields before the first cookie's value, it, and the fields behind it.

    Each field with the CRLF before it; nothing is behind where there is no cookie.
    """
    at = block.find(b"\r\nCookie: ", line_end)
    if at < 0:
        at = block.find(b"\r\ncookie: ", line_end)
        if at < 0:
            return block[line_end:], b"", b""
    start = at + len(b"\r\nCookie: ")
    end = block.find(b"\r\n", start)
    return block[line_end:start], block[start:end], block[end:]


def _is_plain(head: RequestHead) -> bool:
    """Whether only what `Recall.parse` copies was found in the fields."""
    return not (
        head.expects_continue
        or head.upgrade
        or head.wants_upgrade
        or head.wants_explanation
        or head.nominated
        or head.is_unusual
        or head.request_id
        or head.traceparent
        or head.tracestate
        or head.max_forwards >= 0
        or head.length < 0
    )
