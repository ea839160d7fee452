"""Hash: who a key belongs to, what moves when candidates change, what is too much."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from functools import cache
from math import ceil, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.balance.ask import NO_ASK, PlainAsk
from lb.balance.buckets import BUCKETS, Buckets, digest_of
from lb.balance.hashed import Hash
from lb.errors import ConfigError
from tests.balance.scene import One, SetClock, SetLoads, as_weights, make, numbered

EMPTY = 0.0498
"""e^-3: the part of the buckets that nobody visits."""


def build(
    candidates: list[One],
    *,
    key: str = "client",
    factor: float = 0.0,
    loads: SetLoads | None = None,
    clock: SetClock | None = None,
) -> Hash[One]:
    policy: Hash[One] = Hash(
        key, factor, loads or SetLoads(), clock=clock or SetClock()
    )
    policy.update(candidates)
    return policy


def clients(count: int) -> list[PlainAsk]:
    return [PlainAsk(client=b"10.%d.%d.7" % divmod(i, 256)) for i in range(count)]


@cache
def table(count: int) -> Buckets[One]:
    return Buckets(candidates(count))


@cache
def candidates(count: int) -> list[One]:
    return numbered([1] * count)


def owned(buckets: Buckets[One]) -> dict[str, float]:
    """What part of the buckets that somebody owns each one has."""
    counts = Counter(o.name for o in buckets.owners if o is not None)
    return {name: count / counts.total() for name, count in counts.items()}


WEIGHTS = {
    "two": [1, 1],
    "three to one": [3, 1],
    "some": [1, 2, 3, 4, 5, 5],
    "far apart": [256, 1, 16],
    "twenty": [1] * 20,
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_shares_are_as_the_weights(weights: list[int]) -> None:
    """Within what that many random keys would give, five times over at most."""
    some = numbered(weights)
    got = owned(Buckets(some))
    for name, share in as_weights(some).items():
        allowed = min(0.01, 5 * sqrt(share / BUCKETS))
        assert got[name] == pytest.approx(share, abs=allowed)


def test_two_thousand_share_as_evenly_as_so_many_buckets_can() -> None:
    got = owned(table(2000))
    assert len(got) == 2000
    assert max(got.values()) < 2 / 2000
    assert min(got.values()) > 0.4 / 2000


@pytest.mark.parametrize("count", [2, 3, 10, 100, 2000])
def test_when_one_of_n_leaves_about_one_nth_of_the_keys_moves(count: int) -> None:
    """And hardly any of those of the others."""
    gone = candidates(count)[count // 2]
    before = table(count)
    after = Buckets([c for c in candidates(count) if c is not gone])
    pairs = list(zip(before.owners, after.owners, strict=True))
    moved = sum(a is not b for a, b in pairs) / BUCKETS
    must = sum(a is gone for a, _ in pairs) / BUCKETS
    assert must == pytest.approx((1 - EMPTY) / count, rel=0.5)
    assert moved - must <= 0.25 / count
    assert before.moved(after) == pytest.approx(moved)
    assert all(a is None or a is gone or a is b for a, b in pairs), "no owner loses any"


@pytest.mark.parametrize("count", [2, 10, 500])
def test_when_one_arrives_keys_move_to_it_alone(count: int) -> None:
    new = One("new:80")
    before = table(count)
    after = Buckets([*candidates(count), new])
    pairs = list(zip(before.owners, after.owners, strict=True))
    # Those who were there stop visiting a little sooner, each in its share.
    taken = [(a, b) for a, b in pairs if a is not b and b is not None]
    assert {b for _, b in taken} == {new}
    share = len(taken) / BUCKETS
    assert share == pytest.approx((1 - EMPTY) / (count + 1), rel=0.5)
    assert sum(a is not b for a, b in pairs) / BUCKETS < 1.4 / (count + 1)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 256), min_size=2, max_size=12), st.integers(1, 256))
def test_a_changed_weight_moves_keys_from_or_to_that_one_only(
    weights: list[int], changed: int
) -> None:
    some = numbered(weights)
    before = Buckets(some).owners
    was, some[0].weight = some[0].weight, changed
    after = Buckets(some).owners
    for a, b in zip(before, after, strict=True):
        if a is not b and a is not None and b is not None:
            assert some[0] in (a, b)
            assert (b is some[0]) == (changed > was)


def test_the_order_of_the_candidates_does_not_matter() -> None:
    """Each process may read its table in another one."""
    some = numbered([1, 2, 3, 4])
    shuffled = [some[i] for i in (2, 0, 3, 1)]
    assert Buckets(some).owners == Buckets(shuffled).owners


ELSEWHERE = """
from tests.balance.scene import make
from tests.balance.test_hash import build, clients
policy = build(make(a=1, b=2, c=3))
print("".join(policy.choose(ask).name for ask in clients(200)))
"""


def test_another_process_chooses_the_same() -> None:
    """Python's own hash of a text differs in each."""
    here = build(make(a=1, b=2, c=3))
    mine = "".join(here.choose(ask).name for ask in clients(200))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, timeout=30,
        env={"PYTHONHASHSEED": "77"}, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == mine


