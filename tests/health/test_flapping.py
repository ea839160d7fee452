"""Flap damping: histories of changes in, times held down out."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lb.health.flapping import Flapping, FlapRules
from lb.health.verdict import HealthState
from lb.model import Verdict
from lb.shm import Memory

RULES = FlapRules(changes=6, window_s=60.0, hold_s=10.0, hold_max_s=160.0)


def held_for(state: Flapping, now: float) -> float:
    return max(0.0, state.until - now)


def test_few_changes_hold_nobody() -> None:
    """Two falls and rises, as in any deployment."""
    state = Flapping(RULES)
    for at in (0.0, 20.0):
        assert not state.fell(at)
        state.rose(at + 5.0)
    assert state.changes(25.0) == 4
    assert not state.is_held(25.0)


def test_the_sixth_change_holds_and_each_further_fall_doubles() -> None:
    """10 s, 20, 40, 80, 160, 160, as long as it falls soon after each."""
    state, now, times = Flapping(RULES), 0.0, []
    for _ in range(9):
        state.fell(now)
        times.append(held_for(state, now))
        now = max(now, state.until) + 1.0
        state.rose(now)
        now += 1.0
    # The sixth change is a rise: the fall behind it is the first that is held.
    assert times == [0, 0, 0, 10, 20, 40, 80, 160, 160]


def test_a_quiet_window_forgets_the_doubling() -> None:
    """A fall long after the last hold is one like any other."""
    state = Flapping(RULES)
    for at in range(0, 14, 2):
        state.fell(at)
        state.rose(at + 1.0)
    assert state.holds == 4
    assert not state.fell(state.until + 61.0)
    assert state.holds == 0


def test_held_down_it_comes_up_with_the_first_passing_probe_after() -> None:
    """If enough have passed by then; one that failed between begins the row anew."""
    health = HealthState(Verdict.DOWN, rise=2, fall=3)
    held = [True, True, True, False]
    assert [health.record(True, is_held=h) is not None for h in held] == [
        False, False, False, True,
    ]  # fmt: skip
    health = HealthState(Verdict.DOWN, rise=2, fall=3)
    history = [(True, True), (True, True), (False, True), (True, False), (True, False)]
    assert [health.record(ok, is_held=h) is not None for ok, h in history] == [
        False, False, False, False, True,
    ]  # fmt: skip


def test_zero_changes_never_hold() -> None:
    """The setting switches it off."""
    state = Flapping(FlapRules(changes=0))
    assert not any(state.fell(float(at)) for at in range(100))


@pytest.mark.parametrize("now", [0.0, 5.0, 1e6])
def test_the_next_leader_goes_on(now: float) -> None:
    """With the hold, and the changes as if they were of now."""
    state = Flapping(RULES)
    state.resume(Memory(held_until=now + 9.0, holds=1, changes=5), now)
    assert state.is_held(now + 8.0)
    assert not state.is_held(now + 9.0)
    assert state.fell(now + 12.0)
    assert held_for(state, now + 12.0) == 20.0


class ABackend(RuleBasedStateMachine):
    """Probes of any kind at any time, over a clock that may be set back."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1e6
        self.health = HealthState(Verdict.UP, rise=2, fall=3)
        self.flapping = Flapping(RULES)

    @rule(ok=st.booleans(), times=st.integers(1, 4), gap_s=st.floats(0.1, 5.0))
    def probe(self, ok: bool, times: int, gap_s: float) -> None:
        for _ in range(times):
            self.now += gap_s
            is_held = self.flapping.is_held(self.now)
            change = self.health.record(ok, is_held=is_held)
            if change is None:
                continue
            assert not (is_held and change.after is Verdict.UP)
            if change.after is Verdict.DOWN:
                self.flapping.fell(self.now)
            else:
                self.flapping.rose(self.now)

    @rule(passes_s=st.floats(0.0, 200.0))
    def wait(self, passes_s: float) -> None:
        self.now += passes_s

    @rule(back_s=st.floats(0.0, 1e5))
    def set_the_clock_back(self, back_s: float) -> None:
        self.now -= back_s

    @precondition(lambda self: self.health.verdict is Verdict.DOWN)
    @rule()
    def get_well(self) -> None:
        """No state is reached that nothing leaves: passing probes bring it back."""
        self.now += RULES.hold_max_s
        for _ in range(2):
            is_held = self.flapping.is_held(self.now)
            if change := self.health.record(True, is_held=is_held):
                self.flapping.rose(self.now)
                assert change.after is Verdict.UP
        assert self.health.verdict is Verdict.UP

    @invariant()
    def held_for_no_longer_than_the_cap(self) -> None:
        if self.flapping.is_held(self.now):
            assert held_for(self.flapping, self.now) <= RULES.hold_max_s


TestABackend = ABackend.TestCase
TestABackend.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
