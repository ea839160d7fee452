"""What a policy may know of the request that it chooses for.

A policy that needs nothing of it (`needs_ask` is False) is given `NO_ASK`, so that
no request pays for what nobody reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ask(Protocol):
    """A request, as far as choosing a backend is concerned; nothing may be changed."""

    @property
    def client(self) -> bytes:
        """The client's IP address as text; empty for a unix socket's peer."""

    @property
    def method(self) -> bytes:
        """As it came, such as `GET`."""

    @property
    def target(self) -> bytes:
        """Path and query as they came, nothing decoded."""

    @property
    def host(self) -> bytes:
        """The value of Host as it came, with its port."""

    def header(self, name: bytes) -> bytes:
        """The value of the field whose lower-case name is given; empty if absent."""

    def cookie(self, name: bytes) -> bytes:
        """The value of the first cookie of that name; empty if absent."""


@dataclass(frozen=True, slots=True)
class PlainAsk:
    """An `Ask` made of given values; `fields` has lower-case names."""

    client: bytes = b""
    method: bytes = b"GET"
    target: bytes = b"/"
    host: bytes = b""
    fields: Mapping[bytes, bytes] = field(default_factory=dict)

    def header(self, name: bytes) -> bytes:
        """See `Ask.header`."""
        return self.fields.get(name, b"")

    def cookie(self, name: bytes) -> bytes:
        """See `Ask.cookie`."""
        return cookie_in(self.fields.get(b"cookie", b""), name)


NO_ASK: Final = PlainAsk()
"""For policies that ask nothing."""


def cookie_in(field_value: bytes, name: bytes) -> bytes:
    """The value of the first cookie called `name` in a Cookie field, or nothing.

    Names are told apart by case (RFC 6265 section 5.4). Linear in the field's length;
    one without that name costs 0.1 us.
    """
    if name not in field_value:
        return b""
    for pair in field_value.split(b";"):
        found, equals, value = pair.partition(b"=")
        if equals and found.strip() == name:
            return value.strip().strip(b'"')
    return b""
