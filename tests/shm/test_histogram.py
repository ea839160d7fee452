"""Latency histograms: how near they are to the truth, and that they only add up."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.shm.histogram import (
    BOUNDS,
    BUCKETS,
    MAX_ERROR,
    VALUES,
    Histogram,
    bounds_of,
    bucket_of,
)

LOW, HIGH = BOUNDS[0], BOUNDS[-1]
IN_RANGE = st.one_of(
    st.floats(LOW, HIGH, exclude_max=True),
    st.integers(-14 * 64, 7 * 64 - 1).map(lambda n: max(LOW, 2.0 ** (n / 64))),
    st.sampled_from(BOUNDS[:-1]),
)
ANY = st.one_of(IN_RANGE, st.floats(0, 1e9))
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))


def test_range_and_size_are_what_the_format_says() -> None:
    """61 us to 128 s in 212 buckets, each at most 5 % off."""
    assert (LOW, HIGH) == (2.0**-14, 128.0)
    assert BUCKETS == 212
    assert MAX_ERROR < 0.05


def test_bounds_rise() -> None:
    """And neighbours meet, so that every time has one bucket."""
    assert all(a < b for a, b in pairwise(BOUNDS))
    assert all(a < b for a, b in pairwise(VALUES[1:-1]))
    edges = [bounds_of(bucket) for bucket in range(BUCKETS)]
    assert edges[0][0] == 0.0
    assert edges[-1][1] == inf
    assert all(a[1] == b[0] for a, b in pairwise(edges))


@given(ANY)
def test_a_time_lies_within_its_buckets_bounds(seconds: float) -> None:
    """Also on a bound, below all and above all."""
    low, high = bounds_of(bucket_of(seconds))
    assert low <= seconds < high


@given(IN_RANGE)
def test_a_bucket_knows_its_times_within_the_error(seconds: float) -> None:
    """Of the time itself."""
    value = VALUES[bucket_of(seconds)]
    assert abs(value - seconds) <= MAX_ERROR * seconds * (1 + 1e-9)


@given(ANY, ANY)
def test_a_longer_time_is_in_no_lower_bucket(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert bucket_of(low) <= bucket_of(high)


@given(st.lists(IN_RANGE, min_size=1, max_size=200), SHARES)
def test_a_quantile_is_within_the_error_of_the_exact_one(
    times: list[float], share: float
) -> None:
    """Whatever the distribution."""
    exact = sorted(times)[max(1, ceil(share * len(times))) - 1]
    found = Histogram.of(times).quantile(share)
    assert abs(found - exact) <= MAX_ERROR * exact * (1 + 1e-9)


@given(st.lists(ANY, max_size=50), st.lists(SHARES, min_size=2, max_size=5))
def test_quantiles_do_not_fall(times: list[float], shares: list[float]) -> None:
    found = [Histogram.of(times).quantile(share) for share in sorted(shares)]
    assert found == sorted(found)


@given(st.lists(ANY, max_size=50), st.lists(ANY, max_size=50))
def test_a_sum_of_histograms_is_the_histogram_of_all(
    one: list[float], two: list[float]
) -> None:
    """So processes and backends can be added up."""
    both, whole = Histogram.of(one) + Histogram.of(two), Histogram.of([*one, *two])
    assert list(both.counts) == list(whole.counts)
    assert both.count == len(one) + len(two)
    assert both.sum_s == pytest.approx(whole.sum_s)


@given(
    st.lists(ANY, max_size=100),
    st.lists(st.floats(1e-5, 1e3), min_size=1, max_size=14, unique=True),
)
def test_cumulative_counts_are_right_but_for_times_near_a_bound(
    times: list[float], bounds: list[float]
) -> None:
    """They rise to the count, and err only by what lies within the error."""
    bounds = sorted(bounds)
    ordered = sorted(times)
    found = Histogram.of(times).cumulative((*bounds, inf))
    assert found == sorted(found)
    assert found[-1] == len(times)
    for bound, count in zip(bounds, found, strict=False):
        if LOW < bound < HIGH:
            slack = MAX_ERROR * 1.001
            assert count >= bisect_right(ordered, bound * (1 - slack))
            assert count <= bisect_right(ordered, bound / (1 - slack))


def test_no_times_have_no_quantiles() -> None:
    """And none of them was up to anything."""
    assert Histogram().quantile(0.99) == 0.0
    assert Histogram().cumulative((1.0, inf)) == [0, 0]
    assert Histogram().count == 0


@pytest.mark.parametrize(("seconds", "told"), [(1e-6, LOW), (0.0, LOW), (500.0, HIGH)])
def test_a_time_out_of_range_is_told_as_the_nearest_bound(
    seconds: float, told: float
) -> None:
    """Never as something that it may not have been beyond the range."""
    assert Histogram.of([seconds]).quantile(0.5) == told
