"""When each backend's next probe is due.

Probes of one backend start an interval apart, give or take a tenth, so that
backends which were probed together drift apart; first probes are spread, evenly,
over half a second, or over an interval when there are many.  While a verdict is
in doubt the fast interval counts, and so it does between probes that somebody
asked for at once.  Each backend has its own pace, that of its set.  Pure: the
clock's readings and chance are handed in.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JITTER = 0.1
FIRST_SPREAD_S = 0.5
FEW = 64
"""Up to so many first probes fit into half a second without a burst to speak of."""


class Pace(NamedTuple):
    """Seconds from one probe's start to the next's; `fast` while in doubt."""

    interval: float
    fast: float


@dataclass(slots=True)
class _Entry:
    pace: Pace
    due: float = 0.0
    started: float = float("-inf")
    under_way: bool = False
    hurried: bool = False


class Schedule:
    """Due times of probes by key; times are seconds of one monotonic clock.

    A key is either waiting for its time or under way (from `take_due` to `done`).
    `chance` gives numbers from 0 to 1, as `random.random`.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._entries: dict[int, _Entry] = {}
        # Holds every waiting key at its due time, and times that are no more.
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def reset(self, paces: Mapping[int, Pace], now: float) -> None:
        """Probe exactly these keys, each at its pace.

        Those that were there keep their times, but none waits for longer than its
        pace of now asks.
        """
        old = self._entries
        self._entries = {key: old[key] for key in paces if key in old}
        for key, entry in self._entries.items():
            if entry.pace != paces[key]:
                entry.pace = paces[key]
                self._bring_forward(
                    key, entry, entry.started + entry.pace.interval, now
                )
        new: dict[Pace, list[int]] = {}
        for key in paces:
            if key not in old:
                new.setdefault(paces[key], []).append(key)
        is_few = len(paces) - len(self._entries) <= FEW
        for pace, keys in new.items():
            spread = min(pace.interval, FIRST_SPREAD_S) if is_few else pace.interval
            for place, key in enumerate(keys):
                self._entries[key] = _Entry(pace)
                self._put(key, now + spread * place / len(keys))

    def take_due(self, now: float, limit: int) -> list[int]:
        """At most `limit` keys whose time has come; they are under way now."""
        taken: list[int] = []
        while len(taken) < limit:
            due = self.next_due()
            if due is None or due > now:
                break
            _, key = heapq.heappop(self._heap)
            entry = self._entries[key]
            entry.under_way = True
            entry.hurried = False
            entry.started = now
            taken.append(key)
        return taken

    def done(self, key: int, now: float, *, in_doubt: bool) -> None:
        """A probe that was under way ended; a key that is gone is ignored."""
        entry = self._entries.get(key)
        if entry is None or not entry.under_way:
            return
        entry.under_way = False
        is_fast = in_doubt or entry.hurried
        gap = _fast(entry.pace) if is_fast else self._jittered(entry.pace)
        self._put(key, max(now, entry.started + gap))

    def probe_now(self, key: int, now: float) -> None:
        """Bring the key's next probe forward to the end of the fast interval."""
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.under_way:
            entry.hurried = True
            return
        self._bring_forward(key, entry, entry.started + _fast(entry.pace), now)

    def next_due(self) -> float | None:
        """When the next waiting key is due; None if none waits."""
        while self._heap:
            due, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and not entry.under_way and entry.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    def _bring_forward(self, key: int, entry: _Entry, due: float, now: float) -> None:
        """Probe a waiting key earlier; later is as it was."""
        due = max(now, due)
        if not entry.under_way and due < entry.due:
            self._put(key, due)

    def _put(self, key: int, due: float) -> None:
        self._entries[key].due = due
        heapq.heappush(self._heap, (due, key))

    def _jittered(self, pace: Pace) -> float:
        return pace.interval * (1 + JITTER * (2 * self._chance() - 1))


def _fast(pace: Pace) -> float:
    return min(pace.fast, pace.interval)
