"""From a backend's address to what the operating system connects to."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, cast

from lb.errors import ConnectRefusedError

if TYPE_CHECKING:
    from lb.model import Address

SockAddr = tuple[str, int] | tuple[str, int, int, int] | str


Place = tuple[int, SockAddr]
"""An address family and an address of that kind."""


def is_number(address: Address) -> bool:
    """Whether resolving it needs no look-up, which may hang."""
    host = address.host
    return bool(address.path) or ":" in host or host.rpartition(".")[2].isdigit()


def resolve(address: Address) -> list[Place]:
    """The (family, socket address) pairs of `address`, in the resolver's order.

    A number costs no look-up. A name is looked up each time, so that a change in
    DNS is followed; the operating system's resolver caches where it is set up to.

    Raises:
        ConnectRefusedError: the name is unknown.
    """
    if address.path:
        return [(socket.AF_UNIX, address.path)]
    host, port = address.host, address.port
    if ":" in host:
        return [(socket.AF_INET6, (host, port))]
    if host.rpartition(".")[2].isdigit():
        return [(socket.AF_INET, (host, port))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectRefusedError(f"cannot resolve {host}: {error}") from error
    return [(family, cast("SockAddr", where)) for family, _, _, _, where in found]
