"""A serving process: a balancer, and what runs beside its requests.

Beside requests run two loops: a heartbeat into the slot, which also follows the table
while no request does and cuts what is left when a drain's time is over, and the standby
for the health checker, which leads only while no `health` process does. Both are
`threading.Thread`s: greenlets where gevent has patched it, real threads elsewhere,
where no event loop runs between requests.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from lb.config import health_by_set
from lb.health.checker import Checker
from lb.proxy.balancer import Balancer
from lb.proxy.overdue import cut_overdue

if TYPE_CHECKING:
    from logging import Logger

    from lb.config import Settings
    from lb.proxy.hedge import Race
    from lb.streams.stream import Transport

HEARTBEAT_S: Final = 1.0
JOIN_S: Final = 1.0


class ServingProcess:
    """Opens everything at once and starts the loops; `stop` ends them.

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
        published: bool = False,
        race: Race | None = None,
    ) -> None:
        self.balancer = Balancer(
            settings, transport, threads=threads, published=published, race=race
        )
        self._log = log
        self._stop = threading.Event()
        checker = Checker(
            self.balancer.file,
            settings.health,
            log,
            preferred=False,
            stop=self._stop,
            by_set=health_by_set(settings),
        )
        self._threads = [
            threading.Thread(target=loop, name=name, daemon=True)
            for name, loop in (("heartbeat", self._beat), ("standby", checker.run))
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

    def stop(self) -> None:
        """End the loops and give back slot, log and connections."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        self.balancer.close()
