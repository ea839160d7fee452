"""A demo backend that is slow, failing, hanging or dead while it is told so.

It stands between gunicorn and the application, so it holds for every path, the health
page among them, and for all requests of the process. What it is told it looks up ten
times a second, so a mode begins and ends within `LOOK_S`.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final

from backend.orders import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIApplication

    from backend.orders import Orders

SLOW, FAILING, HANGING, DEAD = MODES = ("slow", "failing", "hanging", "dead")

LOOK_S: Final = 0.1
SLOW_S: Final = 0.7
"""Seen in every figure, and still within the second that a probe may take."""

FAILURE: Final = b"This demo backend was told to fail.\n"


class Misbehaving:
    """The application `well`, spoilt by what its `orders` say."""

    def __init__(self, well: WSGIApplication, orders: Orders) -> None:
        self._well = well
        self._orders = orders
        self._now = NOTHING

    @property
    def mode(self) -> str:
        """What it does now: one of MODES, or empty; as of the last look."""
        return self._now.mode if self._now.until > time.time() else ""

    def look(self) -> None:
        """See what the orders are now; a dead one does not return."""
        self._now = self._orders.now()
        if self.mode == DEAD:
            _die()

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer as the mode has it."""
        while self.mode == HANGING:
            time.sleep(LOOK_S)
        if self.mode == SLOW:
            time.sleep(SLOW_S)
        if self.mode != FAILING:
            return self._well(environ, start_response)
        length = str(len(FAILURE))
        fields = [("Content-Type", "text/plain"), ("Content-Length", length)]
        start_response("503 Service Unavailable", fields)
        return [FAILURE]


def _die() -> None:
    """End the arbiter and this worker of it as `kill -9` does."""
    arbiter = os.getppid()
    if arbiter > 1:  # else it is gone already
        os.kill(arbiter, signal.SIGKILL)
    os._exit(1)
