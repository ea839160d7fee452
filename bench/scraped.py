"""Evenhand's admin process beside a run, scraped each second: what does it cost?

It runs on the other core, with the load and the backends, as a monitoring system's
target does. The proxy is metered without it; if a scrape fails, the run is void.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.request
from typing import TYPE_CHECKING, Final

from bench.errors import RunVoidError
from bench.peers.peer import ROOT
from bench.processes import free_port, running, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.peers.peer import Launch

EVERY_S: Final = 1.0
TIMEOUT_S: Final = 5.0


class Scraper:
    """Scrapes an address each second until `stop`.

    `count` of the `asked` times it told of requests; `why` is the first failure's.
    """

    def __init__(self, url: str) -> None:
        self.asked = self.count = 0
        self.why = ""
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Scrape no more."""
        self._stop.set()
        self._thread.join(2 * TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                text = fetch(self._url)
            except OSError as error:
                self.why = self.why or f"a scrape failed: {error}"
                continue
            self.count += b"evenhand_requests_total" in text
            self.asked += 1


def fetch(url: str) -> bytes:
    """What is there. Raises: OSError."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 # ours
        found: bytes = answer.read()
        return found


@contextlib.contextmanager
def scraped(beside: Launch, folder: Path, cores: frozenset[int]) -> Iterator[Scraper]:
    """Until the end of the block, an admin process of what `beside` runs is scraped.

    Raises:
        RunVoidError: it did not start, or a scrape failed.
    """
    port = free_port()
    argv = [sys.executable, "-m", "gunicorn", "--chdir", str(ROOT)]
    argv += ["-c", str(ROOT / "admin.conf.py"), "lb.admin.serving:app()"]
    with running(
        tuple(argv),
        cores=cores,
        log=folder / "admin",
        environment={**beside.environment, "LB_ADMIN__BIND": f"127.0.0.1:{port}"},
    ) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(child, lambda: bool(fetch(f"{url}/healthz")))
        scraper = Scraper(f"{url}/metrics")
        try:
            yield scraper
        finally:
            scraper.stop()
    if scraper.why or not scraper.count:
        raise RunVoidError(scraper.why or "nothing was scraped")
