"""Candidates, loads and a clock for tests of policies: plain values, set by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from lb.balance.ask import NO_ASK, Ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lb.balance.policy import Policy

_ids = count(1)


@dataclass(eq=False)
class One:
    """A candidate; its weight may be changed."""

    name: str
    weight: int = 1

    def __post_init__(self) -> None:
        self.id = next(_ids)


class SetLoads:
    """Loads as a test sets them, by name; `looks` counts what was looked at."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.times_s: defaultdict[str, float] = defaultdict(float)
        self.looks = 0

    def in_flight(self, candidate: One) -> int:
        self.looks += 1
        return self.counts[candidate.name]

    def in_flight_of(self, candidates: Sequence[One]) -> Sequence[int]:
        self.looks += len(candidates)
        return [self.counts[c.name] for c in candidates]

    def head_time_s(self, candidate: One) -> float:
        return self.times_s[candidate.name]


class SetClock:
    """A clock that goes as far as it is told, and by `step_s` for each look at it."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def make(**weights: int) -> list[One]:
    return [One(name, weight) for name, weight in weights.items()]


def numbered(weights: Iterable[int]) -> list[One]:
    return [
        One(f"10.0.{i // 250}.{i % 250}:8080", weight)
        for i, weight in enumerate(weights)
    ]


def shares(policy: Policy[One], turns: int, ask: Ask = NO_ASK) -> dict[str, float]:
    """What part of `turns` choices each candidate got."""
    counts = Counter(policy.choose(ask).name for _ in range(turns))
    return {name: times / turns for name, times in counts.items()}


def as_weights(candidates: Sequence[One]) -> dict[str, float]:
    total = sum(c.weight for c in candidates)
    return {c.name: c.weight / total for c in candidates}


def near(expected: dict[str, float], *, off_by: float = 0.01) -> Any:
    """Equal to shares that differ from these by 0.01 at most, of 1 in all."""
    import pytest

    return pytest.approx(expected, abs=off_by)
