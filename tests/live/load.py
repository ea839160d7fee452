"""Concurrent clients that ask again and again, and count what they get.

A failed request is one without a whole answer of status 200, whatever the reason.
"""

from __future__ import annotations

import threading
from collections import Counter
from http.client import HTTPConnection, HTTPException
from typing import Self

from tests.waiting import DEADLINE_S, wait_for


class Load:
    """`clients` threads that GET `target`, half of them on kept-alive connections.

    All of them, if `keeps_alive`; each pauses for `pause_s` between two requests. A
    connection that is closed without a word is a failed request. Runs from the start
    of its block to the end.
    """

    def __init__(
        self,
        port: int,
        *,
        clients: int = 8,
        target: str = "/",
        keeps_alive: bool = False,
        pause_s: float = 0.0,
    ) -> None:
        self._port = port
        self._target = target
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.served: Counter[str] = Counter()
        """Good answers by the backend that gave them."""
        self.failures: list[str] = []
        self.partings = 0
        """Good answers with `Connection: close`, the last of their connection."""
        self._threads = [
            threading.Thread(
                target=self._run, args=(keeps_alive or i % 2 == 0,), daemon=True
            )
            for i in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the clients, each after its present request."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * DEADLINE_S)

    @property
    def total(self) -> int:
        """Good answers so far."""
        return self.served.total()

    def wait_served(self, more: int, by: str | None = None) -> None:
        """Return when so many more requests were served well (by that backend)."""
        start = self.served[by] if by else self.total
        wait_for(
            lambda: (self.served[by] if by else self.total) >= start + more,
            f"{more} more answers; failures: {self.failures[:5]}",
        )

    def _run(self, keeps_alive: bool) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE_S)
        while not self._stop.is_set():
            try:
                connection.request("GET", self._target)
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException) as error:
                connection.close()
                self._fail(repr(error))
                continue
            if answer.status == 200:
                with self._lock:
                    self.served[answer.headers["X-Backend"]] += 1
                    self.partings += answer.headers["Connection"] == "close"
            else:
                self._fail(f"{answer.status} {answer.headers['Proxy-Status']}")
            if not keeps_alive:
                connection.close()
            if self._pause_s:
                self._stop.wait(self._pause_s)
        connection.close()

    def _fail(self, why: str) -> None:
        with self._lock:
            self.failures.append(why)
        self._stop.wait(0.05)  # a dead server is not worth a busy loop
