"""The last minutes of each backend in steps of some seconds, for sparklines.

A backend's ring is two arrays of four-byte numbers: 1 KB each, 2 MB for 2,000. Nothing
is kept on disk and nothing outlives this process: that is Prometheus' business. Who
reads the figures for it, and how often, is `lb.admin.snapshots`' business.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb.report.latencies import together, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lb.shm import Histogram
    from lb.shm.figures import Figures

STEP_S: Final = 2.0
STEPS: Final = 120
"""Four minutes, where steps are as short as they may be."""

EVERYTHING: Final = -1
"""In the place of a backend's id: all requests, also those without a backend."""


class _Last(NamedTuple):
    """What was counted at the last step, by the clock that never jumps."""

    at: float
    figures: Figures


class Step(NamedTuple):
    """One backend's step: requests each second, and p99 in seconds if any ended."""

    rate: float
    p99_s: float | None


class _Ring:
    """Two rows of numbers; all rings turn together."""

    __slots__ = ("p99s", "rates")

    def __init__(self) -> None:
        self.rates = array("f", bytes(4 * STEPS))
        self.p99s = array("f", [nan]) * STEPS


class History:
    """The rings, for any thread: steps go in, what is in them comes out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: deque[float] = deque(maxlen=STEPS)
        self._next = 0
        self._rings: dict[int, _Ring] = {}
        self._last: _Last | None = None

    def take(self, figures: Figures, now: float) -> None:
        """Put in what was counted since the last step, if that is long enough ago.

        `now` is of a clock that never jumps.
        """
        with self._lock:
            last = self._last
            if last is not None and last.figures.born != figures.born:
                last = None
                self._at.clear()
                self._rings.clear()
            if last is None:
                self._last = _Last(now, figures)
            elif now - last.at >= STEP_S * 0.9:
                self._put(steps(last.figures, figures, now - last.at))
                self._last = _Last(now, figures)

    def _put(self, found: dict[int, Step]) -> None:
        self._rings = {key: self._rings.get(key) or _Ring() for key in found}
        for key, step in found.items():
            ring = self._rings[key]
            ring.rates[self._next] = step.rate
            ring.p99s[self._next] = nan if step.p99_s is None else step.p99_s
        self._next = (self._next + 1) % STEPS
        self._at.append(time.time())

    def latest(self) -> tuple[float | None, dict[int, Step]]:
        """When the last step ended (unix time; None before the first), and what it was.

        Backends that had nothing to do in it are left out.
        """
        with self._lock:
            if not self._at:
                return None, {}
            index = self._next - 1
            return self._at[-1], {
                key: Step(ring.rates[index], _known(ring.p99s[index]))
                for key, ring in self._rings.items()
                if ring.rates[index] or not isnan(ring.p99s[index])
            }

    def report(self, names: dict[int, str]) -> dict[str, Any]:
        """All that is kept, the oldest first, of the backends with these names.

        O(backends x steps); those that had nothing to do are left out.
        """
        with self._lock:
            all_of_it = self._rings.get(EVERYTHING, _Ring())
            return {
                "at": [round(at, 3) for at in self._at],
                "all": self._told(all_of_it),
                "backends": {
                    name: self._told(ring)
                    for key, name in names.items()
                    if (ring := self._rings.get(key)) and any(ring.rates)
                },
            }

    def _told(self, ring: _Ring) -> dict[str, Any]:
        rates, p99s = self._in_order(ring.rates), self._in_order(ring.p99s)
        return {
            "rate": [round(rate, 2) for rate in rates],
            "p99_s": [_known(p99) for p99 in p99s],
        }

    def _in_order(self, row: array[float]) -> Iterable[float]:
        count = len(self._at)
        turned = row[self._next :] + row[: self._next]
        return turned[STEPS - count :]


def _known(value: float) -> float | None:
    return None if isnan(value) else round(value, 6)


def steps(before: Figures, now: Figures, took_s: float) -> dict[int, Step]:
    """What happened between two readings, by backend's id, and under `EVERYTHING`.

    What did not change is the same object in both, and costs nothing.
    """
    found, new, requests = {}, [], 0
    for key, totals in now.totals.items():
        was = before.totals.get(key, totals)
        times = None
        if totals is not was:
            times = within(now.latencies[key].total, before.latencies[key].total)
            new.append(times)
            requests += totals.requests - was.requests
        found[key] = Step((totals.attempts - was.attempts) / took_s, _p99(times))
    found[EVERYTHING] = Step(requests / took_s, _p99(together(new)))
    return found


def _p99(found: Histogram | None) -> float | None:
    return found.quantile(0.99) if found is not None and found.count else None
