"""All machines of one backend together: histories in, standings and words out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lb.health.ejection import Heard
from lb.health.outlook import outlook
from lb.health.watched import Watched
from lb.model import Address, Backend, Verdict, Wish
from lb.shm import BackendState, ProbeRecord, Standing
from tests.health.conftest import Quick, QuickEject, QuickFlap

if TYPE_CHECKING:
    from lb.shm import Memory

RULES = Quick(
    interval=2.0,
    fast_interval=0.5,
    slow_start=10.0,
    eject=QuickEject(time=30.0, time_max=300.0),
    flap=QuickFlap(changes=6, window=60.0, hold=10.0, hold_max=160.0),
)
FIVE = Heard(5, 0, 0, 0, 5)


class Clock:
    """A backend that is watched, and the time."""

    def __init__(self, verdict: Verdict = Verdict.UP, rules: Quick = RULES) -> None:
        self.now = 1000.0
        self.rules = rules
        self.probes: list[ProbeRecord] = []
        self.watched = Watched(state(Standing(verdict)), rules, self.now)

    def probe(self, history: str, *, asked: int | None = None) -> list[str]:
        """`+` passed, `-` failed, `x` not even connected; half a second each."""
        told: list[str] = []
        for letter in history:
            self.now += 0.5
            ok, connect_s = letter == "+", -1.0 if letter == "x" else 0.001
            detail = "connected" if ok else "it failed"
            probe = ProbeRecord(self.now, 0.002, ok, detail, connect_s, asked=asked)
            self.probes.append(probe)
            told += self.watched.probed(probe)
        return told

    def wait(self, seconds: float) -> list[str]:
        self.now += seconds
        return self.watched.tick(self.now)

    def standing(self) -> Standing:
        return self.watched.standing(self.now)

    def outlook(self) -> list[str]:
        watched = self.watched
        seen = replace(
            watched.known,
            verdict=self.standing().verdict,
            standing=self.standing(),
            memory=watched.memory(self.now),
            probes=tuple(self.probes[-10:]),
        )
        return outlook(seen, self.rules, self.now)


def state(standing: Standing, memory: Memory | None = None) -> BackendState:
    backend = Backend("web", Address("127.0.0.1", 9))
    found = BackendState(
        0, 1, backend, standing.verdict, 1000.0, "", Wish.READY, (), standing=standing
    )
    return found if memory is None else replace(found, memory=memory)


def test_an_ejection_is_a_state_beside_the_verdict() -> None:
    """With its count, its end and its reason, and then it begins slowly."""
    clock = Clock()
    assert clock.watched.heard(FIVE)
    (told,) = clock.watched.eject(clock.now)
    assert told == (
        "is EJECTED for 30 s, the 1st time lately: 5 failures in a row: no good answers"
    )
    assert clock.standing() == Standing(Verdict.UP, is_ejected=True)
    assert clock.outlook()[1] == "or with its next passing check, in 0.0 s"
    assert clock.probe("+") == ["is readmitted after 0.5 s: a check passed"]
    assert clock.standing() == Standing(Verdict.UP, share=10)
    clock.wait(5.0)
    assert clock.standing().share == 60
    assert clock.outlook() == ["it came back: 60 % of its weight, all of it in 5.0 s"]
    clock.wait(5.0)
    assert clock.standing() == Standing(Verdict.UP)
    assert clock.outlook() == []


def test_bodies_that_end_too_early_are_over_with_the_time() -> None:
    """No probe sees them."""
    clock = Clock()
    assert clock.watched.heard(Heard(5, 0, 0, 5, 5))
    clock.watched.eject(clock.now)
    assert clock.probe("+++") == []
    assert clock.outlook()[1].startswith("a passing check does not end that")
    assert clock.wait(28.0) == []
    assert clock.wait(1.0) == ["is readmitted after 30 s: its time is over"]


def test_a_probe_that_began_before_the_ejection_says_nothing() -> None:
    """It may have passed while the backend was still well."""
    clock = Clock()
    clock.watched.heard(FIVE)
    clock.watched.eject(clock.now)
    early = ProbeRecord(clock.now + 0.1, 0.2, True, "connected", 0.2)
    assert clock.watched.probed(early) == []
    assert clock.watched.ejection.is_out


def test_a_refusal_is_told_once() -> None:
    """As long as nothing else is."""
    watched = Clock().watched
    assert watched.refuse("it is the last one available") == [
        "is not ejected after 5 failures in a row: it is the last one available"
    ]
    assert watched.refuse("it is the last one available") == []


def test_who_is_down_already_is_not_ejected() -> None:
    """There is nothing to take out."""
    assert not Clock(Verdict.DOWN).watched.heard(FIVE)


@pytest.mark.parametrize(
    ("history", "is_gone"), [("xxx", True), ("---", False), ("xx-", False)]
)
def test_who_cannot_be_connected_to_is_gone(history: str, is_gone: bool) -> None:
    """The last probe decides; so does the first that connects again."""
    clock = Clock()
    clock.probe(history)
    assert clock.standing() == Standing(Verdict.DOWN, is_gone=is_gone)
    assert clock.watched.is_judged is not is_gone
    clock.probe("-")
    assert clock.standing() == Standing(Verdict.DOWN)


def test_a_lost_connect_of_one_that_is_up_changes_nothing() -> None:
    """No worker is told to look."""
    clock = Clock()
    clock.probe("x")
    assert clock.standing() == Standing(Verdict.UP)


def test_flapping_is_held_down_and_said() -> None:
    """Its reason says so, and its outlook until when."""
    clock = Clock(rules=replace(RULES, slow_start=0.0))
    for _ in range(3):
        clock.probe("---++")
    told = clock.probe("---")
    assert told[0].endswith(
        ", and held down for 10 s, the 1st time in a row: it changes often"
    )
    assert clock.watched.reason.endswith("it changes often, and is held down for 10 s")
    assert clock.probe("++++") == []
    assert clock.outlook() == [
        "1 passing check (4 so far) bring it back, in 0.5 s at the soonest",
        "it is held down for 8.0 s more, as its verdict changed 6 times within 60 s"
        " (the 1st hold in a row)",
    ]
    clock.wait(8.0)
    (told_up,) = clock.probe("+")
    assert told_up.startswith("is UP: ")


def test_what_it_asks_for_is_multiplied_with_its_slow_start() -> None:
    """And 0 takes it out, though it is up."""
    clock = Clock(Verdict.DOWN)
    clock.probe("++", asked=50)
    assert clock.standing() == Standing(Verdict.UP, share=5)
    clock.wait(10.0)
    assert clock.standing().share == 50
    assert clock.probe("+", asked=0) == ["asks for no requests"]
    assert clock.standing().share == 0
    assert not clock.watched.is_wanted
    assert clock.probe("+") == ["asks for 100 % of its weight"]
    assert clock.standing() == Standing(Verdict.UP)


def test_at_the_start_nobody_begins_slowly() -> None:
    """A first verdict is no recovery."""
    clock = Clock(Verdict.UNKNOWN)
    clock.probe("+")
    assert clock.standing() == Standing(Verdict.UP)


def test_the_next_leader_goes_on_where_this_one_stood() -> None:
    """Ejected, warming up and held: all of it is in the file."""
    clock = Clock()
    clock.watched.heard(FIVE)
    clock.watched.eject(clock.now)
    clock.wait(12.0)
    memory = clock.watched.memory(clock.now)
    again = Watched(state(clock.standing(), memory), RULES, clock.now)
    assert again.standing(clock.now) == clock.standing()
    assert again.memory(clock.now) == memory
    assert again.tick(clock.now + 18.0)
    later = clock.now + 20.0
    third = Watched(state(again.standing(later), again.memory(later)), RULES, later)
    assert third.standing(later).share == again.standing(later).share == 30