def test_the_table_is_the_same_in_later_versions() -> None:
    """Were it another, an update of the balancer would move every client."""
    chosen = build(make(a=1, b=2, c=3))
    assert "".join(chosen.choose(ask).name for ask in clients(40)) == (PINNED)


PINNED = "bcbcbcccacbcbccbbcbaccccabcbaaabccacaabb"


KEYS = {
    # (key, two requests with the same one, one with another)
    "client": (
        "client",
        PlainAsk(client=b"10.0.0.1", target=b"/1"),
        PlainAsk(client=b"10.0.0.1", target=b"/2"),
    ),
    "header": (
        "header:X-User",
        PlainAsk(client=b"1", fields={b"x-user": b"ann"}),
        PlainAsk(client=b"2", fields={b"x-user": b"ann"}),
    ),
    "cookie": (
        "cookie:session",
        PlainAsk(client=b"1", fields={b"cookie": b"a=1; session=xyz"}),
        PlainAsk(client=b"2", fields={b"cookie": b"session=xyz; b=2"}),
    ),
    "uri": (
        "uri",
        PlainAsk(client=b"1", target=b"/a?b=1"),
        PlainAsk(client=b"2", target=b"/a?b=1"),
    ),
    "path": ("path", PlainAsk(target=b"/a?b=1"), PlainAsk(target=b"/a?c=2")),
}


@pytest.mark.parametrize(("word", "one", "same"), KEYS.values(), ids=KEYS)
def test_requests_with_the_same_key_go_to_the_same_candidate(
    word: str, one: PlainAsk, same: PlainAsk
) -> None:
    policy = build(candidates(50), key=word)
    assert len({policy.choose(ask) for ask in (one, same) * 10}) == 1


@pytest.mark.parametrize("word", ["header:X-User", "cookie:session"])
def test_requests_without_the_key_take_turns(word: str) -> None:
    policy = build(make(a=1, b=1, c=1), key=word)
    chosen = [policy.choose(PlainAsk(client=b"10.0.0.1")).name for _ in range(6)]
    assert chosen == list("abcabc")


@pytest.mark.parametrize(
    "word", ["", "ip", "Client", "header", "header:", "header:a b", "cookie:ä", "uri:x"]
)
def test_a_key_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=r"balance.hash_key.*header:NAME"):
        build([], key=word)


@pytest.mark.parametrize("factor", [-1, 0.5, 1.0, 101, float("nan")])
def test_a_factor_that_is_none_is_refused(factor: float) -> None:
    with pytest.raises(ConfigError, match=r"balance.hash_balance_factor.*1.01 to 100"):
        build([], factor=factor)


PATTERNS = {
    "addresses": [b"10.0.%d.%d" % divmod(i, 256) for i in range(40_000)],
    "numbers": [b"%d" % i for i in range(40_000)],
    "paths": [b"/item/%06d" % i for i in range(40_000)],
    "mail": [b"user%d@example.org" % (i * 7) for i in range(40_000)],
}


@pytest.mark.parametrize("keys", PATTERNS.values(), ids=PATTERNS)
def test_keys_that_look_alike_are_spread(keys: list[bytes]) -> None:
    """Chi-square over ten candidates, against what their buckets promise."""
    buckets = table(10)
    got = Counter(buckets.first(digest_of(key)).name for key in keys)
    promised = owned(buckets)
    chi_square = sum(
        (got[name] - share * len(keys)) ** 2 / (share * len(keys))
        for name, share in promised.items()
    )
    assert chi_square < 33.7, "9 degrees of freedom: 1 of 10,000 random sets"


# Second choices


