"""The PROXY protocol: both versions, whole, byte by byte, and with bytes behind."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import RequestError
from lb.http1.proxy_protocol import SIGNATURE, Origin, parse

BEHIND = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def binary(kind: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + struct.pack(">BBH", kind, family, len(payload)) + payload


V4 = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + struct.pack(">HH", 1234, 80)
V6 = ipaddress.ip_address("2001:db8::1").packed * 2 + struct.pack(">HH", 1, 2)

GOOD = {
    "text, IPv4": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n", "192.0.2.1"),
    "text, IPv6": (b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", "2001:db8::1"),
    "text, unknown": (b"PROXY UNKNOWN\r\n", ""),
    "text, unknown with more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""),
    "binary, IPv4": (binary(0x21, 0x11, V4), "192.0.2.1"),
    "binary, IPv4 and extensions": (
        binary(0x21, 0x11, V4 + b"\x04\0\x02ab"),
        "192.0.2.1",
    ),
    "binary, IPv6": (binary(0x21, 0x21, V6), "2001:db8::1"),
    "binary, local": (binary(0x20, 0x00, b""), ""),
    "binary, unix": (binary(0x21, 0x31, b"\0" * 216), ""),
}

BAD = {
    "a request": BEHIND,
    "another word": b"PROXX TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "no end": b"PROXY TCP4 " + b"1" * 120,
    "too few words": b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "kinds mixed": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "no address": b"PROXY TCP4 a.b.c.d 1.2.3.4 1 2\r\n",
    "port too large": b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
    "signed port": b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
    "version 3": binary(0x31, 0x11, V4),
    "unknown command": binary(0x22, 0x11, V4),
    "too short": binary(0x21, 0x21, V4),
    "too long": binary(0x21, 0x11, V4 + b"\0" * 4096),
}


@pytest.mark.parametrize(("data", "ip"), GOOD.values(), ids=GOOD)
def test_a_header_is_read_however_it_arrives(data: bytes, ip: str) -> None:
    """Incomplete until its last byte; what stands behind is left alone."""
    for cut in range(len(data)):
        assert parse(data[:cut]) is None
    assert parse(data) == Origin(ip, len(data))
    assert parse(data + BEHIND) == Origin(ip, len(data))


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse(data)
    assert caught.value.status == 400


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(data: bytes) -> None:
    """Whatever comes is read, refused, or waited for."""
    try:
        origin = parse(data)
    except RequestError:
        return
    assert origin is None or origin.size <= len(data)
