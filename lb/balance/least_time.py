"""Least time: to whoever answers soonest, as times and counts of late foretell.

The forecast is the time to a response head (a moving average over all workers) times
the requests it would then have under way, divided by its weight. Few candidates are
all compared; of many, two that are drawn by weight.

- One whose time is unknown and that is idle comes first: so it gets known. While
  that first request is under way it comes last, so that it is not flooded.
- One that is slow would never be chosen again, and never be seen to have recovered.
  So a time counts half for each ten seconds in which this process has not chosen the
  candidate: one that is twice as slow as the others is tried once in ten seconds,
  one a hundred times as slow once in 66.

Linkerd's and Finagle's Peak EWMA forgets and holds back in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.balance.draw import Draw, others
from lb.balance.policy import C, Loads, Policy
from lb.balance.rank import least_ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random

    from lb.balance.ask import Ask

FEW: Final = 8
"""Up to so many are compared one by one: 4 us for 8."""

HALF_LIFE_S: Final = 10.0

_LAST: Final = 1e9
"""Seconds that no forecast reaches: before it, all whose time is known."""


class LeastTime(Policy[C]):
    """See the module; `clock` gives seconds and never goes back."""

    def __init__(
        self, loads: Loads[C], *, clock: Callable[[], float], chance: Random
    ) -> None:
        self._loads = loads
        self._clock = clock
        self._chance = chance
        self._draw: Draw[C] = Draw(())
        self._chosen_at: dict[int, float] = {}

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`."""
        before, now = self._chosen_at, self._clock()
        self._chosen_at = {c.id: before.get(c.id, now) for c in candidates}
        self._draw = Draw(candidates)

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. O(log n)."""
        return self._soonest(self._draw)

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; the soonest of those that are left."""
        left = others(self._draw.candidates, without)
        return self._soonest(Draw(left)) if left else None

    def inputs(self, ask: Ask, candidate: C) -> str:
        """See `Policy.inputs`."""
        time_s = self._loads.head_time_s(candidate)
        shown = f"{time_s * 1000:.1f}" if time_s else "unknown"
        in_flight = self._loads.in_flight(candidate)
        return f"weight={candidate.weight} in_flight={in_flight} head_time_ms={shown}"

    def _soonest(self, draw: Draw[C]) -> C:
        now = self._clock()
        if len(draw.candidates) > FEW:
            two = draw.two_at(self._chance.random(), self._chance.random())
            forecasts = self._forecasts(two, now)
            # Of equals the first, as a draw by weight of two would weigh twice.
            chosen = two[forecasts[1] < forecasts[0]]
        else:
            forecasts = self._forecasts(draw.candidates, now)
            chosen = least_ranked(draw.candidates, forecasts, self._chance)
        self._chosen_at[chosen.id] = now
        return chosen

    def _forecasts(self, candidates: Sequence[C], now: float) -> list[float]:
        loads = self._loads.in_flight_of(candidates)
        return [
            self._forecast(c, load, now)
            for c, load in zip(candidates, loads, strict=True)
        ]

    def _forecast(self, candidate: C, in_flight: int, now: float) -> float:
        """Seconds, for its weight; 0.0 comes first."""
        share = (in_flight + 1) / candidate.weight
        time_s = self._loads.head_time_s(candidate)
        if not time_s:
            return _LAST + share if in_flight else 0.0
        age_s = now - self._chosen_at.get(candidate.id, now)
        return float(time_s * share * 0.5 ** (age_s / HALF_LIFE_S))
