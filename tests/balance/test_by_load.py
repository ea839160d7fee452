"""Policies by chance and by load: their shares against their definitions."""

from __future__ import annotations

import random
from collections import Counter
from itertools import cycle, islice, permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.balance.ask import NO_ASK
from lb.balance.draw import Draw
from lb.balance.least_requests import FEW, LeastRequests
from lb.balance.least_time import HALF_LIFE_S, LeastTime
from lb.balance.options import PolicyOptions
from lb.balance.policy import NoLoads
from lb.balance.power_of_two import PowerOfTwo
from lb.balance.rank import rank
from lb.balance.registry import make_policy
from lb.balance.weighted_random import WeightedRandom
from tests.balance.scene import (
    One,
    SetClock,
    SetLoads,
    as_weights,
    make,
    near,
    numbered,
    shares,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.balance.policy import Policy

TURNS = 60_000
"""Enough for a share of 0.5 to be within 0.01 in all but 1 of 10^6 runs."""

WEIGHTS = {
    "equal": {"a": 1, "b": 1, "c": 1},
    "unequal": {"a": 5, "b": 3, "c": 2},
    "two": {"a": 3, "b": 1},
    "far apart": {"a": 256, "b": 1, "c": 20},
}


def least_requests(loads: SetLoads, seed: int = 1) -> LeastRequests[One]:
    return LeastRequests(loads, clock=SetClock(), chance=random.Random(seed))


def least_time(loads: SetLoads, clock: SetClock | None = None) -> LeastTime[One]:
    return LeastTime(loads, clock=clock or SetClock(), chance=random.Random(1))


def power_of_two(loads: SetLoads) -> PowerOfTwo[One]:
    return PowerOfTwo(loads, random.Random(1))


MAKERS: dict[str, Callable[[SetLoads], Policy[One]]] = {
    "random": lambda _: WeightedRandom(random.Random(1)),
    "least_requests": least_requests,
    "power_of_two": power_of_two,
    "least_time": least_time,
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_idle_candidates_share_by_weight(
    maker: Callable[[SetLoads], Policy[One]], weights: dict[str, int]
) -> None:
    """A client that sends one request after another meets each in its share."""
    candidates = make(**weights)
    policy = maker(SetLoads())
    policy.update(candidates)
    assert shares(policy, TURNS) == near(as_weights(candidates))


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_many_idle_candidates_share_by_weight_too(
    maker: Callable[[SetLoads], Policy[One]],
) -> None:
    candidates = numbered(islice(cycle([1, 4]), 2000))
    policy = maker(SetLoads())
    policy.update(candidates)
    heavy = {c.name for c in candidates if c.weight == 4}
    got = sum(share for name, share in shares(policy, TURNS).items() if name in heavy)
    assert got == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("count", [4, FEW, FEW + 1, 400])
@pytest.mark.parametrize("kind", ["least_requests", "power_of_two"])
@pytest.mark.parametrize("weights", [[1], [3, 1]], ids=["equal", "unequal"])
def test_what_is_in_flight_comes_to_be_as_the_weights(
    kind: str, count: int, weights: list[int]
) -> None:
    """Many requests at once, none of which ends: each carries its share of them."""
    candidates = numbered(islice(cycle(weights), count))
    loads = SetLoads()
    policy = MAKERS[kind](loads)
    policy.update(candidates)
    for _ in range(30 * count):
        loads.counts[policy.choose(NO_ASK).name] += 1
    total = sum(c.weight for c in candidates)
    for candidate in candidates:
        ideal = 30 * count * candidate.weight / total
        off = abs(loads.counts[candidate.name] - ideal)
        assert off <= (2 if kind == "least_requests" else 0.35 * ideal + 3)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_of_few_the_least_busy_for_its_weight_is_taken(data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 256), min_size=1, max_size=FEW))
    candidates = numbered(weights)
    loads = SetLoads()
    for candidate in candidates:
        loads.counts[candidate.name] = data.draw(st.integers(0, 300))
    policy = least_requests(loads)
    policy.update(candidates)
    ranks = {c: rank(loads.counts[c.name], c.weight) for c in candidates}
    for _ in range(5):
        assert ranks[policy.choose(NO_ASK)] == min(ranks.values())
    without = data.draw(st.sets(st.sampled_from(candidates)))
    chosen = policy.choose_without(NO_ASK, without)
    if chosen is not None:
        assert ranks[chosen] == min(ranks[c] for c in candidates if c not in without)


