"""A serving process: a balancer, and what runs beside its requests.

Beside requests run two loops: a heartbeat into the slot, which also follows the table
while no request does and cuts what is left when a drain's time is over, and the standby
for the health checker, which leads only while no `health` process does. Both are
`threading.Thread`s: greenlets where gevent has patched it, real threads elsewhere,
where no event loop runs between requests.

When the arbiter puts other settings in force, this process goes by them from its next
request on, and without one from its next heartbeat: nothing is closed or begun anew
that the settings leave as it was.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from lb.config import health_by_set
from lb.errors import LbError
from lb.health.checker import Checker
from lb.inforce import Following
from lb.proxy.balancer import Balancer
from lb.proxy.overdue import cut_overdue

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger

    from lb.config import Settings
    from lb.proxy.hedge import Race
    from lb.streams.stream import Transport

HEARTBEAT_S: Final = 1.0
JOIN_S: Final = 1.0


class ServingProcess:
    """Opens everything at once and starts the loops; `stop` ends them.

    `generation` numbers the settings, where an arbiter put them in force and forked
    this process; 0 for settings of its own, which stay.

    Raises:
        ConfigError, StateFileError: see `Balancer`.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        log: Logger,
        *,
        threads: bool,
        generation: int = 0,
        race: Race | None = None,
    ) -> None:
        self.on_settings: Callable[[Settings], None] = lambda _: None
        """Called with the settings that were in force until now, in their place."""
        self._log = log
        self.balancer = Balancer(
            settings,
            transport,
            threads=threads,
            published=generation > 0,
            follow=self._follow,
            race=race,
        )
        self._hedges = race is not None
        self._tell_what_has_no_effect(settings)
        self._following = Following(self.balancer.file, generation)
        if generation:
            self.balancer.slot.see_settings(generation)
            self.balancer.slot.tell_arbiter(os.getppid())
        self._stop = threading.Event()
        self._checker = Checker(
            self.balancer.file,
            settings.health,
            log,
            preferred=False,
            stop=self._stop,
            by_set=health_by_set(settings),
        )
        self._threads = [
            threading.Thread(target=loop, name=name, daemon=True)
            for name, loop in (
                ("heartbeat", self._beat),
                ("standby", self._checker.run),
            )
        ]
        for thread in self._threads:
            thread.start()

    def _beat(self) -> None:
        balancer = self.balancer
        while not self._stop.is_set():
            balancer.beat()
            next_cut_s = cut_overdue(
                balancer.file,
                list(balancer.roster.backends),
                self._log,
                now=time.time(),
            )
            self._stop.wait(min(HEARTBEAT_S, next_cut_s))

    def _follow(self) -> None:
        """Go by the settings in force, if others are by now."""
        following = self._following
        if not following.has_news():
            return
        before = self.balancer.settings
        try:
            settings = following.news()
            self.balancer.apply(settings)
            self._tell_what_has_no_effect(settings)
            self._checker.use(settings.health, health_by_set(settings))
            self.on_settings(before)
        except LbError as error:
            self._log.error("process %d keeps its settings: %s", os.getpid(), error)
        except Exception:  # noqa: BLE001 - logged; a request that came upon it goes on
            self._log.exception("process %d may be between settings", os.getpid())
        else:
            self.balancer.slot.see_settings(following.generation)

    def _tell_what_has_no_effect(self, settings: Settings) -> None:
        if not self._hedges and any(each.retries.hedge for each in settings.sets):
            self._log.warning(
                "retries.hedge has no effect here: this lane does not hedge"
            )

    def stop(self) -> None:
        """End the loops and give back slot, log and connections."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        self.balancer.close()
