"""What came before, byte for byte, and what it meant: bounded, and only if it repeats.

Programs, probes and browsers send the same bytes again and again, and looking them up
costs less than reading them once more. What comes only once must not be kept: heads
with a cookie of their own, stored and thrown away by the hundred, cost 6 us each in
cache misses. So a thing is kept when it comes for the second time; of the first, only
a number is noted, in a table that does not grow.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")

SEEN_ONCE: Final = 1024
"""Numbers of things that came once; a power of two. Later ones overwrite."""


class Memory(Generic[V]):
    """At most `limit` keys of at most `limit_bytes` each, with their meanings.

    When it is full it starts anew: whoever filled it must not slow the others for
    long. `get` is `dict.get`; values are shared and must not be changed.
    """

    __slots__ = ("_known", "_limit", "_limit_bytes", "_once", "get")

    def __init__(self, *, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._known: dict[bytes, V] = {}
        self._once = array("q", bytes(8 * SEEN_ONCE))
        self.get: Callable[[bytes], V | None] = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def offer(self, key: bytes, value: V) -> None:
        """Keep `value` for `key`, if this is the second time it is offered."""
        if self.is_second(key):
            self.keep(key, value)

    def is_second(self, key: bytes) -> bool:
        """Whether `key` may be kept and this was asked of it before, lately."""
        if len(key) > self._limit_bytes:
            return False
        mark = hash(key)
        at = mark & (SEEN_ONCE - 1)
        if self._once[at] == mark:
            return True
        self._once[at] = mark
        return False

    def keep(self, key: bytes, value: V) -> None:
        """Keep `value` for `key`."""
        if len(self._known) >= self._limit:
            self._known.clear()
        self._known[key] = value
