"""`docs/policies.md` is true: its example runs, and it names what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lb.balance.ask import NO_ASK, PlainAsk
from lb.balance.function import Seen
from lb.balance.hash_key import ALLOWED
from lb.balance.options import PolicyOptions
from lb.balance.registry import POLICIES, make_policy
from lb.balance.set_cookie import CookieAttributes
from tests.balance.scene import One, SetLoads

if TYPE_CHECKING:
    from collections.abc import Iterator

MANUAL = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The manual's function, where it can be imported; the code of its test."""
    function, test = CODE
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "placing.py").write_text(function)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield test
    for name in ("shop.placing", "shop"):
        sys.modules.pop(name, None)


def test_the_test_of_the_example_passes(example: str) -> None:
    space: dict[str, Any] = {}
    exec(compile(example, "docs/policies.md", "exec"), space)
    tests = [value for name, value in space.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


@pytest.mark.usefixtures("example")
def test_the_example_works_as_a_policy() -> None:
    loads = SetLoads()
    loads.counts.update({"big-1": 9, "small-1": 2, "small-2": 1})
    policy = make_policy(
        "shop.placing:choose", offset=0, options=PolicyOptions(loads=loads)
    )
    policy.update([One("small-1"), One("big-1"), One("small-2")])
    assert policy.choose(NO_ASK).name == "small-2"
    upload = PlainAsk(method=b"POST", target=b"/upload/1")
    assert policy.choose(upload).name == "big-1"
    assert policy.failures == 0


def test_the_example_has_ten_lines_at_most() -> None:
    assert len([line for line in CODE[0].splitlines() if line.strip()]) <= 10


def test_every_policy_has_its_section_and_its_line() -> None:
    for name in POLICIES:
        assert f"\n## {name}\n" in MANUAL
        assert f"| [`{name}`](#{name}) |" in MANUAL


def test_every_hash_key_is_there() -> None:
    for word in re.findall(r"[\w:]+", ALLOWED.replace(" or ", " ")):
        assert f"`{word}`" in MANUAL


def test_the_defaults_are_the_true_ones() -> None:
    options, cookie = PolicyOptions(), CookieAttributes()
    shown = dict(re.findall(r"^\| `balance\.(\S+)` \| (\S+) \|", MANUAL, re.MULTILINE))
    assert shown == {
        "hash_key": f"`{options.hash_key}`",
        "hash_balance_factor": f"{options.hash_balance_factor:g}",
        "sticky.policy": f"`{options.sticky_policy}`",
        "sticky.name": f"`{cookie.name}`",
        "sticky.path": f"`{cookie.path}`",
        "sticky.secure": str(cookie.secure).lower(),
        "sticky.http_only": str(cookie.http_only).lower(),
        "sticky.same_site": f"`{cookie.same_site}`",
        "sticky.max_age": str(cookie.max_age_s),
    }


def test_all_that_a_function_sees_of_a_candidate_is_there() -> None:
    public = {name for name in vars(Seen) if not name.startswith("_")}
    assert public == {"name", "weight", "in_flight", "head_time_s"}
    for name in public:
        assert f"`{name}`" in MANUAL
