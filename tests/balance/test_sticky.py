"""Sticky: a client stays where its cookie says, and nobody else can say it."""

from __future__ import annotations

import base64
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.balance.ask import NO_ASK, PlainAsk
from lb.balance.options import PolicyOptions
from lb.balance.registry import make_policy
from lb.balance.round_robin import RoundRobin
from lb.balance.set_cookie import CookieAttributes
from lb.balance.sticky import Sticky
from lb.errors import ConfigError
from tests.balance.scene import One, make, numbered

KEY, OLD_KEY, OTHER_KEY = b"k" * 32, b"o" * 32, b"x" * 32


def build(
    candidates: list[One], *keys: bytes, cookie: CookieAttributes | None = None
) -> Sticky[One]:
    inner: RoundRobin[One] = RoundRobin(0)
    policy = Sticky(inner, keys or (KEY,), cookie or CookieAttributes())
    policy.update(candidates)
    return policy


class Client:
    """Keeps the cookie that it was given, as a browser does."""

    def __init__(self, policy: Sticky[One]) -> None:
        self.policy = policy
        self.cookie = b""
        self.given = 0

    def ask(self) -> PlainAsk:
        return PlainAsk(fields={b"cookie": self.cookie} if self.cookie else {})

    def request(self, *, failing: tuple[One, ...] = ()) -> One:
        """Who answers; those that fail are tried first if they are chosen."""
        ask = self.ask()
        chosen = self.policy.choose(ask)
        if chosen in failing:
            second = self.policy.choose_without(ask, failing)
            assert second is not None
            chosen = second
        answer = self.policy.answer(ask, chosen)
        if answer:
            self.given += 1
            self.cookie = answer.partition(b";")[0]
        return chosen


def test_clients_stay_each_where_they_came_first() -> None:
    candidates = make(a=1, b=1, c=1)
    policy = build(candidates)
    clients = [Client(policy) for _ in range(30)]
    first = [client.request() for client in clients]
    assert set(Counter(first).values()) == {10}, "new ones take turns"
    for _ in range(5):
        assert [client.request() for client in clients] == first
    assert {client.given for client in clients} == {1}, "a good cookie is not renewed"


def test_only_a_good_cookie_binds() -> None:
    a, b = make(a=1, b=1)
    policy = build([a, b])
    client = Client(policy)
    assert not policy.binds(client.ask())
    chosen = client.request()
    assert policy.binds(client.ask())
    policy.update([b if chosen is a else a])
    assert not policy.binds(client.ask()), "who is not there binds nobody"


def test_a_client_whose_candidate_is_gone_comes_to_rest_elsewhere() -> None:
    a, b, c = make(a=1, b=1, c=1)
    policy = build([a, b, c])
    client = Client(policy)
    assert client.request() is a
    policy.update([b, c])
    second = client.request()
    assert second is not a
    assert [client.request() for _ in range(5)] == [second] * 5
    policy.update([a, b, c])
    assert [client.request() for _ in range(5)] == [second] * 5, "a is back: stay"
    assert client.given == 2


def test_a_client_whose_candidate_fails_comes_to_rest_where_the_retry_went() -> None:
    a, b, c = make(a=1, b=1, c=1)
    client = Client(build([a, b, c]))
    assert client.request() is a
    second = client.request(failing=(a,))
    assert second is not a
    assert [client.request() for _ in range(5)] == [second] * 5


def test_a_retry_begins_with_the_one_the_cookie_names() -> None:
    a, b, c = make(a=1, b=1, c=1)
    policy = build([a, b, c])
    client = Client(policy)
    client.request()
    assert policy.choose_without(client.ask(), [b]) is a
    assert policy.choose_without(client.ask(), [a, b]) is c
    assert policy.choose_without(client.ask(), [a, b, c]) is None


def test_another_process_and_another_start_know_the_cookie() -> None:
    """The value follows from key and names, not from an order or an address."""
    a, b, c = make(a=1, b=1, c=1)
    client = Client(build([a, b, c]))
    client.request()
    later = make(c=5, b=1, a=2)
    client.policy = build(later)
    assert client.request().name == "a"
    assert client.given == 1


def test_keys_are_rotated_without_moving_anybody() -> None:
    candidates = numbered([1] * 20)
    client = Client(build(candidates, OLD_KEY))
    first = client.request()
    old = client.cookie
    client.policy = build(candidates, KEY, OLD_KEY)
    assert client.request() is first
    assert client.cookie != old, "signed anew, so that the old key can go"
    client.policy = build(candidates, KEY)
    assert client.request() is first
    assert client.given == 2


