"""The plan of a soak: made of its seed alone, and never more than the balancer bears."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trials.plan import (
    ALL_DOWN,
    FAULTS,
    LAST_S,
    OPERATOR,
    PROCESSES,
    WARM_UP_S,
    make_plan,
)

NAMES = ("one", "two", "three", "four")
FAILING = {deed.name for deed in FAULTS}
KNOWN = FAILING | {ALL_DOWN.name} | {deed.name for deed in (*PROCESSES, *OPERATOR)}


def test_the_same_seed_makes_the_same_plan() -> None:
    assert make_plan(7, 600, NAMES) == make_plan(7, 600, NAMES)
    assert make_plan(7, 600, NAMES) != make_plan(8, 600, NAMES)


def test_an_hour_has_everything_in_it() -> None:
    assert {step.deed for step in make_plan(1, 3600, NAMES)} == KNOWN


def test_a_longer_plan_goes_on_from_the_shorter_one() -> None:
    short, long = make_plan(3, 60, NAMES), make_plan(3, 120, NAMES)
    assert long[: len(short)] == short


@given(seed=st.integers(0, 10**6))
def test_two_backends_at_most_fail_at_a_time(seed: int) -> None:
    """Never the same one twice, and each within the time of the soak."""
    faults = [step for step in make_plan(seed, 300, NAMES) if step.deed in FAILING]
    for step in faults:
        others = [
            each.target for each in faults if each.at_s <= step.at_s < each.until_s
        ]
        assert len(others) == len(set(others)) <= 2
        assert step.at_s >= WARM_UP_S
        assert step.until_s <= 300
        assert step.lasts_s <= LAST_S


@given(seed=st.integers(0, 10**6))
def test_when_all_are_killed_nobody_fails_besides(seed: int) -> None:
    steps = make_plan(seed, 600, NAMES)
    for all_down in (step for step in steps if step.deed == ALL_DOWN.name):
        for step in steps:
            if step.deed in FAILING:
                is_before = step.until_s < all_down.at_s
                assert is_before or step.at_s > all_down.until_s
