"""Ejection: histories of faults, probes and time in, decisions out."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lb.health.ejection import Ejection, EjectionRules, Heard, Others, refusal
from lb.shm import Cause, Memory

RULES = EjectionRules(failures=5, time_s=30.0, time_max_s=300.0, share=50)


def heard(
    faults: int, good: int | None = 0, *, connects: int = 0, spoiled: int = 0
) -> Heard:
    """Faults of which one worker saw none in a row but the last."""
    return Heard(faults, good, connects, spoiled, streak=1)


@pytest.mark.parametrize(
    ("looks", "asked"),
    [
        ([(5, 0)], [True]),
        ([(4, 0)], [False]),
        ([(2, 0), (2, 0), (1, 0)], [False, False, True]),
        ([(4, 0), (1, 3), (3, 0)], [False, False, False]),
        ([(4, 0), (1, 3), (4, 0)], [False, False, True]),
        ([(9, 2)], [False]),
    ],
)
def test_faults_in_a_row_ask_for_an_ejection(
    looks: list[tuple[int, int]], asked: list[bool]
) -> None:
    """Each look is (faults, good responses since the last look with faults)."""
    state = Ejection(RULES)
    assert [state.hear(heard(*look)) for look in looks] == asked


def test_what_one_worker_saw_in_a_row_counts_though_others_did_well() -> None:
    """With many good responses between, only a worker knows its own order."""
    state = Ejection(RULES)
    assert state.hear(Heard(7, 90, 0, 0, streak=5))


def test_at_the_first_look_only_a_streak_is_believed() -> None:
    """Nobody knows what came between faults that are all new."""
    assert not Ejection(RULES).hear(Heard(9, None, 0, 0, streak=4))
    assert Ejection(RULES).hear(Heard(9, None, 0, 0, streak=5))


def test_a_streak_from_before_an_ejection_does_not_eject_again() -> None:
    """Readmitted, it begins anew: one fault is one fault."""
    state = Ejection(RULES)
    assert state.hear(Heard(5, 0, 5, 0, streak=5))
    state.eject(100.0)
    assert state.probed(True, 101.0)
    assert not state.hear(Heard(1, 0, 0, 0, streak=6))
    assert not state.hear(Heard(3, 0, 0, 0, streak=9))
    assert state.hear(Heard(1, 0, 0, 0, streak=10))


def test_zero_failures_never_eject() -> None:
    """The setting switches it off."""
    assert not Ejection(EjectionRules(failures=0)).hear(heard(1000))


def test_the_time_grows_with_the_count_to_a_cap() -> None:
    """30 s x n, at most 300 s, as long as it comes back at once."""
    state, now, times = Ejection(RULES), 0.0, []
    for _ in range(12):
        until = state.eject(now)
        times.append(until - now)
        assert not state.tick(until - 0.001)
        assert state.tick(until)
        now = until
    assert times == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]


def test_the_count_falls_while_it_does_well() -> None:
    """By one for each `time` that it is in."""
    state = Ejection(RULES)
    for _ in range(3):
        assert state.tick(state.eject(0.0))
    assert state.count == 3
    state.eject(state.until + 65.0)  # two times 30 s
    assert state.count == 2
    state.tick(state.until)
    state.eject(state.until + 1e6)
    assert state.count == 1


@pytest.mark.parametrize(
    ("connects", "spoiled", "history", "readmits"),
    [
        (5, 0, "+", [True]),
        (1, 0, "+", [True]),
        (1, 4, "+", [True]),  # it died amid bodies, and refuses since
        (0, 0, "+", [True]),
        (0, 5, "+", [False]),
        (0, 5, "-+", [False, True]),  # it was restarted: the probe saw it down
        (0, 0, "-+", [False, True]),
    ],
)
def test_which_probe_readmits(
    connects: int, spoiled: int, history: str, readmits: list[bool]
) -> None:
    """The truth table of the module."""
    state = Ejection(RULES)
    state.hear(Heard(5, 0, connects, spoiled, 5))
    state.eject(0.0)
    assert [state.probed(p == "+", 1.0) for p in history] == readmits


def test_a_probe_that_passed_while_answers_failed_is_believed_once() -> None:
    """It cannot see what fails: the next time, the time counts."""
    state = Ejection(RULES)
    for readmits in (True, False):
        state.hear(heard(5))
        state.eject(0.0)
        assert state.cause is Cause.ANSWER
        assert state.probed(True, 1.0) is readmits
    assert state.tick(60.0)


def test_a_rising_verdict_readmits_whatever_the_cause() -> None:
    """A backend that was DOWN and came UP is another one."""
    state = Ejection(RULES)
    state.hear(heard(5, spoiled=5))
    state.eject(0.0)
    assert state.came_up(3.0)
    assert not state.is_out


def test_the_next_leader_goes_on() -> None:
    """With the count, the time and the cause."""
    state = Ejection(RULES)
    memory = Memory(
        ejections=2, ejected_at=10.0, ejected_until=70.0, cause=Cause.BODY, why="x"
    )
    state.resume(memory, is_out=True)
    assert not state.probed(True, 20.0)
    assert not state.tick(69.0)
    assert state.tick(70.0)
    assert state.eject(71.0) == 71.0 + 90.0


def test_a_clock_that_is_set_back_keeps_nobody_out_for_long() -> None:
    """What would be longer than the cap is over."""
    state = Ejection(RULES)
    state.eject(1_000_000.0)
    assert state.tick(10.0)


@pytest.mark.parametrize(
    ("others", "panic", "why"),
    [
        (Others(2, 2, 2, 0), 50, ""),
        (Others(1, 1, 1, 0), 50, "it is the last one available"),
        (Others(3, 2, 1, 1), 50, "it is the last one available"),
        (Others(3, 3, 2, 1), 50, "1 of 3 are ejected already"),
        (Others(4, 4, 3, 1), 50, ""),
        (Others(4, 4, 2, 2), 50, "2 of 4 are ejected already"),
        (Others(4, 4, 2, 0), 50, "it would bring on panic"),
        (Others(4, 4, 2, 0), 0, ""),
        (Others(4, 2, 2, 0), 50, ""),  # two are gone, and nobody waits for them
        (Others(2, 2, 2, 0), 60, "it would bring on panic"),
    ],
)
def test_who_may_be_ejected(others: Others, panic: int, why: str) -> None:
    """Never the last one, never more than the share, never into panic."""
    assert refusal(others, RULES, panic) == why


NAMES = st.integers(0, 5)


class ASet(RuleBasedStateMachine):
    """A set of six under everything that can happen to it, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.members = [Ejection(RULES) for _ in range(6)]
        self.down: set[int] = set()

    def others(self) -> Others:
        out = {i for i, m in enumerate(self.members) if m.is_out}
        available = len(set(range(6)) - out - self.down)
        return Others(6, 6, available, len(out))

    @rule(who=NAMES, faults=st.integers(1, 20), good=st.none() | st.integers(0, 2))
    def fail(self, who: int, faults: int, good: int | None) -> None:
        member = self.members[who]
        asks = member.hear(Heard(faults, good, 0, faults % 2, streak=faults))
        if asks and who not in self.down and not refusal(self.others(), RULES, 0):
            before = self.others()
            until = member.eject(self.now)
            assert before.available > 1
            assert self.now < until <= self.now + RULES.time_max_s

    @rule(who=NAMES, ok=st.booleans())
    def probe(self, who: int, ok: bool) -> None:
        self.members[who].probed(ok, self.now)

    @rule(who=NAMES)
    def fall(self, who: int) -> None:
        self.down.add(who)

    @rule(who=NAMES)
    def rise(self, who: int) -> None:
        self.down.discard(who)
        self.members[who].came_up(self.now)
        assert not self.members[who].is_out

    @rule(passes_s=st.floats(0.0, 400.0))
    def wait(self, passes_s: float) -> None:
        self.now += passes_s
        for member in self.members:
            member.tick(self.now)

    @precondition(lambda self: any(m.is_out for m in self.members))
    @rule()
    def wait_for_all(self) -> None:
        """No state is reached that nothing leaves: time alone readmits everybody."""
        self.now += RULES.time_max_s
        assert all(m.tick(self.now) for m in self.members if m.is_out)

    @invariant()
    def never_over_the_share_nor_the_last(self) -> None:
        out = sum(m.is_out for m in self.members)
        assert out <= 3
        assert all(m.until <= self.now + RULES.time_max_s for m in self.members)
        if not self.down:
            assert out < len(self.members)


TestASet = ASet.TestCase
TestASet.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
