"""The nouns: what a backend is, what is known of it, what an operator wants.

Plain values without behaviour beyond parsing and printing themselves; nothing
here knows of sockets, files or settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """What the health checker says of a backend; the number is the stored cell."""

    UNKNOWN = 0
    """Not decided yet: counts as available, so that a start needs no wait."""
    UP = 1
    DOWN = 2


class Wish(IntEnum):
    """What the operator wants of a backend; the number is the stored cell."""

    READY = 0
    DRAIN = 1
    MAINT = 2


@dataclass(frozen=True, slots=True)
class Address:
    """Where a backend listens: `host` and `port`, or a unix socket's `path`."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in `host:port`, `[v6]:port` or `unix:/path`.

        Raises:
            ValueError: with a sentence that says what is wrong.
        """
        text = text.strip()
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/"):
                raise ValueError("a unix socket needs an absolute path: unix:/path")
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError("expected host:port or unix:/path")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError("the port must be a number from 1 to 65535")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("write an IPv6 address in brackets: [::1]:8080")
        if not host or any(c.isspace() or c in "/@,?#=" for c in host):
            raise ValueError("the host is not a name or an IP address")
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backend:
    """One server address as configured: its identity, apart from live state."""

    name: str
    """Unlike that of any other, in whatever set."""
    address: Address
    weight: int = 1
    group: str = "default"
    """The *set* that it belongs to, as settings and messages call it."""
    max_in_flight: int = 0
    """Requests under way there at most, over all workers; 0 for no limit."""
    backup: bool = False
    """Whether it serves only while no other of its set can."""
