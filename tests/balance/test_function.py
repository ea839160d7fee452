"""A function as a policy: what it gets, and that nothing of its faults gets out."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from lb.balance.ask import NO_ASK, PlainAsk
from lb.balance.function import FunctionPolicy
from lb.balance.options import PolicyOptions
from lb.balance.registry import make_policy
from lb.errors import ConfigError
from tests.balance.scene import One, SetClock, SetLoads, make

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = "tests.balance.test_function"


class UnprintableError(Exception):
    """Not even its text can be had."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Strange:
    """Compares and shows as nothing should."""

    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


kept: list[Any] = []
clock = SetClock()


def last(candidates: Sequence[Any], request: Any) -> Any:
    return candidates[-1]


def by_everything(candidates: Sequence[Any], request: Any) -> Any:
    assert request.client == b"10.0.0.1"
    assert request.method == b"POST"
    assert request.target == b"/a?b"
    assert request.host == b"example.org"
    assert request.header(b"x-a") == b"1"
    assert request.cookie(b"c") == b"2"
    b = next(c for c in candidates if c.name == "b")
    assert (b.weight, b.in_flight, b.head_time_s) == (2, 7, 0.5)
    return b


def raises(candidates: Sequence[Any], request: Any) -> Any:
    raise ZeroDivisionError("a secret of its own")


def raises_unprintable(candidates: Sequence[Any], request: Any) -> Any:
    raise UnprintableError


def returns_none(candidates: Sequence[Any], request: Any) -> Any:
    return None


def returns_a_list(candidates: Sequence[Any], request: Any) -> Any:
    return list(candidates)


def returns_a_name(candidates: Sequence[Any], request: Any) -> Any:
    return candidates[0].name


def returns_something_strange(candidates: Sequence[Any], request: Any) -> Any:
    return Strange()


def changes_one(candidates: Sequence[Any], request: Any) -> Any:
    candidates[0].weight = 5
    return candidates[0]


def returns_an_old_one(candidates: Sequence[Any], request: Any) -> Any:
    kept.append(candidates[0])
    return kept[0]


def takes_2_ms(candidates: Sequence[Any], request: Any) -> Any:
    clock.now_s += 0.0021
    return candidates[-1]


async def coroutine(candidates: Sequence[Any], request: Any) -> Any:
    return candidates[0]


NOT_A_FUNCTION = 7


def build(
    name: str, candidates: list[One], loads: SetLoads | None = None
) -> FunctionPolicy[One]:
    options = PolicyOptions(
        loads=loads or SetLoads(), clock=clock, log=logging.getLogger("test.function")
    )
    policy = make_policy(f"{HERE}:{name}", offset=0, options=options)
    assert isinstance(policy, FunctionPolicy)
    policy.update(candidates)
    return policy


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    kept.clear()
    yield
    kept.clear()


def test_the_function_chooses() -> None:
    candidates = make(a=1, b=1, c=1)
    policy = build("last", candidates)
    assert [policy.choose(NO_ASK).name for _ in range(3)] == ["c"] * 3
    assert policy.choose_without(NO_ASK, candidates[1:]) is candidates[0]
    assert (policy.failures, policy.slow_calls) == (0, 0)


def test_it_gets_the_request_and_what_is_known_of_the_candidates() -> None:
    loads = SetLoads()
    loads.counts["b"], loads.times_s["b"] = 7, 0.5
    policy = build("by_everything", make(a=1, b=2), loads)
    ask = PlainAsk(
        client=b"10.0.0.1", method=b"POST", target=b"/a?b", host=b"example.org",
        fields={b"x-a": b"1", b"cookie": b"c=2"},
    )  # fmt: skip
    assert policy.choose(ask).name == "b"
    assert policy.failures == 0


FAULTS = {
    "raises": "it raised ZeroDivisionError",
    "raises_unprintable": "it raised UnprintableError",
    "returns_none": "it returned a NoneType that is none of the candidates",
    "returns_a_list": "it raised TypeError",
    "returns_a_name": "it returned a str that is none of the candidates",
    "returns_something_strange": "it raised TypeError",
    "changes_one": "it raised AttributeError",
}


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_goes_wrong_round_robin_chooses_and_it_is_told(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    candidates = make(a=1, b=1, c=1)
    policy = build(name, candidates)
    chosen = "".join(policy.choose(NO_ASK).name for _ in range(6))
    assert chosen == "abcabc"
    assert policy.choose_without(NO_ASK, candidates[:2]) is candidates[2]
    assert policy.failures == 7
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{HERE}:{name} failed and round robin chose" in record.getMessage()
    assert FAULTS[name] in record.getMessage()
    has_trace = "raised" in FAULTS[name]
    assert bool(record.exc_info) == has_trace


def test_a_candidate_of_before_is_none_of_those_of_now() -> None:
    policy = build("returns_an_old_one", make(a=1, b=1))
    policy.choose(NO_ASK)
    assert policy.failures == 0
    policy.update(make(c=1, d=1))
    assert policy.choose(NO_ASK).name in "cd"
    assert policy.failures == 1


def test_a_fault_is_logged_once_a_minute_with_the_number_of_those_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = build("raises", make(a=1, b=1))
    for _ in range(5):
        policy.choose(NO_ASK)
    clock.now_s += 59
    policy.choose(NO_ASK)
    assert len(caplog.records) == 1
    clock.now_s += 1.1
    policy.choose(NO_ASK)
    assert len(caplog.records) == 2
    assert "(5 more since this was last said)" in caplog.records[1].getMessage()
    assert policy.failures == 7


def test_a_slow_function_is_told_with_its_time_and_counts_as_a_choice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = build("takes_2_ms", make(a=1, b=1))
    for _ in range(3):
        assert policy.choose(NO_ASK).name == "b"
    (record,) = caplog.records
    assert re.search(r"takes_2_ms took 2\.1 ms", record.getMessage())
    assert (policy.failures, policy.slow_calls) == (0, 3)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("no.such.module:f", r"importing no\.such\.module failed: ModuleNotFoundError"),
        (f"{HERE}:nope", r"has no 'nope'"),
        (f"{HERE}:", r"has no ''"),
        (":f", r"importing  failed: ValueError"),
        (f"{HERE}:NOT_A_FUNCTION", r"cannot be called"),
        (f"{HERE}:coroutine", r"coroutine"),
        ("tests.balance.broken_policy:f", r"importing .* failed: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_used_stops_the_start_and_says_why(word: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"balance.policy: cannot use .*" + told):
        make_policy(word, offset=0)
