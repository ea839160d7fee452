"""Addresses as people write them in the settings, checked before anyone connects.

`lb.model.Address` knows the form; this file adds what only a person's text needs:
kind sentences for the usual slips (a URL, a number that is no IP address), the
short form `:8080` for listening, and networks. No name is resolved here.
"""

# ruff: noqa: TRY004 - pydantic takes a ValueError, whatever was wrong

from __future__ import annotations

import os
from ipaddress import (
    IPv4Network,
    IPv6Network,
    ip_address,
    ip_interface,
)

from lb.config.messages import Fault, UnfitError
from lb.model import Address

Network = IPv4Network | IPv6Network

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what `:8080` means to gunicorn as well
UNIX_PATH_BYTES = 107
"""What fits in `sun_path` of Linux (108 bytes) beside its closing zero."""


def address(text: str) -> Address:
    """The address in `host:port`, `[v6]:port` or `unix:/path`.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    if "://" in text and not text.strip().startswith("unix:"):
        raise ValueError("an address has no scheme: write host:port")
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be printed")
    parsed = Address.parse(text)
    if parsed.path:
        return Address(path=_checked_path(parsed.path))
    _check_host(parsed.host, is_bracketed=text.strip().startswith("["))
    return parsed


def _checked_path(path: str) -> str:
    # `unix:///run/x` is usual too; gunicorn would read `unix://run/x` as relative.
    path = "/" + path.lstrip("/")
    length = len(os.fsencode(path))
    if length > UNIX_PATH_BYTES:
        raise ValueError(
            f"the path has {length} bytes, a unix socket's at most {UNIX_PATH_BYTES}"
        )
    return path


def _check_host(host: str, *, is_bracketed: bool) -> None:
    # Only digits and dots, or brackets: meant as an IP address, so it must be one
    # now; as a name it would fail much later, with a resolver's message.
    if is_bracketed or not host.strip("0123456789."):
        ip_address(host.partition("%")[0])


def identity(where: Address) -> tuple[object, ...]:
    """What two spellings of the same address share; equal means duplicate."""
    try:
        host = str(ip_address(where.host))
    except ValueError:
        host = where.host.lower()
    return host, where.port, where.path


def listen_text(value: object) -> str:
    """A listening address in gunicorn's form; `:8080` becomes `0.0.0.0:8080`.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    if not isinstance(value, str):
        raise ValueError("expected text")
    text = value.strip()
    return str(address(f"{EVERYWHERE}{text}" if text.startswith(":") else text))


def is_local(listen: str) -> bool:
    """Whether only this machine can reach a listening address."""
    where = address(listen)
    if where.path or where.host.lower() == "localhost":
        return True
    try:
        return ip_address(where.host).is_loopback
    except ValueError:
        return False


def networks(value: object) -> tuple[Network, ...]:
    """The networks in a list of texts or one text with commas; `""` is none.

    Raises:
        UnfitError: with a fault for each item that is no IP address or network.
    """
    if isinstance(value, str):
        value = value.split(",") if value.strip() else []
    if not isinstance(value, list | tuple):
        raise UnfitError(Fault(value, "expected a list"))
    parsed: list[Network] = []
    faults: list[Fault] = []
    for number, item in enumerate(value, start=1):
        try:
            parsed.append(_network(item))
        except ValueError as error:
            faults.append(Fault(item, str(error), number))
    if faults:
        raise UnfitError(*faults)
    return tuple(parsed)


def _network(item: object) -> Network:
    if isinstance(item, IPv4Network | IPv6Network):
        return item
    if not isinstance(item, str):
        raise ValueError("expected text")
    found = ip_interface(item.strip())
    # `10.0.0.1/8` may mean one address or sixteen million: the writer must say.
    if "/" in item and found.ip != found.network.network_address:
        raise ValueError(f"bits are set beyond its mask: write {found.network}")
    return found.network
