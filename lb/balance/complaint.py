"""A fault that may happen with every request, told once a minute and counted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

INTERVAL_S: Final = 60.0


class Complaint:
    """One kind of fault; `count` says how often it happened in all.

    Safe for threads. `clock` gives seconds and never goes back.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self.count = 0
        self._log = log
        self._clock = clock
        self._told = 0
        self._due = float("-inf")
        self._lock = threading.Lock()

    def make(self, text: str, error: Exception | None = None) -> None:
        """Count it, and log it if none was in the last minute; `error` with its trace.

        What was not logged meanwhile is said as a number.
        """
        with self._lock:
            self.count += 1
            now = self._clock()
            if now < self._due:
                return
            untold = self.count - self._told - 1
            self._told = self.count
            self._due = now + INTERVAL_S
        more = f" ({untold} more since this was last said)" if untold else ""
        self._log.warning("%s%s", text, more, exc_info=error)
