"""Which set of backends a request is for, by its host and its path.

A route fits if its host and its path do. Of those that fit, the one with the better
host wins: the very name, then the longest wildcard, then any; then the one with the
longer path. So a route for one host hides those for all hosts only where it fits.

Hosts are compared without their port, in lower case and without a last dot; paths as
`lb.balance.route_path` says, by whole segments: `/v2` is for `/v2` and `/v2/x`, not
for `/v22`. `*.example.com` is for all names below example.com, and not for itself.

What a host leads to is found once and remembered, for some hosts: 0.1 us instead of 1.
The rest is one look-up for each segment that the longest route has.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from lb.balance.hash_key import key_of
from lb.balance.route_path import plain_path
from lb.balance.split import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lb.balance.ask import Ask

REMEMBERED: Final = 1024
"""Hosts whose routes are remembered, half a megabyte of them at most."""

LONGEST: Final = 255
"""A longer Host is no name: its routes are those for any."""


class Rule(Protocol):
    """A route as the settings have it, each word in its plain form."""

    @property
    def host(self) -> str:
        """`api.example.com`, `*.example.com`, or empty for any."""

    @property
    def path(self) -> str:
        """The prefix, without a slash at its end; `/` for all."""

    @property
    def shares(self) -> tuple[tuple[str, int], ...]:
        """Names of sets and their weights; one at least."""

    @property
    def split_by(self) -> str:
        """`client`, `header:NAME` or `cookie:NAME`."""


class Route:
    """Where one route leads: a set, or several that share its clients."""

    __slots__ = ("_chance", "_key", "_split", "at")

    def __init__(self, rule: Rule, places: dict[str, int], chance: Random) -> None:
        shares = [(name, places[name], weight) for name, weight in rule.shares]
        self.at = shares[0][1]
        self._split = Split(shares) if len(shares) > 1 else None
        self._key = key_of(rule.split_by)
        self._chance = chance

    def set_for(self, ask: Ask) -> int:
        """The set's number. Without a key it is the client's address that decides;
        clients who have none either (on a unix socket) are shared out by the dice.
        """
        if self._split is None:
            return self.at
        key = self._key(ask) or ask.client
        return self._split.of(key or self._chance.randbytes(8))


class Paths:
    """The routes of one host pattern, by their path."""

    __slots__ = ("_by_path", "_deepest")

    def __init__(self) -> None:
        self._by_path: dict[bytes, Route] = {}
        self._deepest = 0

    def add(self, path: str, route: Route) -> None:
        """Have a route for a path, as `Rule.path`."""
        prefix = path.encode().removesuffix(b"/")
        self._by_path[prefix] = route
        self._deepest = max(self._deepest, prefix.count(b"/"))

    def find(self, path: bytes) -> Route | None:
        """The route with the longest fitting path. O(segments of the longest route)."""
        found = self._by_path.get(b"")
        end = 0
        for _ in range(self._deepest):
            end = path.find(b"/", end + 1)
            route = self._by_path.get(path if end < 0 else path[:end])
            found = route or found
            if end < 0:
                break
        return found


class Router:
    """See the module. `names` are the sets; where routes lead is a place in them.

    `fallback` is the set for what no route fits, or empty: nothing is for that.
    `chance` serves clients by whom nothing can be known again.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        names: Sequence[str],
        *,
        fallback: str = "",
        chance: Random | None = None,
    ) -> None:
        places = {name: place for place, name in enumerate(names)}
        self._fallback = places[fallback] if fallback else None
        self._by_host: dict[bytes, Paths] = {}
        self._remembered: dict[bytes, tuple[Paths, ...]] = {}
        chance = chance or Random()  # noqa: S311 - it keeps no secret
        for rule in rules:
            paths = self._by_host.setdefault(rule.host.encode(), Paths())
            paths.add(rule.path, Route(rule, places, chance))
        self.only = None if self._by_host else self._fallback
        """The set for every request whatever it asks, if that is so: ask no further."""

    def find(self, ask: Ask) -> int | None:
        """The place of the set that a request is for; None: there is none.

        1 us for one that is not split, and as `Split.of` for one that is.
        """
        host = ask.host
        tables = self._remembered.get(host)
        if tables is None:
            tables = self._tables(host)
        path = plain_path(ask.target)
        for paths in tables:
            route = paths.find(path)
            if route is not None:
                return route.set_for(ask)
        return self._fallback

    def _tables(self, host: bytes) -> tuple[Paths, ...]:
        """The routes whose host fits, the best first; remembered unless too long."""
        if len(host) > LONGEST:
            return self._fitting([b""])
        tables = self._fitting(_patterns(plain_host(host)))
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()  # whoever filled it must not slow the others
        self._remembered[host] = tables
        return tables

    def _fitting(self, patterns: Iterable[bytes]) -> tuple[Paths, ...]:
        found: Callable[[bytes], Paths | None] = self._by_host.get
        return tuple(paths for pattern in patterns if (paths := found(pattern)))


def plain_host(host: bytes) -> bytes:
    """A Host without its port, in lower case, without a last dot."""
    name, colon, port = host.rpartition(b":")
    if not colon or port.strip(b"0123456789"):  # an address in brackets has colons
        name = host
    return name.lower().removesuffix(b".")


def _patterns(name: bytes) -> Iterable[bytes]:
    """What a route for this host may be called, the best first."""
    if name:
        yield name
    rest = name
    while rest:
        rest = rest.partition(b".")[2]
        if rest:
            yield b"*." + rest
    yield b""
