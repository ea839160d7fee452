"""Slow start: how much of its weight a backend gets, by its age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.health.slow_start import share_at


@pytest.mark.parametrize(
    ("age_s", "share"),
    [(0, 10), (2.9, 10), (3.0, 20), (10, 40), (15, 60), (29.9, 90), (30, 100)],
)
def test_it_grows_in_steps_of_ten(age_s: float, share: int) -> None:
    """From 10 to 100 percent in 30 s."""
    assert share_at(age_s, 30.0) == share


def test_without_a_time_all_of_it_at_once() -> None:
    """0 switches it off."""
    assert share_at(0.0, 0.0) == 100


@given(st.floats(0.001, 86400), st.lists(st.floats(-10, 90000), max_size=30))
def test_it_never_falls_and_is_whole_in_the_end(
    whole_s: float, ages: list[float]
) -> None:
    """Also with a clock that is set back: nobody stays small."""
    shares = [share_at(age, whole_s) for age in sorted(a for a in ages if a >= 0)]
    assert shares == sorted(shares)
    assert all(10 <= s <= 100 and s % 10 == 0 for s in shares)
    assert share_at(whole_s, whole_s) == 100
    assert share_at(-1.0, whole_s) == 100


@given(st.floats(0.001, 60))
def test_no_step_is_shorter_than_half_a_second(whole_s: float) -> None:
    """Each makes every worker build its view anew."""
    ages = [n * 0.05 for n in range(int(whole_s / 0.05))]
    steps = len({share_at(age, whole_s) for age in ages})
    assert steps <= max(1, whole_s / 0.5)
