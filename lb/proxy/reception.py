"""Who a client is to us: how it is named upstream, and which rules it is read by."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from lb.http1.forward import Peer, request_ids
from lb.http1.request import RequestParser

if TYPE_CHECKING:
    from lb.config import Settings


class Reception:
    """Receives clients of one process. `underscores` if not as in the settings."""

    def __init__(self, settings: Settings, *, underscores: str = "") -> None:
        self._trusted = settings.trusted_proxies
        self._via = settings.headers.via.encode("latin-1")
        self._ids = request_ids(secrets.token_hex(8).encode())
        self._plain, self._believing = (
            RequestParser(
                limit_bytes=settings.limits.head_bytes,
                trusts_peer=trusts_peer,
                underscores=underscores or settings.headers.underscores,
            )
            for trusts_peer in (False, True)
        )

    def welcome(self, ip: str, proto: bytes = b"http") -> tuple[Peer, RequestParser]:
        """The peer at `ip` (empty for a unix socket), and the parser of its heads."""
        if ip.startswith("::ffff:") and "." in ip:
            ip = ip.removeprefix("::ffff:")  # IPv4 on a socket that takes both
        parser = self._believing if self.is_trusted(ip) else self._plain
        return Peer(ip or "unix:", via=self._via, ids=self._ids, proto=proto), parser

    def is_trusted(self, ip: str) -> bool:
        """Whether it is one of the trusted proxies."""
        if not self._trusted or not ip:
            return False
        address = ipaddress.ip_address(ip.partition("%")[0])
        return any(address in network for network in self._trusted)
