"""Who a client is to us: how it is named upstream, and which rules it is read by."""

from __future__ import annotations

import ipaddress
import random
import secrets
from typing import TYPE_CHECKING, Final

from lb.http1.forward import Peer, request_ids
from lb.http1.request import RequestParser
from lb.http1.trace import Beginner, TracedPeer

if TYPE_CHECKING:
    from lb.config import Settings


MAX_MET: Final = 1024
"""Clients whose names are kept: 3 us less for each of their connections."""


class Reception:
    """Receives clients of one process. `underscores` if not as in the settings."""

    def __init__(self, settings: Settings, *, underscores: str = "") -> None:
        self._trusted = settings.trusted_proxies
        self._met: dict[tuple[str, bytes], tuple[Peer, RequestParser]] = {}
        self._via = settings.headers.via.encode("latin-1")
        self._ids = request_ids(secrets.token_hex(8).encode())
        self._beginner = beginner_of(settings)
        self._plain, self._believing = (
            RequestParser(
                limit_bytes=settings.limits.head_bytes,
                trusts_peer=trusts_peer,
                underscores=underscores or settings.headers.underscores,
                traces=self._beginner is not None,
            )
            for trusts_peer in (False, True)
        )

    def welcome(self, ip: str, proto: bytes = b"http") -> tuple[Peer, RequestParser]:
        """The peer at `ip` (empty for a unix socket), and the parser of its heads.

        Connections from one address share both.
        """
        met = self._met.get((ip, proto))
        if met is None:
            if len(self._met) >= MAX_MET:
                self._met.clear()
            met = self._met[ip, proto] = self._meet(ip, proto)
        return met

    def _meet(self, ip: str, proto: bytes) -> tuple[Peer, RequestParser]:
        if ip.startswith("::ffff:") and "." in ip:
            ip = ip.removeprefix("::ffff:")  # IPv4 on a socket that takes both
        parser = self._believing if self.is_trusted(ip) else self._plain
        return self._name(ip or "unix:", proto), parser

    def _name(self, ip: str, proto: bytes) -> Peer:
        beginner = self._beginner
        if beginner is None:
            return Peer(ip, via=self._via, ids=self._ids, proto=proto)
        return TracedPeer(
            ip, via=self._via, ids=self._ids, proto=proto, beginner=beginner
        )

    def is_trusted(self, ip: str) -> bool:
        """Whether it is one of the trusted proxies."""
        if not self._trusted or not ip:
            return False
        address = ipaddress.ip_address(ip.partition("%")[0])
        return any(address in network for network in self._trusted)


def beginner_of(settings: Settings) -> Beginner | None:
    """What begins traces, or None where the settings ask for no tracing.

    Its chance is this process's own, so make it after the fork.
    """
    tracing = settings.tracing
    if not tracing.endpoint:
        return None
    bits = random.Random(secrets.randbits(256)).getrandbits  # noqa: S311 # no secrets
    return Beginner(tracing.ratio, bits=bits)