@settings(max_examples=15, deadline=None)
@given(st.integers(FEW + 1, 60), st.randoms(use_true_random=False))
def test_of_many_the_least_busy_is_taken_as_others_make_them_busier(
    count: int, chance: random.Random
) -> None:
    """What other processes add is seen before a candidate is taken."""
    candidates = numbered(chance.randrange(1, 10) for _ in range(count))
    loads = SetLoads()
    for candidate in candidates:
        loads.counts[candidate.name] = chance.randrange(1, 40)
    policy = least_requests(loads)
    policy.update(candidates)
    for _ in range(100):
        least = min(rank(loads.counts[c.name], c.weight) for c in candidates)
        chosen = policy.choose(NO_ASK)
        assert rank(loads.counts[chosen.name], chosen.weight) == least
        loads.counts[chosen.name] += 1
        # Another process gives two where they fit best.
        for _ in range(2):
            other = min(candidates, key=lambda c: rank(loads.counts[c.name], c.weight))
            loads.counts[other.name] += 1


def test_of_many_those_that_become_less_busy_are_seen_some_milliseconds_later() -> None:
    candidates = numbered([1] * 100)
    loads, clock = SetLoads(), SetClock()
    for candidate in candidates:
        loads.counts[candidate.name] = 50
    policy: LeastRequests[One] = LeastRequests(
        loads, clock=clock, chance=random.Random(1)
    )
    policy.update(candidates)
    policy.choose(NO_ASK)
    loads.counts[candidates[7].name] = 1
    clock.now_s += 0.006
    assert policy.choose(NO_ASK) is candidates[7]


def test_all_of_many_are_looked_at_once_in_some_milliseconds_only() -> None:
    candidates = numbered([1] * 2000)
    loads, clock = SetLoads(), SetClock()
    for candidate in candidates:
        loads.counts[candidate.name] = 5
    policy: LeastRequests[One] = LeastRequests(
        loads, clock=clock, chance=random.Random(1)
    )
    policy.update(candidates)
    for _ in range(1000):
        loads.counts[policy.choose(NO_ASK).name] += 1
    assert loads.looks < 2000 + 5 * 1000
    clock.now_s += 0.006
    policy.choose(NO_ASK)
    assert 4000 < loads.looks < 4000 + 5 * 1001


def test_the_more_it_costs_to_look_at_all_the_rarer_it_is_done() -> None:
    """A clock that goes 1 ms with each look: 2 ms a time, so once in 40 ms."""
    candidates = numbered([1] * 100)
    loads, clock = SetLoads(), SetClock(step_s=0.001)
    for candidate in candidates:
        loads.counts[candidate.name] = 5
    policy: LeastRequests[One] = LeastRequests(
        loads, clock=clock, chance=random.Random(1)
    )
    policy.update(candidates)
    begun_s = clock.now_s
    for _ in range(1000):
        policy.choose(NO_ASK)
    rounds = (loads.looks - 2 * 1000) / 100
    assert rounds <= (clock.now_s - begun_s) / 0.02 + 1


def test_processes_do_not_all_take_the_same_of_equals() -> None:
    candidates = numbered([1] * 100)
    loads = SetLoads()
    for candidate in candidates:
        loads.counts[candidate.name] = 5
    chosen = set()
    for seed in range(8):
        policy = least_requests(loads, seed)
        policy.update(candidates)
        chosen.add(policy.choose(NO_ASK).name)
    assert len(chosen) > 4


def most_in_flight(name: str, count: int) -> int:
    """With four workers, 10,000 requests a second, and 3 in flight a candidate."""
    chance, loads, clock = random.Random(5), SetLoads(), SetClock()
    candidates = numbered([1] * count)
    workers = []
    for i in range(4):
        options = PolicyOptions(loads=loads, clock=clock, chance=random.Random(i))
        workers.append(make_policy(name, offset=7 * i, options=options))
        workers[-1].update(candidates)
    running: list[One] = []
    most = 0
    for turn in range(20_000):
        clock.now_s += 1e-4
        chosen = chance.choice(workers).choose(NO_ASK)
        loads.counts[chosen.name] += 1
        running.append(chosen)
        if turn > 5000:
            most = max(most, loads.counts[chosen.name])
        while len(running) > 3 * count:
            ended = running.pop(chance.randrange(len(running)))
            loads.counts[ended.name] -= 1
    return most


@pytest.mark.parametrize("count", [8, 1000])
@pytest.mark.parametrize(
    ("name", "bound"), [("least_requests", 5), ("power_of_two", 7), ("random", 20)]
)
def test_the_better_a_policy_looks_the_evener_four_workers_load(
    name: str, bound: int, count: int
) -> None:
    assert most_in_flight(name, count) <= bound


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        ({"a": 0, "b": 3, "c": 9}, {"a": 1, "b": 1, "c": 1}),
        ({"a": 4, "b": 4, "c": 1}, {"a": 5, "b": 3, "c": 2}),
        ({"a": 7, "b": 0, "c": 0}, {"a": 9, "b": 1, "c": 3}),
    ],
)
def test_the_better_of_two_wins_as_often_as_its_definition_says(
    counts: dict[str, int], weights: dict[str, int]
) -> None:
    """Every ordered pair, with its probability; the first of equals is taken."""
    candidates = make(**weights)
    loads = SetLoads()
    loads.counts.update(counts)
    policy = power_of_two(loads)
    policy.update(candidates)
    total = sum(weights.values())
    expected: Counter[str] = Counter()
    for first, second in permutations(candidates, 2):
        p = first.weight / total * second.weight / (total - first.weight)
        ranks = [rank(counts[c.name], c.weight) for c in (first, second)]
        winner = second if ranks[1] < ranks[0] else first
        expected[winner.name] += p  # type: ignore[assignment]
    got = dict.fromkeys(weights, 0.0) | shares(policy, TURNS)
    assert got == near({name: float(expected[name]) for name in weights})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 256), min_size=2, max_size=20),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
)
def test_two_that_are_drawn_are_two(
    weights: list[int], position: float, other: float
) -> None:
    candidates = numbered(weights)
    first, second = Draw(candidates).two_at(position, other)
    assert first is not second
    assert Draw(candidates).at(position) is first


