"""A request head: from the bytes of a client to what a backend is sent.

The syntax is checked by picohttpparser in C (through gunicorn_h1c, 0.5 us a head)
and the fields are kept, dropped or rewritten in one pass over its tuples. A
dictionary from a name's bytes, as spelled, to its `CRLF name: ` prefix decides;
it learns names as they come, to a bound, so no name is lower-cased twice.

What picohttpparser lets through and this module refuses, so that no backend can
read a head in another way (request smuggling):

1. a bare LF as a line end, and a line folded onto the next (obs-fold);
2. more than one space between the parts of the request line;
3. Content-Length beyond 18 digits, Transfer-Encoding that is not just `chunked`;
4. no Host in HTTP/1.1, a Host that is not a host (RFC 9112 section 3.2).
"""

from __future__ import annotations

import re
from typing import Final

from gunicorn_h1c._parser import (
    LimitRequestHeaders,
    LimitRequestLine,
)
from gunicorn_h1c._parser_fast import IncompleteError, parse_request

from lb.errors import RequestError
from lb.http1.grammar import (
    HOP_BY_HOP,
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    MAX_LEARNED,
    MAX_LEARNED_NAME,
)
from lb.http1.memory import Memory
from lb.http1.recall import Recall
from lb.http1.request_fields import SPECIAL_FIELDS, TRACE, TRUSTED_ONLY, settle_upgrade
from lb.http1.request_head import RequestHead

MAX_FIELDS: Final = 256
"""Fields in one head: picohttpparser's table in gunicorn_h1c holds no more."""

MAX_HOSTS: Final = 1024
MAX_HOST: Final = 1024
"""Bytes of a Host; a name in the DNS has at most 253."""

_REFUSED_METHODS: Final = frozenset((b"CONNECT", b"TRACE"))
"""A reverse proxy opens no tunnels to anywhere and echoes no credentials."""

_is_host: Final = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
).fullmatch
"""A host and port of RFC 9110 section 7.2, without `%` and `,`: no name has them.

A host is written into `X-Forwarded-Host` and into a backend's own links.
"""

_sane_hosts: set[bytes] = set()


def is_sane_host(host: bytes) -> bool:
    """The same, 0.3 us cheaper for those that came before (at most `MAX_HOSTS`)."""
    if host in _sane_hosts:
        return True
    if len(host) > MAX_HOST or not _is_host(host):
        return False
    if len(_sane_hosts) >= MAX_HOSTS:
        _sane_hosts.clear()
    _sane_hosts.add(host)
    return True


_is_version: Final = re.compile(rb"HTTP/[0-9](?:\.[0-9])?").fullmatch

SPECIAL: Final = b""
"""A rule that is not a prefix: the field is looked at, one by one."""