def test_a_second_choice_is_the_same_each_time_and_spread_over_the_others() -> None:
    """A ring would give all of a candidate's keys to its one neighbour."""
    policy = build(candidates(5))
    gone = candidates(5)[0]
    seconds = Counter()
    for ask in clients(4000):
        if policy.choose(ask) is gone:
            (second,) = {policy.choose_without(ask, [gone]) for _ in range(3)}
            assert second is not None
            seconds[second.name] += 1
        else:
            assert policy.choose_without(ask, [gone]) is policy.choose(ask)
    assert len(seconds) == 4
    assert max(seconds.values()) < 1.5 * min(seconds.values())


# Bounded load


@pytest.mark.parametrize("count", [2, 5, 16, 40])
@pytest.mark.parametrize("factor", [1.01, 1.25, 2.0])
def test_none_ever_has_more_in_flight_than_its_bound(count: int, factor: float) -> None:
    """One key that everybody asks for, and some others; requests end by chance."""
    chance = random.Random(count)
    some = numbered(chance.choice([1, 1, 3]) for _ in range(count))
    loads = SetLoads()
    # Each look at the clock is later, so that many are counted anew each time.
    clock = SetClock(step_s=0.01)
    policy = build(some, factor=factor, loads=loads, clock=clock)
    weight = sum(c.weight for c in some)
    asks = clients(50)
    running: list[One] = []
    for _ in range(600):
        chosen = policy.choose(
            asks[0] if chance.random() < 0.7 else chance.choice(asks)
        )
        total = len(running) + 1
        loads.counts[chosen.name] += 1
        bound = ceil(factor * total * chosen.weight / weight)
        assert loads.counts[chosen.name] <= bound
        running.append(chosen)
        while running and chance.random() < len(running) / 200:
            ended = running.pop(chance.randrange(len(running)))
            loads.counts[ended.name] -= 1
        clock.now_s += 0.2


def test_a_key_is_at_home_whenever_there_is_room() -> None:
    loads = SetLoads()
    some = make(a=1, b=1, c=1, d=1)
    policy = build(some, factor=1.25, loads=loads)
    (ask,) = clients(1)
    home = policy.choose(ask)
    loads.counts.update({c.name: 4 for c in some})
    loads.counts[home.name] = 6
    # ceil(1.25 x 19 / 4) is 6: no room for a seventh.
    other = policy.choose(ask)
    assert other is not home
    assert policy.choose(ask) is other, "the same one again"
    assert policy.choose_without(ask, [other]) not in (home, other)
    loads.counts[home.name] = 5
    assert policy.choose(ask) is home


def test_when_none_has_room_the_second_choice_is_taken_all_the_same() -> None:
    loads = SetLoads()
    some = make(a=1, b=1, c=1)
    policy = build(some, factor=1.01, loads=loads)
    loads.counts.update(a=0, b=50, c=50)
    (ask,) = clients(1)
    assert policy.choose_without(ask, [some[0]]) in some[1:]


def test_without_a_factor_loads_are_not_looked_at() -> None:
    loads = SetLoads()
    policy = build(make(a=1, b=1), loads=loads)
    loads.counts.update(a=999, b=999)
    for ask in clients(100):
        policy.choose(ask)
    assert loads.looks == 0


def test_many_are_counted_once_in_some_milliseconds() -> None:
    loads = SetLoads()
    some = candidates(2000)
    for candidate in some:
        loads.counts[candidate.name] = 1
    policy = build(some, factor=1.25, loads=loads)
    for ask in clients(200):
        policy.choose(ask)
    assert loads.looks <= 2000 + 200 * 10


def test_what_is_shown_names_home_and_limit() -> None:
    loads = SetLoads()
    some = make(a=1, b=1)
    (ask,) = clients(1)
    policy = build(some, factor=1.5, loads=loads)
    loads.counts.update(a=3, b=1)
    shown = {c.name: policy.inputs(ask, c) for c in some}
    home = policy.choose_without(ask, []) or some[0]
    assert shown["a"].startswith("weight=1 key=client home=")
    assert shown["a"].endswith("in_flight=3 limit=4"), "ceil(1.5 x 5 / 2)"
    assert sum("home=yes" in text for text in shown.values()) == 1
    assert home in some
    absent = build(some, key="header:x-user").inputs(NO_ASK, some[0])
    assert absent == "weight=1 key=header:x-user is_absent=yes"