def test_every_stretch_of_a_draw_is_as_long_as_its_weight() -> None:
    candidates = make(a=3, b=1, c=4)
    drawn = "".join(Draw(candidates).at(i / 8).name for i in range(8))
    assert drawn == "aaabcccc"
    seconds = "".join(Draw(candidates).two_at(0.4, i / 7)[1].name for i in range(7))
    assert seconds == "aaacccc"


# Least time

TIMES = {
    # (head times in ms, in flight, weights, who is chosen)
    "the fastest": ({"a": 30, "b": 10}, {}, {}, "b"),
    "a busy fast one may be later": ({"a": 30, "b": 10}, {"b": 3}, {}, "a"),
    "weights count": ({"a": 30, "b": 10}, {"b": 1}, {"b": 2}, "b"),
    "an unknown idle one first": ({"a": 30}, {}, {}, "b"),
    "an unknown busy one last": ({"a": 30}, {"a": 99, "b": 1}, {}, "a"),
    "of unknown busy ones the less busy": ({}, {"a": 3, "b": 2}, {}, "b"),
    "of those the heavier": ({}, {"a": 3, "b": 3}, {"a": 2}, "a"),
}


@pytest.mark.parametrize(
    ("times_ms", "counts", "weights", "expected"), TIMES.values(), ids=TIMES
)
def test_least_time_takes_who_will_answer_soonest(
    times_ms: dict[str, float],
    counts: dict[str, int],
    weights: dict[str, int],
    expected: str,
) -> None:
    loads = SetLoads()
    loads.counts.update(counts)
    loads.times_s.update({name: ms / 1000 for name, ms in times_ms.items()})
    policy = least_time(loads)
    policy.update(make(**{"a": 1, "b": 1, **weights}))
    assert {policy.choose(NO_ASK).name for _ in range(20)} == {expected}


def test_a_new_candidate_is_tried_by_one_request_not_by_all() -> None:
    loads = SetLoads()
    loads.times_s.update(a=0.01, b=0.01)
    policy = least_time(loads)
    policy.update(make(a=1, b=1, new=1))
    chosen = []
    for _ in range(50):
        chosen.append(policy.choose(NO_ASK).name)
        loads.counts[chosen[-1]] += 1
    assert chosen[0] == "new"
    assert chosen.count("new") == 1
    loads.times_s["new"] = 0.001
    assert policy.choose(NO_ASK).name == "new", "now that its time is known"


def test_a_slow_one_is_tried_again_now_and_then_and_found_recovered() -> None:
    """Ten times as slow: after 10 s x log2(10) it is worth a request."""
    loads, clock = SetLoads(), SetClock()
    loads.times_s.update(fast=0.01, slow=0.1)
    policy = least_time(loads, clock)
    policy.update(make(fast=1, slow=1))
    begun_s = clock.now_s
    tried_s = []
    while clock.now_s < begun_s + 200:
        clock.now_s += 0.1
        if policy.choose(NO_ASK).name == "slow":
            tried_s.append(clock.now_s - begun_s)
    between_s = 3.33 * HALF_LIFE_S
    assert tried_s[0] == pytest.approx(between_s, rel=0.02)
    assert len(tried_s) in (5, 6)
    loads.times_s["slow"] = 0.001
    assert policy.choose(NO_ASK).name == "slow"


def test_of_many_the_fast_half_gets_most() -> None:
    """Two are compared, and the faster one wins: three quarters, by definition."""
    candidates = numbered([1] * 100)
    loads = SetLoads()
    for i, candidate in enumerate(candidates):
        loads.times_s[candidate.name] = 0.01 if i < 50 else 0.02
    policy = least_time(loads)
    policy.update(candidates)
    fast = {c.name for c in candidates[:50]}
    got = sum(share for name, share in shares(policy, TURNS).items() if name in fast)
    assert got == pytest.approx(1 - 0.5 * 49 / 99, abs=0.01)


def test_without_anybody_who_counts_all_are_idle() -> None:
    loads = NoLoads()
    one = make(a=1)[0]
    assert loads.in_flight(one) == loads.head_time_s(one) == 0
    assert loads.in_flight_of([one, one]) == [0, 0]
