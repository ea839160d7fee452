"""Gentle traffic for the demo: `python -m backend.load` for a minute, or when told.

So many requests a second are begun whether or not earlier ones are answered, as
visitors do: a backend that hangs costs its own share, and the rate goes on. Both are
bounded (a request gives up after `PATIENCE_S`, at most `CLIENTS` are under way), and it
goes to the loopback address only. It is no load test: that is scripts/loadtest.sh.

With `--controls` it waits to be told by the admin app, as long as it lives.
"""

from __future__ import annotations

import argparse
import itertools
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final

from backend.orders import MOST_S, Orders, OrdersError

if TYPE_CHECKING:
    from collections.abc import Callable

RATE: Final = 40
"""Requests a second: seen well in a chart, 3 percent of a core here."""

CLIENTS: Final = 64
PATIENCE_S: Final = 3.0
LOOK_S: Final = 0.25
SOON_S: Final = 0.2
STAND_BY_S: Final = 1.0
SECONDS: Final = 60.0
PORT: Final = 8080

NAME: Final = "load"
"""Of the orders and of what they ask for."""

TARGETS: Final = ("/", "/", "/slow?ms=15", "/", "/bytes/20000", "/", "/slow?ms=40")
"""What is asked for, in turn: some answers come later than others."""


class Load:
    """So many clients of a port of the loopback address, each with a connection."""

    def __init__(self, port: int, *, rate: int = RATE) -> None:
        self._port = port
        self._pause_s = 1 / rate
        self._wanted: queue.Queue[str | None] = queue.Queue(4)
        self._lock = threading.Lock()
        self.answered = 0
        """Requests with a whole answer below 500."""
        self.failed = 0

    def run(
        self,
        seconds: float,
        *,
        stop: threading.Event,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Ask for so many seconds, at most `MOST_S`, or until it `is_over`.

        A set `stop` ends it with hardly a wait for answers that are still to come.
        """
        threads = [
            threading.Thread(target=self._serve, daemon=True) for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        end = due = time.monotonic()
        end += min(seconds, MOST_S)
        for target in itertools.cycle(TARGETS):
            now = time.monotonic()
            if now >= end or stop.wait(max(0.0, due - now)) or is_over():
                break
            # Nobody is free: this one is left out, so that nothing is made up later.
            with suppress(queue.Full):
                self._wanted.put_nowait(target)
            due = max(due + self._pause_s, now)
        self._leave(threads, SOON_S if stop.is_set() else PATIENCE_S)

    def _leave(self, threads: list[threading.Thread], within_s: float) -> None:
        """Send the clients home; who still waits for an answer is left alone."""
        end = time.monotonic() + within_s
        with suppress(queue.Full):
            for _ in threads:
                self._wanted.put(None, timeout=max(0.0, end - time.monotonic()))
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _serve(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        while (target := self._wanted.get()) is not None:
            is_good = _is_answered(connection, target)
            with self._lock:
                self.answered += is_good
                self.failed += not is_good
        connection.close()


def _is_answered(connection: HTTPConnection, target: str) -> bool:
    try:
        connection.request("GET", target, headers={"User-Agent": "evenhand-demo"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        connection.close()
        return False
    return answer.status < 500


def main() -> int:
    """Run what the command line says; the exit status."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if not options.controls:
        load = Load(options.port, rate=options.rate)
        load.run(options.seconds, stop=stop)
        _tell(load)
        return 0 if load.answered else 1
    print("load: none until the dashboard asks for it", flush=True)  # noqa: T201
    if orders := _take(stop):
        try:
            _obey(orders, stop)
        finally:
            orders.close()
    return 0


def _take(stop: threading.Event) -> Orders | None:
    """The orders, as soon as no other bundle of this user takes them."""
    while not stop.is_set():
        try:
            return Orders.take(NAME)
        except OrdersError:
            # The one that has them sends load to our balancer just as well.
            stop.wait(STAND_BY_S)
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m backend.load",
        description="Send a balancer on this machine some requests, for a while.",
    )
    add = parser.add_argument
    add("--port", type=int, default=PORT, help="the balancer's (default: %(default)s)")
    add("--rate", type=int, default=RATE, choices=range(1, 201), metavar="1..200",
        help="requests a second (default: %(default)s)")  # fmt: skip
    add("--seconds", type=float, default=SECONDS,
        help=f"how long, at most {MOST_S:g} (default: %(default)g)")  # fmt: skip
    add("--controls", action="store_true", help="wait until the admin app says so")
    return parser.parse_args()


def _obey(orders: Orders, stop: threading.Event) -> None:
    """Send load whenever the orders say so, until stopped."""
    while not stop.wait(LOOK_S):
        order = orders.now()
        if order.mode == NAME:
            seconds = order.until - time.time()
            print(f"load: {seconds:.0f} s, to port {order.port}", flush=True)  # noqa: T201
            load = Load(order.port)
            # A newer order, of more or less, takes its place.
            load.run(seconds, stop=stop, is_over=lambda: orders.now() != order)  # noqa: B023
            _tell(load)


def _tell(load: Load) -> None:
    print(f"load: {load.answered} answered, {load.failed} failed", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
