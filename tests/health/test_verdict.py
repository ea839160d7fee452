"""The state machine: histories of probes in, transitions out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.health.verdict import HealthState, Transition
from lb.model import Verdict

RISE, FALL = 2, 3


def replay(history: str, state: HealthState) -> str:
    """A letter for each probe: U or D for a transition, `?` in doubt, `.` quiet."""
    out = ""
    for letter in history:
        transition = state.record(letter == "+")
        quiet = "?" if state.in_doubt else "."
        out += transition.after.name[0] if transition else quiet
    return out


@pytest.mark.parametrize(
    ("start", "history", "expected"),
    [
        (Verdict.UNKNOWN, "+", "U"),
        (Verdict.UNKNOWN, "---", "??D"),
        (Verdict.UNKNOWN, "--+", "??U"),
        (Verdict.UP, "+++", "..."),
        (Verdict.UP, "---", "??D"),
        (Verdict.UP, "--+--+", "??.??."),
        (Verdict.UP, "-----", "??D.."),
        (Verdict.DOWN, "--", ".."),
        (Verdict.DOWN, "++", "?U"),
        (Verdict.DOWN, "+-+-++", "?.?.?U"),
        (Verdict.UP, "---++---", "??D?U??D"),
    ],
)
def test_histories(start: Verdict, history: str, expected: str) -> None:
    """Each row is one history of probes and what followed from each."""
    assert replay(history, HealthState(start, rise=RISE, fall=FALL)) == expected


def test_unknown_with_a_break_counts_failures_in_a_row_only() -> None:
    """From UNKNOWN one success decides, so failures are always in a row."""
    state = HealthState(rise=RISE, fall=1)
    assert state.record(False) == Transition(Verdict.UNKNOWN, Verdict.DOWN, 1)


def test_a_transition_tells_its_streak() -> None:
    """So many probes in a row made it."""
    state = HealthState(Verdict.UP, rise=RISE, fall=FALL)
    transitions = [state.record(False) for _ in range(FALL)]
    assert transitions[-1] == Transition(Verdict.UP, Verdict.DOWN, FALL)
    assert "DOWN" in repr(state)


@given(
    st.sampled_from(Verdict),
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_a_verdict_changes_after_exactly_enough_in_a_row(
    start: Verdict, history: list[bool], rise: int, fall: int
) -> None:
    """Against a plain reading of the rule: look back at the last n results."""
    state = HealthState(start, rise=rise, fall=fall)
    since: list[bool] = []
    for ok in history:
        before = state.verdict
        since.append(ok)
        needed = fall if not ok else rise if before is Verdict.DOWN else 1
        says = Verdict.UP if ok else Verdict.DOWN
        enough = len(since) >= needed and all(r is ok for r in since[-needed:])
        transition = state.record(ok)
        if says is not before and enough:
            assert transition == Transition(before, says, needed)
            assert state.verdict is says
            since.clear()
        else:
            assert transition is None
            assert state.verdict is before
