"""Looks at the balancer all the time: retries beside their budget, memory, descriptors.

The budget holds at the moment when a retry begins; seen from outside, what is in flight
has fallen since, and who asks is counted in before it knows. So what is seen is held
against the most that was in flight lately, and one more for each worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from trials.census import descriptors, resident_kib

if TYPE_CHECKING:
    from lb.shm import InFlight, SharedFile
    from trials.bundle import Bundle

LOOK_S: Final = 0.05
CENSUS_S: Final = 1.0
LATELY: Final = 200
"""Looks that are remembered: 10 s, longer than a stopped backend keeps requests."""

GROWN_UP_S: Final = 5.0
"""The age from which a process's size is held against itself."""

PERCENT: Final = 20


@dataclass(slots=True)
class Size:
    """One process: when it was first seen, and its size when grown up and at last."""

    what: str
    since: float
    kib: int = 0
    files: int = 0
    last_kib: int = 0
    last_files: int = 0
    age_s: float = 0.0

    @property
    def grown_kib(self) -> int:
        """Memory since it was grown up; 0 if it never was."""
        return self.last_kib - self.kib if self.kib else 0


@dataclass
class Watch:
    """What was seen so far."""

    sizes: dict[int, Size] = field(default_factory=dict)
    most_retries: int = 0
    over_budget: list[str] = field(default_factory=list)
    _in_flight: deque[int] = field(default_factory=lambda: deque(maxlen=LATELY))

    async def run(self, file: SharedFile, bundle: Bundle) -> None:
        """Look until cancelled."""
        reader = file.in_flight_reader()
        census_at = 0.0
        while True:
            now = monotonic()
            if now >= census_at:
                census_at = now + CENSUS_S
                reader.refresh()
                self.count(file, bundle)
            self._look(reader, file, bundle.retries)
            await asyncio.sleep(LOOK_S)

    def _look(self, reader: InFlight, file: SharedFile, least: int) -> None:
        rows = [row.row for row in file.rows()]
        retrying = reader.retrying(rows)
        self._in_flight.append(reader.of_many(rows))
        self.most_retries = max(self.most_retries, retrying)
        allowed = max(least, max(self._in_flight) * PERCENT / 100)
        workers = sum(1 for slot in file.slots() if slot.alive)
        if retrying > allowed + workers:
            self.over_budget.append(f"{retrying} where {allowed:g} are allowed")

    def count(self, file: SharedFile, bundle: Bundle) -> None:
        """Take the size of every worker and of the checker."""
        pids = {slot.pid: "worker" for slot in file.slots() if slot.alive}
        pids[bundle.checker_pid] = "checker"
        for pid, what in pids.items():
            self._measure(pid, what)

    def _measure(self, pid: int, what: str) -> None:
        kib, files, now = resident_kib(pid), descriptors(pid), monotonic()
        if not kib:
            return
        size = self.sizes.setdefault(pid, Size(what, now))
        size.age_s = now - size.since
        size.last_kib, size.last_files = kib, files
        if not size.kib and size.age_s >= GROWN_UP_S:
            size.kib, size.files = kib, files
