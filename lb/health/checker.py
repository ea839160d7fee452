"""Lead the health checks, or stand by to: the loop of every contender.

    standing by   asks for the leadership four times a second
    leading       spends a `Term` turn by turn, and yields to a preferred contender

Any number of processes run a `Checker`; the shared file lets one lead.  Nothing
but the standard library's time and threads is used to wait, so that it runs in a
plain thread as in a gevent worker.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from lb.health.term import Term
from lb.shm import Leadership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lb.health.settings import HealthSettings
    from lb.health.term import Log
    from lb.shm import SharedFile

STAND_BY_S = 0.25
"""How often a stand-by asks: a takeover must be done within a second."""
PAUSE_S = 1.0
"""After a turn that failed: whatever it was must not fill the log."""


class Stop(Protocol):
    """What the checker needs of a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether to stop."""

    def wait(self, timeout: float, /) -> bool:
        """Wait until set, or for so many seconds."""


class Checker:
    """Checks health, or stands by for it, from `run` until `stop` is set.

    `preferred` contenders lead whenever they are there.  `by_set` are the settings
    of sets that have their own; `settings` are everybody else's, and say how many
    probes may run at once.  The checker closes neither file nor log.
    """

    def __init__(
        self,
        file: SharedFile,
        settings: HealthSettings,
        log: Log,
        *,
        preferred: bool,
        stop: Stop,
        by_set: Mapping[str, HealthSettings] | None = None,
    ) -> None:
        self._file = file
        self._terms = settings, by_set or {}
        self._log = log
        self._preferred = preferred
        self._stop = stop

    def use(
        self, settings: HealthSettings, by_set: Mapping[str, HealthSettings]
    ) -> None:
        """Probe by other settings from the next turn on; counts in a row begin anew."""
        if (settings, by_set) != self._terms:
            self._terms = settings, by_set

    def run(self) -> None:
        """Lead or stand by until stopped; gives up the leadership at the end.

        Returns within half a second of the stop, whatever probes are under way.

        Raises:
            StateFileError: if preferred, when the file was replaced since it was
                opened, or stays locked for 5 s.
        """
        leadership = Leadership(self._file, self._preferred)
        try:
            while not self._stop.is_set():
                self._try_turn(leadership)
        finally:
            leadership.release()

    def _try_turn(self, leadership: Leadership) -> None:
        try:
            if leadership.try_acquire():
                self._lead(leadership)
            else:
                self._stop.wait(STAND_BY_S)
        except Exception:  # noqa: BLE001 (a loop that must outlive any fault)
            self._log.exception("the health checker failed; it goes on in a second")
            # What fails here may work elsewhere: let a stand-by lead, if any.
            leadership.release()
            self._stop.wait(PAUSE_S)

    def _lead(self, leadership: Leadership) -> None:
        """Lead until stopped, asked to yield, or told to go by other settings."""
        terms = self._terms
        term = Term(
            self._file,
            terms[0],
            self._log,
            leadership=leadership,
            by_set=terms[1],
        )
        try:
            while not self._stop.is_set() and terms is self._terms:
                if leadership.should_yield():
                    self._log.info(
                        "process %d leaves the health checks to the health process",
                        os.getpid(),
                    )
                    leadership.release()
                    return
                term.turn()
        finally:
            term.close()
