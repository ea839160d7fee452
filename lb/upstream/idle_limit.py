"""How long a backend keeps a connection that nobody uses, as far as it has shown.

A request that goes out while its connection is being closed fails, and one that may
not be repeated fails for good: it is the commonest 502 in the field. So connections
are not used again for as long as their backend's own limit, whatever the settings say.
It is learned from the `Keep-Alive: timeout=` of answers, and from closes seen on idle
connections, or on those that were idle until a request crossed the close: the shortest
idle time that ended so is the estimate, and it grows again slowly while nothing
contradicts it.

A backend that ends closes connections of all ages at once; that says nothing of its
limit, nor does a close right behind an answer. One estimate for each backend and
process; it does no I/O, and the clock is handed in.
"""

from __future__ import annotations

from math import inf
from typing import Final

LEAST_S: Final = 0.25
"""A close that comes sooner follows an answer, or was meant for all: no limit."""

BURST_S: Final = 0.5
"""Closes so near to each other have one cause."""

ALIKE: Final = 0.2
"""By which share idle times may differ where that cause is a limit."""

RELEARN_S: Final = 60.0
GROWTH: Final = 1.5
"""How often, and by how much, an estimate from closes is put to the test."""


def stay_below(limit_s: float) -> float:
    """How long to keep a connection idle that its backend closes after `limit_s`.

    A second less, or half of a short limit: our request must not cross its close.
    """
    return max(limit_s - 1.0, limit_s / 2)


class IdleLimit:
    """What is known of one backend; times in seconds, `now` monotonic."""

    __slots__ = (
        "_before_s",
        "_burst_at",
        "_burst_s",
        "_changed_at",
        "_most_s",
        "_said_s",
        "_seen_s",
        "keep_s",
    )

    def __init__(self, most_s: float) -> None:
        self.keep_s = most_s
        """How long to keep an idle connection; never more than `most_s`."""
        self._most_s = most_s
        self._said_s = self._seen_s = self._before_s = inf
        self._burst_at = self._changed_at = -inf
        self._burst_s = 0.0

    def __repr__(self) -> str:
        return f"<IdleLimit keep={self.keep_s:g}s by {self.source}>"

    def bound(self, most_s: float) -> None:
        """Keep none for longer than that, whatever is learned."""
        self._most_s = most_s
        self._settle()

    @property
    def source(self) -> str:
        """What decides `keep_s`: "settings", "header" or "closes"."""
        if self.keep_s >= self._most_s:
            return "settings"
        return "header" if self._said_s <= self._seen_s else "closes"

    def said(self, limit_s: float) -> None:
        """It said so in an answer; the latest counts."""
        if limit_s != self._said_s:
            self._said_s = limit_s
            self._settle()

    def lost(self, idle_s: float, now: float) -> None:
        """It closed a connection that had been idle for so long."""
        if idle_s < LEAST_S:
            return
        if now - self._burst_at > BURST_S:
            self._before_s = self._seen_s
            self._burst_at, self._burst_s = now, idle_s
        elif abs(idle_s - self._burst_s) > ALIKE * max(idle_s, self._burst_s):
            self._burst_s = -inf  # like no other: the burst teaches nothing any more
            self._seen_s = self._before_s
            self._settle()
            return
        if idle_s < self._seen_s:
            self._seen_s, self._changed_at = idle_s, now
            self._settle()

    def outlived(self, now: float) -> None:
        """A connection was idle for `keep_s` and still open."""
        if self._seen_s < inf and now - self._changed_at >= RELEARN_S:
            self._changed_at = now
            self._seen_s *= GROWTH
            if stay_below(self._seen_s) >= self._most_s:
                self._seen_s = inf
            self._settle()

    def _settle(self) -> None:
        limit_s = min(self._said_s, self._seen_s)
        self.keep_s = min(self._most_s, stay_below(limit_s))
