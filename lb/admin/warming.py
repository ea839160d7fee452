"""What the first scrape of a shared file would have to read, read before it comes.

The names of 2,000 backends, the settings in force and all figures take 0.2 s the first
time; afterwards only what changed is read. So a file that this process has not seen
before is read through as soon as it is there. It costs what one scrape costs, once per
start of the balancer, and says nothing to anybody.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from lb.errors import StateFileError

if TYPE_CHECKING:
    from lb.admin.collecting import Collector
    from lb.admin.source import Source

EVERY_S: Final = 1.0


class Warming:
    """Looks each second whether there is another file; `start` begins, `stop` ends."""

    def __init__(self, source: Source, collector: Collector) -> None:
        self._source = source
        self._collector = collector
        self._stop = threading.Event()
        self._seen = 0

    def start(self) -> None:
        """Look in a thread of its own from now on."""
        threading.Thread(target=self._run, name="warming", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def look(self) -> bool:
        """Read through a file that is new to this process; whether there was one."""
        try:
            with self._source.use() as file:
                born = file.events_end().born
        except StateFileError:
            return False
        if born == self._seen:
            return False
        for family in self._collector.families():
            family.text()
        self._seen = born
        return True

    def _run(self) -> None:
        self.look()
        while not self._stop.wait(EVERY_S):
            self.look()
