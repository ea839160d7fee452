"""Round robin: exact shares over a cycle, well spread, from wherever it starts."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.balance.ask import NO_ASK
from lb.balance.round_robin import RoundRobin
from tests.balance.scene import One, make


def policy(candidates: list[One], offset: int = 0) -> RoundRobin[One]:
    made: RoundRobin[One] = RoundRobin(offset)
    made.update(candidates)
    return made


def names(chooser: RoundRobin[One], turns: int) -> str:
    return "".join(chooser.choose(NO_ASK).name for _ in range(turns))


def test_equal_candidates_take_turns() -> None:
    assert names(policy(make(a=1, b=1, c=1)), 7) == "abcabca"
    assert names(policy(make(a=9, b=9)), 5) == "ababa"


def test_a_single_candidate_has_every_turn() -> None:
    assert names(policy(make(a=7)), 3) == "aaa"


# (weights, one cycle)
CYCLES = {
    "a heavy one between light ones": ({"a": 4, "b": 1, "c": 1}, "abaaca"),
    "two to one": ({"a": 2, "b": 1}, "aba"),
    "a light one comes amid the cycle": ({"a": 5, "b": 1}, "aaabaa"),
    "three weights": ({"a": 3, "b": 2, "c": 1}, "abacba"),
    "a pair and a pair": ({"a": 2, "b": 2, "c": 1, "d": 1}, "acbadb"),
}


@pytest.mark.parametrize(("weights", "cycle"), CYCLES.values(), ids=CYCLES)
def test_weighted_candidates_are_spread_the_same_in_each_cycle(
    weights: dict[str, int], cycle: str
) -> None:
    chooser = policy(make(**weights))
    for _ in range(1000):
        assert names(chooser, len(cycle)) == cycle


def test_workers_with_other_offsets_start_at_other_candidates() -> None:
    candidates = make(a=1, b=1, c=1, d=1)
    starts = [names(policy(candidates, offset), 1) for offset in range(5)]
    assert starts == ["a", "b", "c", "d", "a"]


def test_weighted_workers_start_where_others_will_be() -> None:
    """Each offset is that many turns ahead in the same cycle."""
    candidates = make(a=4, b=1, c=1)
    for offset in range(12):
        start = offset % 6
        assert names(policy(candidates, offset), 6) == ("abaaca" * 2)[start : start + 6]


def test_rotation_goes_on_when_the_candidates_change() -> None:
    a, b, c, d = make(a=1, b=1, c=1, d=1)
    chooser = policy([a, b, c, d])
    assert names(chooser, 2) == "ab"
    chooser.update([a, b, d])
    assert names(chooser, 3) == "dab", "the next of three, not the first again"
    chooser.update([a, b, c, d])
    assert names(chooser, 3) == "bcd"


def test_weights_may_come_and_go() -> None:
    chooser = policy(make(a=1, b=1))
    names(chooser, 3)
    chooser.update(make(a=3, b=1))
    assert Counter(names(chooser, 4)) == {"a": 3, "b": 1}
    chooser.update(make(a=1, b=1))
    assert Counter(names(chooser, 4)) == {"a": 2, "b": 2}


def test_no_candidates_can_be_taken_and_replaced() -> None:
    chooser = policy(make(a=1, b=2))
    chooser.update([])
    chooser.update(make(c=1))
    assert names(chooser, 2) == "cc"


WEIGHTS = st.lists(st.integers(1, 256), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(WEIGHTS, st.integers(0, 5000), st.integers(0, 5000))
def test_shares_are_exact_over_whole_cycles_and_near_in_between(
    weights: list[int], offset: int, extra: int
) -> None:
    candidates = [One(str(i), weight) for i, weight in enumerate(weights)]
    total = sum(weights)
    turns = 2 * total + extra % total
    chooser = policy(candidates, offset)
    chosen = [chooser.choose(NO_ASK).name for _ in range(turns)]
    cycles = Counter(chosen[: 2 * total])
    for one in candidates:
        assert abs(cycles[one.name] - 2 * one.weight) <= (offset % total > 0)
        ideal = turns * one.weight / total
        distinct = len(set(weights))
        near = 2 + distinct * one.weight / total
        assert abs(chosen.count(one.name) - ideal) <= near


@settings(max_examples=150, deadline=None)
@given(WEIGHTS)
def test_none_waits_much_longer_than_its_share_says(weights: list[int]) -> None:
    """Its turns stand total / weight apart, give or take a turn of each other group."""
    candidates = [One(str(i), weight) for i, weight in enumerate(weights)]
    total, distinct = sum(weights), len(set(weights))
    chooser = policy(candidates)
    chosen = [chooser.choose(NO_ASK).name for _ in range(3 * total)]
    for one in candidates:
        at = [i for i, name in enumerate(chosen) if name == one.name]
        longest = max(b - a for a, b in itertools.pairwise(at))
        assert longest <= total / one.weight + 2 * distinct


def test_one_heavy_candidate_is_spread_among_a_thousand_light_ones() -> None:
    """Each with a turn in phase would be 256 of the heavy, then 1,000 light ones."""
    candidates = [One("heavy", 256)] + [One("light", 1) for _ in range(1000)]
    chooser = policy(candidates)
    chosen = [chooser.choose(NO_ASK).name for _ in range(1256)]
    at = [i for i, name in enumerate(chosen) if name == "heavy"]
    assert len(at) == 256
    assert {b - a for a, b in itertools.pairwise(at)} <= {4, 5, 6}


@pytest.mark.parametrize("weights", [[1], [1, 2, 3, 5, 8, 256]], ids=["equal", "not"])
def test_two_thousand_candidates_cost_a_few_microseconds(weights: list[int]) -> None:
    candidates = [One(str(i), weights[i % len(weights)]) for i in range(2000)]
    begun = perf_counter()
    chooser = policy(candidates, offset=100_000)
    assert perf_counter() - begun < 0.05, "0.2 ms when measured"
    begun = perf_counter()
    for _ in range(20_000):
        chooser.choose(NO_ASK)
    assert (perf_counter() - begun) / 20_000 < 5e-6, "0.1 and 0.6 us when measured"


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 2, 1)])
def test_threads_may_choose_while_another_updates(weights: tuple[int, ...]) -> None:
    """The portable lane serves in threads; none may fail, and no share get lost."""
    many = [One(name, weight) for name, weight in zip("abc", weights, strict=True)]
    chooser = policy(many)
    failed: list[BaseException] = []

    def choose() -> None:
        try:
            for _ in range(20_000):
                chooser.choose(NO_ASK)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            failed.append(error)

    threads = [threading.Thread(target=choose) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        chooser.update(many[:1])
        chooser.update(many)
    assert failed == []
    chosen = Counter(names(chooser, 2 * sum(weights)))
    assert chosen == {one.name: 2 * one.weight for one in many}


@pytest.mark.parametrize("offset", [0, 3])
def test_second_choices_take_no_turn_of_the_rotation(offset: int) -> None:
    """With two candidates, every request would else begin at the one that fails."""
    a, b = make(a=1, b=1)
    chooser = policy([a, b], offset)
    firsts = []
    for _ in range(10):
        first = chooser.choose(NO_ASK)
        firsts.append(first.name)
        if first is a:
            assert chooser.choose_without(NO_ASK, [a]) is b
    assert Counter(firsts) == {"a": 5, "b": 5}


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 1, "b": 5, "c": 3, "d": 2}]
)
def test_what_one_cannot_take_is_spread_over_all_others_by_weight(
    weights: dict[str, int],
) -> None:
    """The next in the ring would carry a failing neighbour's share and its own."""
    chooser = policy(make(**weights))
    (a, *_) = chooser._candidates
    turns = 1000 * (sum(weights.values()) - 1)
    seconds = Counter(chooser.choose_without(NO_ASK, [a]).name for _ in range(turns))  # type: ignore[union-attr]
    for name in "bcd":
        assert abs(seconds[name] - 1000 * weights[name]) <= 5
