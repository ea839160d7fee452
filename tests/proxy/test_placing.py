"""Settings made into policies and a router, with mistakes told by their whole key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lb.balance.ask import NO_ASK, PlainAsk
from lb.balance.hashed import Hash
from lb.balance.options import PolicyOptions
from lb.balance.registry import POLICIES
from lb.balance.sticky import Sticky
from lb.config import Balance, load
from lb.errors import ConfigError
from lb.proxy.placing import check_policies, policy_of, policy_options, router_of
from tests.balance.scene import One

if TYPE_CHECKING:
    from lb.config import Settings

ROOT = Path(__file__).parents[2]
KEY = "sixteen-bytes-or-more"


def loaded(folder: Path, text: str) -> Settings:
    (folder / "lb.toml").write_text(text)
    return load({}, folder)


def test_the_defaults_of_settings_and_policies_are_the_same() -> None:
    """So neither manual can be wrong about the other."""
    made, plain = policy_options(Balance()), PolicyOptions()
    for name in ("hash_key", "hash_balance_factor", "sticky_cookie", "sticky_policy"):
        assert getattr(made, name) == getattr(plain, name), name
    assert list(made.sticky_keys) == list(plain.sticky_keys)
    described = policy_options(Balance(policy="sticky"))
    assert described.sticky_cookie == plain.sticky_cookie


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_can_be_named_in_the_settings(tmp_path: Path, name: str) -> None:
    """And chooses among what it is given."""
    settings = loaded(
        tmp_path, f"balance = {{ policy = '{name}', sticky.keys = ['{KEY}'] }}"
    )
    policy = policy_of(settings.sets[0], offset=3, folder=tmp_path)
    policy.update([One("a"), One("b")])
    assert policy.choose(NO_ASK).name in ("a", "b")


def test_what_the_settings_say_arrives(tmp_path: Path) -> None:
    """In each set's policy by itself."""
    settings = loaded(
        tmp_path,
        "backends = ['x:1']\n[balance]\npolicy = 'hash'\nhash_key = 'header:X-Key'\n"
        "[sets.a]\nbackends = ['y:1']\n[sets.a.balance]\npolicy = 'sticky'\n"
        f"sticky = {{ keys = ['{KEY}'], policy = 'hash', name = '__Host-who',"
        " secure = true, http_only = false, same_site = 'None', max_age = 60 }\n",
    )
    flat, own = (policy_of(each, offset=0, folder=tmp_path) for each in settings.sets)
    candidates = [One(f"b{number}") for number in range(20)]
    asks = [PlainAsk(fields={b"x-key": b"k"}, client=b"%d" % n) for n in range(20)]
    for policy in (flat, own):
        policy.update(candidates)
        assert len({policy.choose(ask).name for ask in asks}) == 1
    assert isinstance(flat, Hash)
    assert isinstance(own, Sticky)
    cookie = own.answer(asks[0], candidates[0])
    assert cookie.startswith(b"__Host-who=")
    assert cookie.endswith(b"; Path=/; Max-Age=60; Secure; SameSite=None")


# the file, the message
BAD: list[tuple[str, str]] = [
    ("balance.policy = 'best'", "balance.policy: unknown policy 'best'; one of: "),
    ("balance.policy = 'sticky'", "balance.sticky.keys: sticky needs a key to sign"),
    ("[balance]\npolicy = 'sticky'\nsticky.keys = ['short']",
     "balance.sticky.keys: a key needs 16 bytes or more"),
    ("[sets.a]\nbackends = ['y:1']\nbalance.policy = 'sticky'",
     "sets.a.balance.sticky.keys: sticky needs a key to sign"),
    (f"[sets.a]\nbackends = ['y:1']\nbalance.policy = 'sticky'\n"
     f"balance.sticky = {{ keys = ['{KEY}'], same_site = 'None' }}",
     "sets.a.balance.sticky.same_site: 'None' needs balance.sticky.secure"),
    ("[sets.a]\nbackends = ['y:1']\nbalance.policy = 'nowhere.at.all:choose'",
     "sets.a.balance.policy: cannot use 'nowhere.at.all:choose': importing "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_policy_that_cannot_be_made_is_told_with_its_key(
    tmp_path: Path, text: str, message: str
) -> None:
    """Before anything is started."""
    settings = loaded(tmp_path, f"backends = ['x:1']\n{text}")
    with pytest.raises(ConfigError) as caught:
        check_policies(settings)
    assert str(caught.value).startswith(message)
    assert KEY not in str(caught.value)


def test_all_sets_are_told_at_once(tmp_path: Path) -> None:
    """A line for each."""
    settings = loaded(
        tmp_path,
        "backends = ['x:1']\nbalance.policy = 'best'\n[sets.a]\nbackends = ['y:1']\n"
        "[sets.b]\nbackends = ['z:1']\nbalance.policy = 'random'\n",
    )
    with pytest.raises(ConfigError) as caught:
        check_policies(settings)
    keys = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert keys == ["balance.policy", "sets.a.balance.policy"]


def test_what_nobody_uses_does_no_harm(tmp_path: Path) -> None:
    """A cookie that browsers refuse, where no policy is sticky; a set without backends."""
    check_policies(loaded(tmp_path, "balance.sticky = { same_site = 'None' }"))
    check_policies(
        loaded(
            tmp_path,
            "balance.policy = 'sticky'\n[[routes]]\nset = 'a'\n[sets.a]\n"
            "backends = ['y:1']\nbalance.policy = 'random'\n",
        )
    )


CHECK = "from lb.cli import main; main()"


@pytest.mark.parametrize("key", ["policy", "sticky.policy"])
def test_a_function_of_the_working_folder_is_found(tmp_path: Path, key: str) -> None:
    """Also by the installed command, which does not look there of itself."""
    (tmp_path / "placing.py").write_text("def choose(cs, request):\n    return cs[0]\n")
    (tmp_path / "lb.toml").write_text(
        f"[balance]\npolicy = 'sticky'\nsticky.keys = ['{KEY}']\n{key} = 'placing:choose'\n"
        if key != "policy"
        else "balance.policy = 'placing:choose'\n"
    )
    command: list[Any] = [sys.executable, "-P", "-c", CHECK, "check"]
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.endswith("The settings are good.\n")
    assert KEY not in ended.stdout


def test_the_router_finds_places_in_the_settings_sets(tmp_path: Path) -> None:
    """Without a route that fits it is the default set, if that has backends."""
    sets = "[sets.a]\nbackends = ['y:1']\n[[routes]]\npath = '/a'\nset = 'a'\n"
    settings = loaded(tmp_path, "backends = ['x:1']\n" + sets)
    router = router_of(settings)
    assert router.only is None
    assert [router.find(PlainAsk(target=t)) for t in (b"/a", b"/b")] == [1, 0]
    router = router_of(loaded(tmp_path, sets))
    assert [router.find(PlainAsk(target=t)) for t in (b"/a", b"/b")] == [1, None]
    assert router_of(loaded(tmp_path, "")).only == 0