class RequestParser:
    """Parses heads under one set of rules; keep one per rule set and process.

    `limit_bytes` bounds a head. `trusts_peer` says whether `X-Forwarded-*` fields
    are believed (a trusted proxy sent them) or dropped. `underscores` is what to
    do with a name that has one, which a WSGI backend folds into another name:
    `drop`, `keep` or `refuse`. `traces` says whether the balancer takes part in
    traces; else what clients say of theirs is passed on as it came.
    """

    def __init__(
        self,
        *,
        limit_bytes: int,
        trusts_peer: bool = False,
        underscores: str = "drop",
        traces: bool = False,
    ) -> None:
        self._limit = limit_bytes
        self._trusts_peer = trusts_peer
        self._underscores = underscores
        self._traces = traces
        self._rules: dict[bytes, bytes] = {}
        self._known: Memory[RequestHead] = Memory(
            limit=MAX_KNOWN, limit_bytes=MAX_KNOWN_BYTES
        )
        self._recall = Recall(self._parse, limit_bytes=limit_bytes)

    def parse(self, data: bytes) -> RequestHead | None:
        """The head at the start of `data`, or None while it is not all there.

        A head that came before, byte for byte (programs and probes send the same
        again and again), is not parsed again: 0.4 us instead of 2.7. So a head that
        was given out belongs to many requests and must not be changed. Of a longer
        one (a browser's, with a cookie and a target of its own) the other fields may
        have come before; see `lb.http1.recall`.

        Raises:
            RequestError: 400, 405, 414, 417, 431 or 505, as the fault asks.
        """
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            return self._parse(data)
        block = data[:end] if end != len(data) else data
        if end > MAX_KNOWN_BYTES:
            return self._recall.parse(block) or self._parse(data)
        head = self._known.get(block)
        if head is not None:
            head.is_known = True
            return head
        head = self._parse(data)
        if head is not None and head.size == end:
            self._known.offer(block, head)
        return head

    def _parse(self, data: bytes) -> RequestHead | None:
        try:
            raw = parse_request(
                data, 0, self._limit, MAX_FIELDS, self._limit, True, True
            )
        except IncompleteError:
            if len(data) > self._limit:
                # RFC 9112 section 3 wants 414 where it is the target's fault.
                status = 431 if b"\n" in data else 414
                raise RequestError("the head is too large", status=status) from None
            return None
        except LimitRequestLine as error:
            raise RequestError(str(error), status=414) from error
        except LimitRequestHeaders as error:
            raise RequestError(str(error), status=431) from error
        except ValueError as error:
            raise _syntax_error(data, str(error)) from error
        head = RequestHead(raw.method, raw.path, raw.minor_version, raw.consumed)
        _check_lines(data, head, raw.header_count)
        if head.size > self._limit:
            raise RequestError("the head is too large", status=431)
        head.host = raw.get_header("host")
        head.fields = self._keep(raw.headers, head)
        _check_target_and_host(head)
        if head.upgrade:
            settle_upgrade(head)
        return head

    def _keep(self, pairs: tuple[tuple[bytes, bytes], ...], head: RequestHead) -> bytes:
        """The lines to pass on, joined; notes in `head` what the others say."""
        rules = self._rules
        kept: list[bytes] = []
        keep = kept.append
        for name, value in pairs:
            prefix = rules.get(name)
            if prefix is None:
                prefix = self._learn(name)
            if prefix:
                keep(prefix)
                keep(value)
            elif line := self._special(head, name.lower(), value):
                keep(line)
        if head.nominated:
            return self._without_nominated(pairs, head)
        return b"".join(kept)

    def _without_nominated(
        self, pairs: tuple[tuple[bytes, bytes], ...], head: RequestHead
    ) -> bytes:
        """The same lines without those that Connection names (RFC 9110 7.6.1)."""
        names, head.nominated = [*head.nominated, b"connection"], []
        left = [p for p in pairs if p[0].lower() not in names]
        head.length, head.max_forwards = 0, -1
        head.expects_continue = False
        head.forwarded = head.forwarded_for = head.request_id = head.upgrade = b""
        head.traceparent = head.tracestate = b""
        fields = self._keep(tuple(left), head)
        head.nominated = names  # trailers of these names are removed, too
        return fields

    def _learn(self, name: bytes) -> bytes:
        """The rule for a name seen for the first time in this spelling."""
        lowered = name.lower()
        if not name:
            raise RequestError("a header line is folded")
        is_claim = lowered.startswith(b"x-forwarded-") and not self._trusts_peer
        if lowered in TRACE and not self._traces:
            rule = b"\r\n" + name + b": "
        elif is_claim or lowered in SPECIAL_FIELDS or lowered in HOP_BY_HOP:
            rule = SPECIAL
        elif b"_" in name and self._underscores != "keep":
            if self._underscores == "refuse":
                raise RequestError("a field name has an underscore")
            rule = SPECIAL
        else:
            rule = b"\r\n" + name + b": "
        if len(name) <= MAX_LEARNED_NAME:
            if len(self._rules) >= MAX_LEARNED:
                self._rules.clear()  # whoever filled it must not slow the others
            self._rules[name] = rule
        return rule

    def _special(self, head: RequestHead, name: bytes, value: bytes) -> bytes:
        """What is passed on of a field that is not simply kept: a line or nothing."""
        if name in TRUSTED_ONLY and not self._trusts_peer:
            return b""
        rule = SPECIAL_FIELDS.get(name)
        return rule(head, value) if rule else b""


