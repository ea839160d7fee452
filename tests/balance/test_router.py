"""Which set a request is for: hosts, paths in all their disguises, shares of clients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.balance.ask import PlainAsk
from lb.balance.route_path import plain_path
from lb.balance.router import LONGEST, REMEMBERED, Router, plain_host
from lb.balance.split import Split

if TYPE_CHECKING:
    from collections.abc import Iterable

SETS = ["default", "a", "b", "c", "d"]


@dataclass(frozen=True)
class Plain:
    """A route as the settings have it."""

    host: str
    path: str
    shares: tuple[tuple[str, int], ...]
    split_by: str = "client"


def to(name: str, host: str = "", path: str = "/") -> Plain:
    return Plain(host, path, ((name, 1),))


def router(*rules: Plain, fallback: str = "default") -> Router:
    return Router(rules, SETS, fallback=fallback, chance=Random(1))


def found(made: Router, host: str, target: str) -> str | None:
    place = made.find(PlainAsk(host=host.encode(), target=target.encode()))
    return None if place is None else SETS[place]


# routes as (set, host, path), then requests as (host, target, set)
TABLE = [
    ([], [("x", "/", "default"), ("", "*", "default")]),
    ([("a", "", "/")], [("x", "/y?z", "a"), ("", "*", "a")]),
    (
        [("a", "api.example.com", "/")],
        [
            ("api.example.com", "/", "a"),
            ("API.Example.COM:8080", "/", "a"),
            ("api.example.com.", "/", "a"),
            ("api.example.com.:80", "/", "a"),
            ("xapi.example.com", "/", "default"),
            ("x.api.example.com", "/", "default"),
            ("", "/", "default"),
        ],
    ),
    (
        [("a", "*.example.com", "/"), ("b", "*.b.example.com", "/"), ("c", "*.com", "/"),
         ("d", "x.b.example.com", "/d")],
        [
            ("x.example.com", "/", "a"),
            ("x.y.example.com", "/", "a"),
            ("example.com", "/", "c"),
            ("x.b.example.com", "/", "b"),
            ("x.b.example.com", "/d/e", "d"),
            ("b.example.com", "/", "a"),
            (".example.com", "/", "a"),
            ("com", "/", "default"),
            ("x.example.org", "/", "default"),
        ],
    ),
    (
        [("a", "", "/v2"), ("b", "", "/v2/x/y"), ("c", "", "/")],
        [
            ("h", "/v2", "a"),
            ("h", "/v2/", "a"),
            ("h", "/v2?x=/v2/x/y", "a"),
            ("h", "/v2/x", "a"),
            ("h", "/v2/x/yy", "a"),
            ("h", "/v2/x/y", "b"),
            ("h", "/v2/x/y/z/u/v/w", "b"),
            ("h", "/v22", "c"),
            ("h", "/V2", "c"),
            ("h", "/x/v2", "c"),
            ("h", "*", "c"),
        ],
    ),
    # A better host wins over a longer path, but only where its own path fits.
    (
        [("a", "h", "/x"), ("b", "", "/x/y"), ("c", "", "/z"), ("d", "*.h", "/x")],
        [
            ("h", "/x/y", "a"),
            ("g", "/x/y", "b"),
            ("h", "/z", "c"),
            ("h", "/", "default"),
            ("g.h", "/x/y", "d"),
            ("g.h", "/z", "c"),
        ],
    ),
    ([("a", "[::1]", "/"), ("b", "10.0.0.1", "/")], [
        ("[::1]", "/", "a"), ("[::1]:80", "/", "a"), ("10.0.0.1:8", "/", "b"),
    ]),
    # Whoever wants /admin comes to its set, in whatever words.
    (
        [("a", "", "/admin"), ("b", "", "/x"), ("c", "", "/café")],
        [
            ("h", target, "a")
            for target in (
                "//admin", "/./admin", "/x/../admin", "/x/%2e%2e/admin", "/%61dmin",
                "/x/.%2E/admin/", "/x%2f..%2fadmin", "/../../admin", "/admin%2fy",
                "/admin;v=1/y", "/x/..;/admin", "/x\\..\\admin", "/admin%5cy",
                "/;/admin", "/x/y/../../admin?q", "/admin/y/..", "/%2fadmin",
                "/admin/.", "/admin//", "/admin?", "/.//..//admin",
            )
        ] + [
            ("h", "/x/admin", "b"),
            ("h", "/admin/../x", "b"),
            ("h", "/admin/%2e%2e/x", "b"),
            ("h", "/%2561dmin", "default"),
            ("h", "/admin%", "default"),
            ("h", "/...", "default"),
            ("h", "/.admin", "default"),
            ("h", "/caf%C3%A9/y", "c"),
            ("h", "/caf%c3%a9", "c"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("routes", "requests"), TABLE)
def test_a_request_goes_where_the_table_says(
    routes: list[tuple[str, str, str]], requests: list[tuple[str, str, str]]
) -> None:
    """Whatever the order in which the routes are written."""
    for order in (routes, list(reversed(routes))):
        made = router(*(to(*route) for route in order))
        for host, target, expected in requests * 2:  # asked again, hosts are known
            assert found(made, host, target) == expected, (host, target)


def test_without_a_fallback_what_no_route_fits_has_no_set() -> None:
    """It is for the caller to say 404."""
    made = router(to("a", "h"), fallback="")
    assert found(made, "h", "/") == "a"
    assert found(made, "g", "/") is None


def test_without_routes_nothing_need_be_asked() -> None:
    """`only` is the one set that there is."""
    assert router().only == 0
    assert router(to("a", "h")).only is None
    assert router(fallback="").only is None


SEGMENTS = st.sampled_from(["a", "b", "ab", "x", "é"])
PREFIXES = st.lists(SEGMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts))
NAMES = st.sampled_from(["h.i", "g.h.i", "*.h.i", "*.i", "i", ""])
RULES = st.lists(
    st.builds(to, st.sampled_from(SETS[1:]), NAMES, PREFIXES),
    unique_by=lambda rule: (rule.host, rule.path),
    max_size=12,
)


def is_below(path: str, prefix: str) -> bool:
    return prefix == "/" or path == prefix or path.startswith(prefix + "/")


def fits(rule: Plain, host: str, path: str) -> bool:
    is_host = rule.host in ("", host)
    if rule.host.startswith("*."):
        is_host = host.endswith(rule.host[1:])
    return is_host and is_below(path, rule.path)


def rank(rule: Plain) -> tuple[bool, int, int]:
    is_exact = bool(rule.host) and not rule.host.startswith("*")
    return is_exact, len(rule.host), len(rule.path)


@given(RULES, st.sampled_from(["h.i", "g.h.i", "f.g.h.i", "i", "z", ""]), PREFIXES)
def test_the_best_of_the_routes_that_fit_is_found(
    rules: list[Plain], host: str, path: str
) -> None:
    """As a look at each of them says."""
    fitting = sorted((r for r in rules if fits(r, host, path)), key=rank)
    expected = fitting[-1].shares[0][0] if fitting else "default"
    assert found(router(*rules), host, quote(path)) == expected


def disguised(path: str, chance: Random) -> str:
    """Another spelling of a path that a backend may take for the same."""
    out = ""
    for segment in path.split("/")[1:]:
        noise = ["", "/.", "/%2e", "//", "/x/..", "/y;z/%2E.", "/..;" * (not out)]
        out += chance.choice(noise) + chance.choice(["/", "/", "%2f", "\\"])
        for char in segment:
            coded = "".join(f"%{byte:02X}" for byte in char.encode())
            out += chance.choice([char, coded]) if char.isascii() else coded
        out += chance.choice(["", "", ";", ";q=1"])
    return "/" + out + chance.choice(["", "/", "/.", "?/../x"])


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_no_disguise_changes_the_plain_path(parts: list[str], chance: Random) -> None:
    """Dots, slashes of all kinds, %XX, parameters: the same route is found."""
    path = "/" + "/".join(parts)
    assert plain_path(disguised(path, chance).encode()) == path.encode()


@given(st.binary(max_size=60))
def test_a_plain_path_is_its_own_plain_form(target: bytes) -> None:
    """Or has no more to decode; it never has dots, doubled or last slashes."""
    plain = plain_path(b"/" + target)
    parts = plain.split(b"/")[1:]
    assert plain == b"".join(b"/" + part for part in parts)
    if b"%" not in plain:
        assert not {b"", b".", b".."} & set(parts)
        assert plain_path(plain) == plain


@given(st.text(st.sampled_from("/.;%2eEfF5cC\\a"), max_size=40))
def test_a_quick_look_is_as_good_as_a_long_one(text: str) -> None:
    """A path that is taken as it is has nothing that would have been changed."""
    odd = plain_path(b"/%61/../" + text.encode())
    assert plain_path(b"/" + text.encode()) == odd


def test_a_hostile_path_costs_what_its_length_does() -> None:
    """64 KiB of dots and slashes, in a table with deep routes."""
    made = router(to("a", "", "/a" * 30))
    assert found(made, "h", "/../a/./" * 8000) == "default"
    assert found(made, "h", "/a" * 32000) == "a"


def test_hosts_that_are_remembered_are_bounded() -> None:
    """Clients may send any Host; too long a one is not even looked at."""
    made = router(to("a", "*.h"), to("b"))
    for number in range(3 * REMEMBERED):
        assert found(made, f"{number}.h", "/") == "a"
        assert len(made._remembered) <= REMEMBERED
    assert found(made, "x" * LONGEST + ".h", "/") == "b"
    assert max(map(len, made._remembered)) <= LONGEST


@pytest.mark.parametrize(
    ("given_host", "plain"),
    [
        (b"A.b:80", b"a.b"),
        (b"a.b.", b"a.b"),
        (b"a.b:", b"a.b"),
        (b"[::1]", b"[::1]"),
        (b"[::A]:80", b"[::a]"),
        (b"", b""),
        (b":80", b""),
    ],
)
def test_a_plain_host_has_no_port(given_host: bytes, plain: bytes) -> None:
    """Nor upper case, nor a last dot."""
    assert plain_host(given_host) == plain


KEYS = [b"10.0.%d.%d" % divmod(number, 256) for number in range(20_000)]


def shared_out(**weights: int) -> dict[bytes, int]:
    split = Split((name, ord(name), weight) for name, weight in weights.items())
    return {key: split.of(key) for key in KEYS}


def shares_of(placed: Iterable[int]) -> dict[str, float]:
    return {chr(at): count / len(KEYS) for at, count in Counter(placed).items()}


@pytest.mark.parametrize(
    "weights", [{"a": 95, "b": 5}, {"a": 1, "b": 1, "c": 2}, {"a": 999, "b": 1}]
)
def test_clients_are_shared_out_by_weight(weights: dict[str, int]) -> None:
    """As exactly as chance allows: four standard deviations."""
    shares = shares_of(shared_out(**weights).values())
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        off = 4 * (share * (1 - share) / len(KEYS)) ** 0.5
        assert shares.get(name, 0.0) == pytest.approx(share, abs=off)


def test_a_set_without_weight_gets_nobody() -> None:
    """A canary that is switched off, or takes over."""
    assert set(shared_out(a=1, b=0).values()) == {ord("a")}
    assert set(shared_out(a=0, b=7).values()) == {ord("b")}


WEIGHTS = st.fixed_dictionaries(dict.fromkeys("abc", st.integers(1, 200)))


@given(WEIGHTS, st.sampled_from("abc"), st.integers(1, 200))
def test_a_new_weight_moves_keys_to_or_from_that_set_only(
    before: dict[str, int], name: str, weight: int
) -> None:
    """And as many as its share has changed by."""
    after = before | {name: weight}
    is_more = weight >= before[name]
    then, now = (
        Split((n, ord(n), w) for n, w in weights.items()) for weights in (before, after)
    )
    for key in KEYS[:100]:
        was, is_now = then.of(key), now.of(key)
        if was != is_now:
            assert ord(name) == (is_now if is_more else was)


def test_five_per_cent_more_move_five_per_cent() -> None:
    """And nobody goes back."""
    before, after = shared_out(v=95, w=5), shared_out(v=90, w=10)
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {ord("w")}
    assert len(moved) / len(KEYS) == pytest.approx(0.05, abs=0.006)


def test_every_process_and_every_version_shares_alike() -> None:
    """These are the values of the first version."""
    split = Split([("v1", 1, 50), ("v2", 2, 50)])
    assert [split.of(b"10.0.0.%d" % n) for n in range(16)] == FIRST_VERSION


FIRST_VERSION = [2, 2, 2, 2, 1, 1, 1, 2, 2, 1, 1, 1, 2, 1, 2, 2]


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("cookie:id", {b"cookie": b"x=1; id=%b"}),
        ("header:X-User", {b"x-user": b"%b"}),
    ],
)
def test_a_client_is_known_by_what_the_route_says(
    word: str, fields: dict[bytes, bytes]
) -> None:
    """Wherever it comes from, and it stays; without that, by its address."""
    rule = Plain("", "/", (("a", 50), ("b", 50)), word)
    places = []
    for user in range(200):
        own = {name: value % b"%d" % user for name, value in fields.items()}
        asks = [PlainAsk(client=b"%d" % n, fields=own) for n in range(5)]
        (place,) = {router(rule).find(ask) for ask in asks}
        places.append(place)
    assert 60 < places.count(1) < 140
    unknown = [PlainAsk(client=b"10.0.0.%d" % n) for n in range(200)]
    by_address = [router(rule).find(ask) for ask in unknown]
    assert by_address == [router(rule).find(ask) for ask in unknown]
    assert 60 < by_address.count(1) < 140


def test_clients_without_anything_are_shared_out_by_the_dice() -> None:
    """On a unix socket nobody has an address; they must not all be one client."""
    made = router(Plain("", "/", (("a", 50), ("b", 50))))
    places = [made.find(PlainAsk()) for _ in range(200)]
    assert 60 < places.count(1) < 140


def test_a_client_is_in_the_same_set_by_every_route() -> None:
    """Where two routes split alike, as those of pages and of their API."""
    shares = (("a", 50), ("b", 50))
    made = router(Plain("", "/x", shares), Plain("", "/y", shares))
    for n in range(50):
        asks = [PlainAsk(client=b"%d" % n, target=t) for t in (b"/x", b"/y")]
        assert made.find(asks[0]) == made.find(asks[1])
