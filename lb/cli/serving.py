"""`lb health`: the health checker alone, in the foreground."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading

from lb.cli.group import cli
from lb.errors import LbError


@cli.command()
def health() -> None:
    """Check the backends' health until stopped, for the workers."""
    # Probes by the hundred are cheap as greenlets; nothing is imported before that
    # must be patched.
    from gevent import monkey

    from lb import patching

    with patching.cheaply():
        monkey.patch_all()
    from lb import inforce
    from lb.config import health_by_set, load, state_path
    from lb.health.checker import Checker
    from lb.shm import SharedFile, publish

    settings = load()
    path = state_path(settings)
    there = None
    with contextlib.suppress(LbError):
        # A file that was edited since the balancer's start waits for a reload.
        there = inforce.settings_of(path)
    settings = there or settings
    logging.basicConfig(
        level=settings.log.level.upper(),
        format="%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
        datefmt="[%Y-%m-%d %H:%M:%S %z]",
    )
    log = logging.getLogger("evenhand.health")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if there is None:
        publish(path, settings.all_backends)
    with SharedFile.open(path) as file:
        log.info("checking %d backends, state in %s", len(settings.all_backends), path)
        by_set = health_by_set(settings)
        checker = Checker(
            file, settings.health, log, preferred=True, stop=stop, by_set=by_set
        )
        watching = inforce.watch(
            file, log, stop=stop, tell=lambda s: checker.use(s.health, health_by_set(s))
        )
        checker.run()
        watching.join(1.0)