def _syntax_error(data: bytes, why: str) -> RequestError:
    """The refusal for bytes that are no request head: 431, 505 or else 400."""
    head = data.partition(b"\r\n\r\n")[0]
    if head.count(b"\n") > MAX_FIELDS:
        return RequestError("too many header fields", status=431)
    line = head.lstrip(b"\r\n").split(b"\n", 1)[0].split(b" ")
    version = line[-1].rstrip(b"\r")
    if len(line) == 3 and _is_version(version) and version[5:7] != b"1.":
        return RequestError("only HTTP/1.0 and 1.1 are spoken here", status=505)
    return RequestError(why)


def _check_lines(data: bytes, head: RequestHead, fields: int) -> None:
    """Refuse bare LF and loose spacing, which others may read differently.

    A head of n fields has n + 2 line ends and all of them are CRLF; the first
    stands exactly where single spaces put it. One empty line before the request
    line is allowed (RFC 9112 section 2.2). Counting CR is as good as counting CRLF,
    0.5 us cheaper: the parser refuses a CR that is not followed by LF.
    """
    start = 2 if data.startswith(b"\r\n") else 0
    ends = fields + 2 + (start > 0)
    if (
        data.count(b"\n", 0, head.size) != ends
        or data.count(b"\r", 0, head.size) != ends
    ):
        raise RequestError("a line does not end in CRLF")
    end = start + len(head.method) + len(head.target) + 10
    if not data.startswith(b"\r\n", end):
        raise RequestError("the request line has stray spaces")


def _check_target_and_host(head: RequestHead) -> None:
    """Settle where the request goes: Host, and the target's form (RFC 9112 3.2)."""
    if head.method in _REFUSED_METHODS:
        raise RequestError(f"{head.method.decode()} is not offered", status=405)
    host, target = head.host, head.target
    if host is None:
        if head.minor >= 1:
            raise RequestError("an HTTP/1.1 request needs a Host")
        # It goes on as HTTP/1.1, which has a Host always, an empty one if need be.
        head.host = b""
        head.is_unusual = True
        head.fields = b"\r\nHost: " + head.fields
    elif host and not is_sane_host(host):
        raise RequestError("the Host is not a host")
    if not target.startswith(b"/") and target != b"*":
        _take_absolute_form(head)
    if b"#" in target:
        raise RequestError("the target has a fragment")


def _take_absolute_form(head: RequestHead) -> None:
    """Turn `http://host/path` into Host and path; the target wins over Host.

    RFC 9112 section 3.2.2: a proxy that gets absolute-form must ignore the
    received Host and replace it with the target's.
    """
    scheme, separator, rest = head.target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise RequestError("the target is neither a path nor an http URI")
    cut = min((i for c in b"/?" if (i := rest.find(c)) >= 0), default=len(rest))
    authority, path = rest[:cut], rest[cut:]
    if not is_sane_host(authority):
        raise RequestError("the target's authority is not a host")
    if not path and head.method == b"OPTIONS":
        head.target = b"*"
    else:
        head.target = path if path.startswith(b"/") else b"/" + path
    head.host = authority
    head.fields = _replace_host(head.fields, authority)


def _replace_host(fields: bytes, host: bytes) -> bytes:
    """`fields` with its one Host line saying `host`."""
    lines = fields.split(b"\r\n")
    for i, line in enumerate(lines):
        if line[:5].lower() == b"host:":
            lines[i] = line[:6] + host
    return b"\r\n".join(lines)
