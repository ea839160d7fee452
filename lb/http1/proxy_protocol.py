"""The PROXY protocol, versions 1 and 2: who the client of a layer-4 proxy is.

A balancer or tunnel in front that does not speak HTTP writes it once, before the
first request. Format: "The PROXY protocol", haproxy.org, sections 2.1 (text) and 2.2
(binary). Extensions (TLV) and checksums of version 2 are passed over.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

from lb.errors import RequestError

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_TEXT: Final = 107
"""Bytes of the longest version 1 line (section 2.1)."""

MAX_BINARY: Final = 16 + 2048
"""Bytes of a version 2 header that we take; addresses need 52, the rest is TLV."""

_ADDRESS_BYTES: Final = {0x1: 4, 0x2: 16}
"""Address family (high half of the 14th byte) to the length of one address."""


class Origin(NamedTuple):
    """What the header said: the client's `ip` (empty: the proxy itself), its size."""

    ip: str
    size: int


def parse(data: bytes) -> Origin | None:
    """The header at the start of `data`, or None while it is not all there.

    Raises:
        RequestError: 400, it is none.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _binary(data) if len(data) >= 16 else None
    if not b"PROXY ".startswith(data[:6]):
        raise RequestError("the connection does not begin with a PROXY header")
    end = data.find(b"\r\n", 0, MAX_TEXT)
    if end < 0:
        if len(data) >= MAX_TEXT:
            raise RequestError("the PROXY line is too long")
        return None
    return Origin(_text(data[:end]), end + 2)


def _text(line: bytes) -> str:
    words = line.decode("latin-1").split(" ")
    if len(words) >= 2 and words[1] == "UNKNOWN":
        return ""
    versions = {"TCP4": 4, "TCP6": 6}
    if len(words) != 6 or words[1] not in versions:
        raise RequestError("the PROXY line is malformed")
    source, destination = _address(words[2]), _address(words[3])
    if {source.version, destination.version} != {versions[words[1]]}:
        raise RequestError("the PROXY line's addresses are of another kind")
    if not all(_is_port(port) for port in words[4:]):
        raise RequestError("the PROXY line's ports are none")
    return str(source)


def _binary(data: bytes) -> Origin | None:
    kind, family, length = struct.unpack_from(">BBH", data, 12)
    size = 16 + length
    if kind not in (0x20, 0x21) or size > MAX_BINARY:
        raise RequestError("the PROXY header is malformed")
    if len(data) < size:
        return None
    address_bytes = _ADDRESS_BYTES.get(family >> 4)
    if kind == 0x20 or address_bytes is None:  # LOCAL, or a unix socket's
        return Origin("", size)
    if length < 2 * address_bytes + 4:
        raise RequestError("the PROXY header is too short for its addresses")
    return Origin(str(ipaddress.ip_address(data[16 : 16 + address_bytes])), size)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise RequestError("the PROXY line's address is none") from error


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65536
