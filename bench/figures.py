"""From many runs to few figures: medians, spreads, ratios within a round.

A figure is only ever divided by another of the same round, measured minutes apart at
most: what the machine does to one it then mostly does to the other.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.measurement import FIGURES
from bench.workloads import BASELINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.measurement import Measurement

REFERENCE: Final = "nginx"
"""The peer that all others are divided by."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the least and the most of them."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One workload of one peer over all rounds; keys are those of `FIGURES`."""

    workload: str
    peer: str
    values: dict[str, Spread]
    ratios: dict[str, Spread]
    """To the reference, in the same round."""

    to_baseline: Spread | None
    """CPU per request to that of the baseline workload, same peer and round."""

    void: tuple[str, ...]
    """Why runs did not count."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed (nearest rank)."""
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[min(rank, len(ordered)) - 1]


def spread(values: Iterable[float]) -> Spread | None:
    """Median and range; None without values."""
    known = list(values)
    if not known:
        return None
    return Spread(statistics.median(known), min(known), max(known))


class Runs:
    """All measurements, found by workload, peer and round."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._all = list(measurements)
        self._by_place = {(m.workload, m.peer, m.round): m for m in measurements}

    def summaries(self) -> list[Summary]:
        """One for each workload and peer, in the order of their first runs."""
        places = dict.fromkeys((m.workload, m.peer) for m in self._all)
        return [self._summary(workload, peer) for workload, peer in places]

    def _summary(self, workload: str, peer: str) -> Summary:
        mine = [m for m in self._all if (m.workload, m.peer) == (workload, peer)]
        values, ratios = {}, {}
        for figure in FIGURES:
            key = figure.key
            known = [m.figures[key] for m in mine if key in m.figures]
            if found := spread(known):
                values[key] = found
            if found := spread(self.ratios(mine, key, peer=REFERENCE)):
                ratios[key] = found
        baseline = BASELINES.get(workload)
        return Summary(
            workload,
            peer,
            values,
            ratios,
            spread(self.ratios(mine, "cpu_us", workload=baseline))
            if baseline
            else None,
            tuple(m.void for m in mine if m.void),
        )

    def ratios(
        self,
        mine: Iterable[Measurement],
        key: str,
        *,
        peer: str | None = None,
        workload: str | None = None,
    ) -> list[float]:
        """Each run's figure divided by another peer's or workload's of its round."""
        found = []
        for run in mine:
            place = (workload or run.workload, peer or run.peer, run.round)
            other = self._by_place.get(place)
            if other and key in run.figures and other.figures.get(key, 0) > 0:
                found.append(run.figures[key] / other.figures[key])
        return found
