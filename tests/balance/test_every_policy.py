"""What holds for every policy: one of the candidates, at a cost, with bounded state."""

from __future__ import annotations

import random
import sys
import threading
import types
from functools import cache
from itertools import cycle, islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.balance.ask import NO_ASK, PlainAsk
from lb.balance.options import PolicyOptions
from lb.balance.registry import POLICIES, make_policy
from lb.errors import ConfigError
from tests.balance.scene import One, SetClock, SetLoads, numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.balance.policy import Policy

FUNCTION = "tests.balance.test_every_policy:least"
EVERY = [*POLICIES, FUNCTION]
MANY = 2000


def least(candidates: Sequence[Any], request: object) -> Any:
    """A function policy that looks at some of them."""
    return min(candidates[:3], key=lambda c: c.in_flight)


def build(name: str, loads: SetLoads | None = None, **more: Any) -> Policy[One]:
    options = {
        "hash_balance_factor": 1.25,
        "sticky_keys": [b"k" * 32],
        "loads": loads or SetLoads(),
        "chance": random.Random(1),
    }
    return make_policy(name, offset=0, options=PolicyOptions(**{**options, **more}))


def asks(count: int) -> list[PlainAsk]:
    return [PlainAsk(client=b"10.1.%d.%d" % divmod(i, 256)) for i in range(count)]


@pytest.mark.parametrize("name", EVERY)
def test_a_single_candidate_is_chosen(name: str) -> None:
    (one,) = numbered([7])
    policy = build(name)
    policy.update([one])
    assert all(policy.choose(ask) is one for ask in (NO_ASK, *asks(5)))
    assert policy.choose_without(NO_ASK, [one]) is None


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_one_of_those_that_are_left_is_found_if_there_is_one(
    name: str, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.integers(1, 256), min_size=1, max_size=30))
    candidates = numbered(weights)
    loads = SetLoads()
    for candidate in candidates:
        loads.counts[candidate.name] = data.draw(st.integers(0, 50))
    policy = build(name, loads)
    policy.update(candidates)
    for ask in (NO_ASK, *asks(3)):
        assert policy.choose(ask) in candidates
        without = data.draw(st.sets(st.sampled_from(candidates)))
        left = [c for c in candidates if c not in without]
        chosen = policy.choose_without(ask, without)
        assert chosen in left if left else chosen is None


@pytest.mark.parametrize("name", EVERY)
def test_of_two_thousand_the_last_one_left_is_found(name: str) -> None:
    """All others are full: given as a set, that is linear."""
    candidates = numbered([256] * (MANY - 1) + [1])
    policy = build(name)
    policy.update(candidates)
    assert policy.choose_without(asks(1)[0], set(candidates[:-1])) is candidates[-1]


@pytest.mark.parametrize("name", EVERY)
def test_new_candidates_and_weights_count_from_the_next_choice_on(name: str) -> None:
    first, second = numbered([1] * 8), numbered([3] * 40)
    policy = build(name)
    for candidates in (first, second, first[:1], second[:2]):
        policy.update(candidates)
        assert all(policy.choose(ask) in candidates for ask in asks(50))
        assert policy.choose_without(NO_ASK, []) in candidates


@pytest.mark.parametrize("name", EVERY)
def test_no_candidates_can_be_taken_and_replaced(name: str) -> None:
    policy = build(name)
    candidates = numbered([1, 2])
    for some in (candidates, [], candidates):
        policy.update(some)
        chosen = policy.choose_without(NO_ASK, [])
        assert chosen in some if some else chosen is None
    assert policy.choose(NO_ASK) in candidates


@pytest.mark.parametrize("name", EVERY)
def test_what_it_looks_at_can_be_shown(name: str) -> None:
    """`name=value` pairs that may stand in a response field."""
    candidates = numbered([2, 1])
    loads = SetLoads()
    loads.counts[candidates[0].name] = 3
    policy = build(name, loads)
    policy.update(candidates)
    for ask in (NO_ASK, *asks(2)):
        for candidate in candidates:
            shown = policy.inputs(ask, candidate)
            assert f"weight={candidate.weight}" in shown.split()
            assert all(len(pair.split("=")) == 2 for pair in shown.split(" "))
            assert shown.isascii()
            assert shown.isprintable()


@pytest.mark.parametrize("name", EVERY)
def test_only_sticky_answers_with_a_cookie(name: str) -> None:
    (one,) = numbered([1])
    policy = build(name)
    policy.update([one])
    assert bool(policy.answer(NO_ASK, one)) == (name == "sticky")