FORGED = {
    "nothing": b"",
    "a name": b"lb=10.0.0.0:8080",
    "another key": None,
    "the right beginning": b"cut",
    "the right beginning, another end": b"bent",
    "the right one and more": b"long",
    "no base64": b"lb=\xff\xfe\x00",
    "very long": b"lb=" + b"A" * 60_000,
    "an empty value": b"lb=",
    "another cookie": b"not_lb=x",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_cookie_that_we_did_not_write_counts_as_none(kind: str) -> None:
    candidates = numbered([1] * 50)
    policy = build(candidates)
    good = policy.answer(NO_ASK, candidates[7]).partition(b";")[0]
    other = build(candidates, OTHER_KEY).answer(NO_ASK, candidates[7])
    cookie = {
        "another key": other.partition(b";")[0],
        "the right beginning": good[:20],
        "the right beginning, another end": good[:-1] + b"AB"[good[-1:] == b"A" :][:1],
        "the right one and more": good + b"A",
    }.get(kind, FORGED[kind])
    assert cookie is not None
    ask = PlainAsk(fields={b"cookie": cookie})
    assert policy.choose(ask) is candidates[0], "the inner policy's first turn"
    assert policy.choose(ask) is candidates[1]
    assert policy.answer(ask, candidates[1]) != b"", "and it gets a good one"
    assert "cookie=good" not in policy.inputs(ask, candidates[7])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_in_a_cookie_do_harm(value: bytes) -> None:
    (one,) = numbered([1])
    policy = build([one])
    ask = PlainAsk(fields={b"cookie": b"lb=" + value})
    assert policy.choose(ask) is one
    policy.answer(ask, one)


def test_a_cookie_tells_nothing_of_its_candidate() -> None:
    """256 bits of HMAC; neither name nor address nor place in a list."""
    one, two = One("backend1.internal:8080"), One("backend2.internal:8080")
    policy = build([one, two])
    values = [policy.answer(NO_ASK, c).partition(b";")[0][3:] for c in (one, two)]
    for value in values:
        assert re.fullmatch(rb"[A-Za-z0-9_-]{43}", value)
        assert b"backend" not in base64.urlsafe_b64decode(value + b"=")
    assert sum(a == b for a, b in zip(*values, strict=True)) < 12


def test_another_cookies_name_is_another_value() -> None:
    """What is good for one site of a balancer is not for its other."""
    (one,) = numbered([1])
    mine = build([one]).answer(NO_ASK, one)
    other = build([one], cookie=CookieAttributes(name="lc")).answer(NO_ASK, one)
    assert mine[3:46] != other[3:46]


ATTRIBUTES = {
    "by default": (CookieAttributes(), b"; Path=/; HttpOnly; SameSite=Lax"),
    "all": (
        CookieAttributes(
            name="__Secure-at", path="/shop", secure=True, same_site="None",
            max_age_s=3600,
        ),
        b"; Path=/shop; Max-Age=3600; Secure; HttpOnly; SameSite=None",
    ),
    "least": (CookieAttributes(http_only=False, same_site=""), b"; Path=/"),
}  # fmt: skip


@pytest.mark.parametrize(("cookie", "expected"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_the_cookie_has_the_attributes_that_are_set(
    cookie: CookieAttributes, expected: bytes
) -> None:
    (one,) = numbered([1])
    answer = build([one], cookie=cookie).answer(NO_ASK, one)
    name = re.escape(cookie.name.encode())
    assert re.fullmatch(name + rb"=[\w-]{43}" + re.escape(expected), answer)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "a b"}, r"sticky\.name: 'a b'"),
        ({"name": ""}, r"sticky\.name"),
        ({"name": "__Host-a", "secure": False}, r"sticky\.name.*secure"),
        ({"name": "__Host-a", "secure": True, "path": "/x"}, r"sticky\.name.*path /"),
        ({"path": "x"}, r"sticky\.path"),
        ({"path": "/x;y"}, r"sticky\.path"),
        ({"path": "/x\r\ny"}, r"sticky\.path"),
        ({"same_site": "None"}, r"sticky\.same_site.*secure"),
        ({"same_site": "lax"}, r"sticky\.same_site.*Strict"),
        ({"max_age_s": -1}, r"sticky\.max_age: -1"),
    ],
)
def test_attributes_that_browsers_refuse_are_refused(
    wrong: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        CookieAttributes(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (PolicyOptions(), r"sticky\.keys.*needs a key"),
        (PolicyOptions(sticky_keys=[KEY, b"short"]), r"sticky\.keys.*16 bytes"),
        (PolicyOptions(sticky_keys=[KEY], sticky_policy="sticky"), r"sticky\.policy"),
        (PolicyOptions(sticky_keys=[KEY], sticky_policy="nope"), r"'nope'"),
    ],
)
def test_what_sticky_cannot_work_with_is_refused(
    options: PolicyOptions, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        make_policy("sticky", offset=0, options=options)


def test_keys_are_not_shown() -> None:
    assert "kkkk" not in repr(PolicyOptions(sticky_keys=[KEY]))


def test_an_inner_policy_places_new_clients() -> None:
    """By hash here: without its cookie a client finds the same one again."""
    options = PolicyOptions(sticky_keys=[KEY], sticky_policy="hash")
    policy = make_policy("sticky", offset=0, options=options)
    candidates = numbered([1] * 10)
    policy.update(candidates)
    ask = PlainAsk(client=b"10.1.1.1")
    assert len({policy.choose(ask) for _ in range(10)}) == 1


def test_what_is_shown_says_what_the_cookie_was_good_for() -> None:
    a, b = make(a=2, b=1)
    policy = build([a, b])
    client = Client(policy)
    client.request()
    assert policy.inputs(client.ask(), a) == "cookie=good named=yes weight=2"
    assert policy.inputs(client.ask(), b) == "cookie=good named=no weight=1"
    assert policy.inputs(NO_ASK, a) == "cookie=absent named=no weight=2"
    forged = PlainAsk(fields={b"cookie": b"lb=forged"})
    assert policy.inputs(forged, a) == "cookie=unusable named=no weight=2"
