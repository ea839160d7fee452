"""Medians, spreads, and ratios that are taken only within a round."""

from __future__ import annotations

import pytest

from bench.figures import Runs, Spread, percentile, spread
from tests.bench.runs import run, void


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    """The nearest rank, never something between two values."""
    assert percentile(range(1, 101), share) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.999) == 7.0


def test_a_spread_is_median_least_and_most() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([]) is None


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which everything is twice as slow leaves the ratio as it was."""
    runs = [
        run("evenhand", 1, 15),
        run("nginx", 1, 10),
        run("evenhand", 2, 30),
        run("nginx", 2, 20),
    ]
    summary = Runs(runs).summaries()[0]
    assert summary.ratios["cpu_us"] == Spread(1.5, 1.5, 1.5)
    assert summary.values["cpu_us"] == Spread(22.5, 15, 30)


def test_a_void_run_is_in_no_figure() -> None:
    """Its reason is kept; a round without the reference has no ratio."""
    runs = [
        run("evenhand", 1, 15),
        void("nginx", 1, "errors"),
        void("evenhand", 2, "a wrong body"),
        run("nginx", 2, 10),
        run("evenhand", 3, 20),
        run("nginx", 3, 10),
    ]
    evenhand, nginx = Runs(runs).summaries()
    assert evenhand.values["cpu_us"] == Spread(17.5, 15, 20)
    assert evenhand.ratios["cpu_us"] == Spread(2.0, 2.0, 2.0)
    assert evenhand.void == ("a wrong body",)
    assert nginx.void == ("errors",)


def test_many_backends_are_compared_with_few_of_the_same_peer() -> None:
    runs = [
        run("evenhand", 1, 20, "backends-2"),
        run("evenhand", 1, 21, "backends-2000"),
        run("nginx", 1, 10, "backends-2"),
        run("nginx", 1, 15, "backends-2000"),
    ]
    found = {(s.workload, s.peer): s.to_baseline for s in Runs(runs).summaries()}
    assert found["backends-2000", "evenhand"] == Spread(1.05, 1.05, 1.05)
    assert found["backends-2000", "nginx"] == Spread(1.5, 1.5, 1.5)
    assert found["backends-2", "nginx"] is None