@pytest.mark.parametrize("name", EVERY)
def test_who_says_so_needs_no_request(name: str) -> None:
    """`needs_ask` is False: then nothing of a request is looked at."""

    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"looked at {name}")

    policy = build(name)
    policy.update(numbered([1, 2, 3]))
    if not policy.needs_ask:
        policy.choose(Untouchable())  # type: ignore[arg-type]
        policy.choose_without(Untouchable(), [])  # type: ignore[arg-type]
    assert policy.needs_ask == (name in {"hash", "sticky", FUNCTION})


ATOMS = (int, float, str, bytes, type, types.FunctionType, types.ModuleType)


def size_of(root: object, but: Sequence[object]) -> int:
    """How many values hang on an object, one of ours or a container."""
    seen = {id(x) for x in but}
    todo, count = [root], 0
    while todo:
        value = todo.pop()
        if id(value) in seen or value is None or isinstance(value, ATOMS):
            count += 1
            continue
        seen.add(id(value))
        count += 1
        if isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set)):
            todo += value
        else:
            todo += list(getattr(value, "__dict__", {}).values())
            slots = [
                s for k in type(value).__mro__ for s in getattr(k, "__slots__", ())
            ]
            todo += [getattr(value, s) for s in slots if hasattr(value, s)]
    return count


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("count", [4, 40])
def test_what_is_kept_does_not_grow(name: str, count: int) -> None:
    """Not with choices, nor with candidates that come and go."""
    loads, clock = SetLoads(), SetClock(step_s=0.001)
    chance = random.Random(1)
    policy = build(name, loads, clock=clock, chance=chance)
    outside = (loads, clock, chance)
    sizes = []
    for _ in range(3):
        policy.update(candidates := numbered([1, 2] * (count // 2)))
        for ask in asks(300):
            chosen = policy.choose(ask)
            loads.counts[chosen.name] = (loads.counts[chosen.name] + 1) % 5
            policy.choose_without(ask, [chosen])
        sizes.append(size_of(policy, (*outside, *candidates)))
    # A function policy's logger, and whatever else is shared, is the same each time.
    assert sizes[0] == sizes[1] == sizes[2]


@cache
def updated(name: str, count: int, state: str) -> Policy[One]:
    loads = SetLoads()
    candidates = numbered(islice(cycle([1, 2, 3, 5]), count))
    if state == "busy":
        chance = random.Random(3)
        for candidate in candidates:
            loads.counts[candidate.name] = chance.randrange(1, 9)
            loads.times_s[candidate.name] = chance.random()
    policy = build(name, loads)
    policy.update(candidates)
    return policy


def cost_s(policy: Policy[One]) -> float:
    """Seconds a choice: the least of some rounds, as others use this machine too."""
    some = asks(200)
    costs = []
    for _ in range(7):
        begun = perf_counter()
        for ask in some:
            policy.choose(ask)
        costs.append((perf_counter() - begun) / len(some))
    return min(costs)


@pytest.mark.parametrize("state", ["idle", "busy"])
@pytest.mark.parametrize("name", EVERY)
def test_two_thousand_candidates_cost_about_what_two_cost(
    name: str, state: str
) -> None:
    """A scan would cost hundreds of times as much."""
    few = min(cost_s(updated(name, 2, state)) for _ in range(2))
    many = min(cost_s(updated(name, MANY, state)) for _ in range(2))
    assert many < 8 * few + 10e-6, "1 to 3 times when measured"


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("name", EVERY)
def test_threads_may_choose_while_another_updates(name: str, count: int) -> None:
    """The portable lane serves in threads; none may fail."""
    candidates = numbered(islice(cycle([3, 2, 1]), count))
    loads = SetLoads()
    policy = build(name, loads)
    policy.update(candidates)
    failed: list[BaseException] = []
    over = threading.Event()

    def choose() -> None:
        try:
            while not over.is_set():
                for ask in asks(20):
                    chosen = policy.choose(ask)
                    loads.counts[chosen.name] = (loads.counts[chosen.name] + 1) % 4
                    policy.choose_without(ask, [chosen])
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            failed.append(error)

    threads = [threading.Thread(target=choose) for _ in range(3)]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(2):
            policy.update(candidates[:2])
            policy.update(candidates)
    finally:
        over.set()
        for thread in threads:
            thread.join(10)
        sys.setswitchinterval(interval_s)
    assert failed == []


def test_an_unknown_policy_says_what_there_is() -> None:
    with pytest.raises(
        ConfigError, match=r"balance.policy.*'nope'.*round_robin"
    ) as told:
        make_policy("nope", offset=0)
    for name in POLICIES:
        assert name in str(told.value)


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"sticky"}))
def test_policies_but_sticky_need_no_options(name: str) -> None:
    """So that settings can be checked without a shared file."""
    (one,) = numbered([1])
    policy = make_policy(name, offset=1)
    policy.update([one])
    assert policy.choose(NO_ASK) is one
