"""Threads of the operating system, also where gevent has patched `threading`.

A greenlet that makes a blocking system call stops every connection of its worker.
What may block (writing a log to a pipe whose reader stands still) runs in a thread
of its own, made from the original primitives. Nothing else should use this.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def original(module: str, name: str) -> Any:
    """`module.name` as it was before gevent's patch, if there was one."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def start_thread(run: Callable[[], None]) -> None:
    """Run `run` in a real thread, which ends with the process."""
    original("_thread", "start_new_thread")(run, ())


def sleep(seconds: float) -> None:
    """Sleep in a real thread."""
    original("time", "sleep")(seconds)


class Latch:
    """Something that happens once, waited for across real threads by polling."""

    def __init__(self) -> None:
        self._is_open = False

    def open(self) -> None:
        """It happened."""
        self._is_open = True

    def wait(self, timeout_s: float) -> bool:
        """Whether it happened within `timeout_s` seconds; blocks the caller."""
        from time import monotonic

        deadline = monotonic() + timeout_s
        while not self._is_open and monotonic() < deadline:
            sleep(0.005)
        return self._is_open
