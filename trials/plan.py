"""What goes wrong in a soak, and when: a list made of a seed, and of nothing else.

Three stories run at the same time, each with its own gaps: backends fail, processes of
the balancer are killed or told things, and an operator works. At most two of the
backends fail together, so that with three attempts there is always somewhere to go, and
what a client sees of it all is the balancer's doing; or all of them are dead for some
moments, and requests are held.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WARM_UP_S: Final = 3.0
"""Before anything happens, so that there is something to compare with."""

LAST_S: Final = 6.0
"""The longest that a fault lasts; no step is so late that it outlasts the trial."""

RETURN_S: Final = 3.0
"""Until all are there again that were killed together, one after the other."""

SHARED_CHANCE: Final = 0.3
"""How often a backend's fault begins before the one of another has ended."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do at `at_s`, undone `lasts_s` later, in seconds from the start.

    `target` is a backend's name, or nothing; `amount` is a share, a weight or a count.
    """

    at_s: float
    deed: str
    target: str = ""
    lasts_s: float = 0.0
    amount: float = 1.0

    @property
    def until_s(self) -> float:
        """When it is undone."""
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        words = [f"{self.at_s:.1f} s: {self.deed}", self.target]
        if self.lasts_s:
            words.append(f"for {self.lasts_s:.1f} s")
        if self.amount != 1.0:
            words.append(f"x {self.amount:g}")
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that may happen: how often beside the others, and how long it lasts."""

    name: str
    often: float
    lasts_s: tuple[float, float] = (0.0, 0.0)
    amounts: tuple[float, ...] = (1.0,)


FAULTS: Final = (
    Deed("kill", 4, (0.5, 5.0)),
    Deed("stop", 3, (0.5, LAST_S)),
    Deed("reset", 2, (0.5, 4.0), (1.0, 0.5, 0.1)),
    Deed("close", 2, (0.5, 4.0), (1.0, 0.5, 0.1)),
    Deed("garbage", 2, (0.5, 4.0), (1.0, 0.5, 0.1)),
    Deed("busy", 2, (0.5, 4.0), (1.0, 0.5)),
    Deed("half", 1, (0.5, 3.0), (1.0, 0.5, 0.1)),
    Deed("stale", 3, (1.0, LAST_S), (1.0, 0.5)),
    Deed("slow", 2, (1.0, 5.0), (1.0, 0.3)),
    Deed("flap", 2, (2.0, LAST_S)),
)
"""What happens to one backend."""

ALL_DOWN: Final = Deed("kill all", 0, (0.2, 2.0))
ALL_DOWN_CHANCE: Final = 0.05
"""How often it happens to all together instead; requests are held meanwhile."""

PROCESSES: Final = (
    Deed("kill worker", 5),
    Deed("kill checker", 3, (0.5, 4.0)),
    Deed("stop worker", 2, (0.3, 2.0)),
    Deed("stop checker", 1, (0.5, 3.0)),
    Deed("more workers", 2, (1.0, 5.0)),
    Deed("fewer workers", 2, (1.0, 5.0)),
    Deed("reload by signal", 2),
    Deed("reload by command", 2),
)
"""What happens to the balancer's own processes."""

OPERATOR: Final = (
    Deed("drain", 3, (0.5, 4.0)),
    Deed("maint", 2, (0.5, 4.0)),
    Deed("weight", 3, (1.0, 5.0), (2.0, 5.0, 20.0)),
    Deed("add", 2, (1.0, 5.0)),
)
"""What the operator does, and takes back."""


def make_plan(seed: int, length_s: float, backends: Sequence[str]) -> list[Step]:
    """The steps of a soak of that length, by time; the same for the same arguments."""
    stories = (
        _backends(random.Random(f"{seed} backends"), backends),
        _story(random.Random(f"{seed} processes"), PROCESSES, gap_s=(1.5, 9.0)),
        _operator(random.Random(f"{seed} operator"), backends),
    )
    end_s = length_s - LAST_S
    steps = [step for story in stories for step in _until(story, end_s)]
    return sorted(steps, key=lambda step: step.at_s)


def _until(story: Iterator[Step], end_s: float) -> Iterator[Step]:
    for step in story:
        if step.at_s > end_s:
            return
        yield step


def _draw(chance: random.Random, deeds: Sequence[Deed]) -> Deed:
    return chance.choices(deeds, [deed.often for deed in deeds])[0]


def _story(
    chance: random.Random, deeds: Sequence[Deed], *, gap_s: tuple[float, float]
) -> Iterator[Step]:
    """One deed after the other, each undone before the next."""
    at_s = WARM_UP_S
    while True:
        at_s += chance.uniform(*gap_s)
        deed = _draw(chance, deeds)
        step = _step(chance, deed, at_s)
        yield step
        at_s = step.until_s


def _step(chance: random.Random, deed: Deed, at_s: float, target: str = "") -> Step:
    lasts_s = round(chance.uniform(*deed.lasts_s), 2)
    return Step(round(at_s, 2), deed.name, target, lasts_s, chance.choice(deed.amounts))


def _operator(chance: random.Random, backends: Sequence[str]) -> Iterator[Step]:
    for step in _story(chance, OPERATOR, gap_s=(2.0, 9.0)):
        target = "" if step.deed == "add" else chance.choice(backends)
        yield Step(step.at_s, step.deed, target, step.lasts_s, step.amount)


def _backends(chance: random.Random, backends: Sequence[str]) -> Iterator[Step]:
    """Faults of single backends, some of which overlap, never more than two."""
    at_s = WARM_UP_S
    while True:
        at_s += chance.uniform(0.5, 3.0)
        if chance.random() < ALL_DOWN_CHANCE:
            step = _step(chance, ALL_DOWN, at_s)
            yield step
            at_s = step.until_s + RETURN_S
            continue
        first, second = chance.sample(backends, 2)
        step = _step(chance, _draw(chance, FAULTS), at_s, first)
        yield step
        at_s = step.until_s
        if chance.random() < SHARED_CHANCE:
            beside_s = chance.uniform(step.at_s, step.until_s)
            beside = _step(chance, _draw(chance, FAULTS), beside_s, second)
            yield beside
            at_s = max(at_s, beside.until_s)
