"""Sets and routes: what they inherit, how they are named, and what is wrong with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lb.config import Route, Settings, health_by_set, load, rows, state_path
from lb.errors import ConfigError
from lb.model import Address, Backend

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "not-to-be-shown-anywhere"

TWO_SETS = """
backends = ["127.0.0.1:1"]
[health]
interval = 9
[balance]
policy = "hash"
sticky.name = "site"
[sets.api]
backends = ["b=127.0.0.1:2"]
health.path = "/up"
balance = { hash_key = "uri", sticky = { keys = ["SECRET"] } }
[sets.old_1]
backends = [{ address = "unix:/c", max_in_flight = 7, backup = true }]
retries.attempts = 1
queue.size = 0
""".replace("SECRET", SECRET)


def test_a_set_inherits_key_by_key(tmp_path: Path) -> None:
    """Whatever it does not say itself is as outside, from wherever that came."""
    settings = loaded(tmp_path, TWO_SETS, {"LB_HEALTH__FALL": "5"})
    default, api, old = settings.sets
    assert [each.name for each in settings.sets] == ["default", "api", "old_1"]
    assert [each.health.interval for each in settings.sets] == [9, 9, 9]
    assert [each.health.fall for each in settings.sets] == [5, 5, 5]
    assert [each.health.path for each in settings.sets] == ["/", "/up", "/"]
    assert [each.balance.policy for each in settings.sets] == ["hash"] * 3
    assert [each.balance.hash_key for each in settings.sets] == [
        "client", "uri", "client"
    ]  # fmt: skip
    assert api.balance.sticky.keys == (SECRET,)
    assert api.balance.sticky.name == "site"
    assert default.balance.sticky.keys == ()
    assert [each.retries.attempts for each in settings.sets] == [3, 3, 1]
    assert [each.queue.size for each in settings.sets] == [1024, 1024, 0]
    assert health_by_set(settings) == {each.name: each.health for each in settings.sets}
    assert default.health is settings.health
    assert old.backends == (
        Backend("unix:/c", Address(path="/c"), 1, "old_1", 7, backup=True),
    )


def test_the_flat_settings_are_the_set_default(tmp_path: Path) -> None:
    """Where there is no other, and also without any file."""
    for settings in (Settings(), load({}, tmp_path)):
        (default,) = settings.sets
        assert default.name == "default"
        assert default.backends == settings.backends == settings.all_backends
        assert default.balance is settings.balance
        assert settings.routes == ()


def test_with_sets_nobody_means_the_demos_backends(tmp_path: Path) -> None:
    """The default set is then empty, unless its backends are given."""
    text = "[sets.a]\nbackends = ['x:1']\n[[routes]]\nset = 'a'"
    settings = loaded(tmp_path, text)
    assert settings.backends == settings.sets[0].backends == ()
    assert [backend.name for backend in settings.all_backends] == ["x:1"]
    given = loaded(tmp_path, text, {"LB_BACKENDS": "y:1"})
    assert [backend.name for backend in given.all_backends] == ["y:1", "x:1"]


def test_the_environment_changes_what_sets_hold(tmp_path: Path) -> None:
    """A dash is written as _; a set itself is made by the file."""
    text = "[sets.api-v2]\nbackends = ['x:1']\n[[routes]]\nset = 'api-v2'"
    environ = {
        "LB_SETS__API_V2__BACKENDS": "y:1,z:2",
        "LB_SETS__API_V2__BALANCE__STICKY__KEYS": f"{SECRET}, and-a-second-one",
    }
    settings = loaded(tmp_path, text, environ)
    (api,) = settings.other_sets
    assert [backend.name for backend in api.backends] == ["y:1", "z:2"]
    assert api.balance.sticky.keys == (SECRET, "and-a-second-one")
    origin = settings.origins["sets.api-v2.backends"]
    assert origin == "LB_SETS__API_V2__BACKENDS"
    assert state_path(settings) != state_path(loaded(tmp_path, text))
    with pytest.raises(ConfigError, match="unknown key"):
        load({"LB_SETS__API_V2__BACKENDS": "y:1"}, tmp_path / "elsewhere")


def test_one_address_may_be_in_several_sets(tmp_path: Path) -> None:
    """Under its own name in the first, under the set's in the next."""
    text = (
        "backends = ['x:1', 'y=y:1']\n"
        "[sets.a]\nbackends = ['x:1', 'y2=y:1']\n"
        "[sets.b]\nbackends = ['x:1', 'z:1']\n"
    )
    settings = loaded(tmp_path, text)
    assert [(b.name, b.group) for b in settings.all_backends] == [
        ("x:1", "default"), ("y", "default"), ("a/x:1", "a"), ("y2", "a"),
        ("b/x:1", "b"), ("z:1", "b"),
    ]  # fmt: skip


def test_the_listing_shows_what_is_special_of_a_set(tmp_path: Path) -> None:
    """With where that came from; secrets are masked, here and in `repr`."""
    text = TWO_SETS + "[[routes]]\nhost = 'h'\nsplit = { api = 9, default = 1 }\n"
    settings = loaded(tmp_path, text)
    listed = [(row.key, row.value) for row in rows(settings)]
    special = [row for row in listed if row[0].startswith(("sets.", "routes"))]
    assert special == [
        ("sets.api.backends", "b=127.0.0.1:2"),
        ("sets.api.balance.hash_key", "uri"),
        ("sets.api.balance.sticky.keys", "***"),
        ("sets.api.health.path", "/up"),
        ("sets.old_1.backends", "unix:/c (max_in_flight 7, backup)"),
        ("sets.old_1.queue.size", "0"),
        ("sets.old_1.retries.attempts", "1"),
        ("routes.1", "h/ to api=9 default=1 by client"),
    ]
    origins = {row.key: row.origin for row in rows(settings)}
    assert origins["routes.1"] == origins["sets.api.backends"] == str(settings.file)
    assert SECRET not in repr(settings)
    assert SECRET not in str(list(rows(settings)))


SET = "backends = ['x:1']\n[sets.a]\nbackends = ['y:1']\n"

# the file, the message with * for the file's name
BAD = [
    ("[sets.a]\nqueue.size = 1\n[[routes]]\nset = 'a'",
     "sets.a.backends: not given; a set needs backends of its own"),
    ("[sets.a]\nbackends = []\n[[routes]]\nset = 'a'",
     "sets.a.backends (*): got []; no backend is given; allowed: 1 to 4096 of "),
    ("sets = 1", "sets (*): got a value of type int; "
     "allowed: a table [sets.NAME] for each set"),
    ("backends = ['x:1']\nsets.a = 'secret'", "sets.a (*): got a value of type str; "
     "allowed: a table [sets.a] with backends"),
    ("[sets.default]\nbackends = ['x:1']", "sets.default (*): this set is what "
     "stands outside of sets: write its keys there"),
    ("backends = ['x:1']\n[sets.API]\nbackends = ['x:1']", "sets.API (*): no name for "
     "a set; allowed: 1 to 64 of a-z and 0-9, with single - or _ between"),
    ("backends = ['x:1']\n[sets.'a b']", 'sets."a b" (*): no name for a set; '),
    (f"{SET}[sets.a-b]\nbackends = ['x:1']\n[sets.a_b]\nbackends = ['x:1']",
     "sets.a_b (*): in the environment it could not be told from sets.a-b"),
    (f"{SET}health.intervall = 1", "sets.a.health.intervall (*): unknown key; "
     "did you mean sets.a.health.interval?"),
    (f"{SET}bind = ':1'", "sets.a.bind (*): unknown key; "),
    (f"{SET}health.concurrency = 2", "sets.a.health.concurrency (*): unknown key; "),
    (f"{SET}health = 3", "sets.a.health (*): got a value of type int; allowed: a table "
     "[sets.a.health] with sets.a.health.kind, "),
    (f"{SET}queue.timeout = 0", "sets.a.queue.timeout (*): got 0; allowed: "
     "seconds, a number from 0.001 to 86400"),
    (f"{SET}balance.hash_balance_factor = 1", "sets.a.balance.hash_balance_factor (*): "
     "got 1; with so little room no key could stay; allowed: 0, or a number from "
     "1.01 to 100"),
    (f"{SET}balance.hash_key = 'ip'", 'sets.a.balance.hash_key (*): got "ip"; allowed: '
     "client, uri, path, header:NAME or cookie:NAME"),
    (f"{SET}balance.sticky.keys = ['{SECRET}', 3]", "sets.a.balance.sticky.keys (*): "
     "got ***; key 2 is not a text, or is empty; allowed: a list of texts without "),
    (f"{SET}[balance]\nsticky = 'x'", "balance.sticky (*): got a value of type str; "
     "allowed: a table [balance.sticky] with balance.sticky.keys, "),
    ("[balance]\nsticky.keyz = 1", "balance.sticky.keyz (*): unknown key; "
     "did you mean balance.sticky.keys?"),
    # Of a bad value that sets inherit, one line is enough.
    (f"{SET}[queue]\nsize = -1", "queue.size (*): got -1; allowed: a whole number from "
     "0 to 1000000"),
    ("backends = ['n=x:1']\n[sets.a]\nbackends = ['m=y:1', 'n=y:2']",
     'sets.a.backends, item 2 (*): got "n=y:2"; the set default has a backend of the '
     "same name; allowed: "),
    ("backends = ['a/x:1=z:1', 'x:1']\n[sets.a]\nbackends = ['x:1']",
     'sets.a.backends, item 1 (*): got "x:1"; the set default has a backend called '
     "a/x:1; allowed: "),
    ("backends = [{ address = 'x:1', max_in_flight = -1 }]", "backends, item 1 (*): "
     'got {"address": "x:1", "max_in_flight": -1}; its max_in_flight must be from 0 '
     "to 1000000; allowed: "),
    ("backends = [{ address = 'x:1', backup = 1 }]", "backends, item 1 (*): "
     'got {"address": "x:1", "backup": 1}; its backup must be true or false; '),
    ("[sets.a]\nbackends = ['x:1']", "routes: none leads to a set; give backends for "
     "all that no route is for, or routes to a"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_wrong_with_a_set_is_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    """It names the whole key, and shows no secret."""
    said = failure(tmp_path, text)
    assert said.startswith(message)
    assert said.count("\n") == 0
    assert SECRET not in said


# what follows [[routes]], the message with * for the file's name
BAD_ROUTES = [
    ("set = 'bbb'", 'routes, item 1, set (*): got "bbb"; there is no such set, did you '
     "mean bb?; allowed: the name of a set; or split instead"),
    ("split = { bb = 1, x = 1 }", 'routes, item 1, split (*): got "x"; there is no '
     "such set among default, bb; allowed: a table of 1 to 16 sets, such as "),
    ("path = '/'", 'routes, item 1, set (*): got ""; neither it nor split is given; '),
    ("set = 'bb'\nsplit = { bb = 1 }", 'routes, item 1, set (*): got "bb"; with split '
     "as well; "),
    ("split = {}", "routes, item 1, split (*): got {}; expected a table of sets with "),
    ("split = { bb = -1 }", 'routes, item 1, split (*): got {"bb": -1}; the weight of '
     "bb is not a whole number from 0 to 1000000; "),
    ("split = { bb = true }", "routes, item 1, split (*): "),
    ("split = { bb = 0 }", 'routes, item 1, split (*): got {"bb": 0}; no set has any '),
    ("split = 'bb'", 'routes, item 1, split (*): got "bb"; expected a table of sets '),
    ("set = 'bb'\nsplit_by = 'ip'", 'routes, item 1, split_by (*): got "ip"; allowed: '
     "client, header:NAME or cookie:NAME"),
    ("set = 'bb'\nhosts = 'x'", "routes, item 1, hosts (*): unknown key; did you mean "
     "host?"),
    ("set = 'bb'\nhost = 'x:80'", 'routes, item 1, host (*): got "x:80"; a route has '
     "no port: a host is the same on each; allowed: a name like api.example.com, "),
    ("set = 'bb'\nhost = 'a.*.com'", 'routes, item 1, host (*): got "a.*.com"; a * '
     "stands only for all that is before the first dot; "),
    ("set = 'bb'\nhost = '*a.com'", 'routes, item 1, host (*): got "*a.com"; a * '),
    ("set = 'bb'\nhost = 'http://x'", 'routes, item 1, host (*): got "http://x"; it is '
     "neither a host's name nor an address; "),
    ("set = 'bb'\nhost = 'é.com'", 'routes, item 1, host (*): got "é.com"; a name '
     "beyond ASCII is written as browsers send it: xn--...; "),
    ("set = 'bb'\nhost = 3", "routes, item 1, host (*): got 3; expected text; "),
    ("set = 'bb'\npath = 'v2'", 'routes, item 1, path (*): got "v2"; it does not start '
     "with /; allowed: text that starts with /"),
    ("set = 'bb'\npath = '/a%20b'", 'routes, item 1, path (*): got "/a%20b"; it holds '
     "?, #, %, ;, a backslash or a space; write characters themselves and not "),
    ("set = 'bb'\npath = '/a//b'", 'routes, item 1, path (*): got "/a//b"; it has a '
     "segment that is empty, . or ..; "),
    ("set = 'bb'\npath = '/a/../b'", "routes, item 1, path (*): "),
    ("set = 'bb'\n[[routes]]\nset = 'default'\npath = '/'\nhost = '*'",
     'routes, item 2, path (*): got "*/"; the same host and path as item 1; '),
    ("set = 'bb'\nhost = 'X.y.'\npath='/z'\n[[routes]]\nset = 'bb'\nhost = 'x.Y'\n"
     "path='/z/'",
     'routes, item 2, path (*): got "x.y/z"; the same host and path as item 1; '),
]  # fmt: skip


@pytest.mark.parametrize(("route", "message"), BAD_ROUTES)
def test_what_is_wrong_with_a_route_is_one_line(
    tmp_path: Path, route: str, message: str
) -> None:
    """Routes are counted from 1; the same route twice names both."""
    text = f"backends = ['x:1']\n[sets.bb]\nbackends = ['y:1']\n[[routes]]\n{route}"
    said = failure(tmp_path, text)
    assert said.startswith(message)
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("routes = 1", "routes (*): got a value of type int; allowed: a table "),
        ("routes = ['a']", "routes, item 1 (*): expected a table"),
        ("[routes]\nset = 'default'", "routes (*): got a value of type dict; "),
    ],
)
def test_routes_are_a_list_of_tables(tmp_path: Path, text: str, message: str) -> None:
    """As `[[routes]]` makes it."""
    assert failure(tmp_path, text).startswith(message)


def test_a_default_set_without_backends_is_nowhere_to_go(tmp_path: Path) -> None:
    """A route to it would answer everything with 503."""
    text = "[sets.a]\nbackends = ['y:1']\n[[routes]]\nset = 'default'"
    assert "there is no such set among a" in failure(tmp_path, text)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """In flat settings, sets and routes alike."""
    text = (
        "workers = 0\n[sets.a]\nbackends = ['x']\nhealth.rise = 0\n[sets.b]\n"
        "[[routes]]\nset = 'c'\n[[routes]]\npath = 'x'\nset = 'a'"
    )
    keys = [line.partition(" (")[0] for line in failure(tmp_path, text).splitlines()]
    assert keys == [
        "workers",
        "sets.a.backends, item 1",
        "sets.a.health.rise",
        "sets.b.backends: not given; a set needs backends of its own",
        "routes, item 2, path",
        "routes, item 1, set",
    ]


def test_more_than_4096_backends_in_all_sets_are_refused(tmp_path: Path) -> None:
    """The set with which they become too many is named."""
    lists = {
        name: [f"{name}{number}:1" for number in range(count)]
        for name, count in {"a": 4000, "b": 97, "c": 1}.items()
    }
    text = "".join(f"[sets.{name}]\nbackends = {lists[name]}\n" for name in lists)
    said = failure(tmp_path, text + "[[routes]]\nset = 'a'")
    assert said.startswith(
        'sets.b.backends (*): got "97 backends"; with these there are 4097 backends in '
        "all sets; "
    )
    assert "sets.c" not in said


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"set": "a"}, "*/ to a"),
        ({"set": "a", "host": "*"}, "*/ to a"),
        ({"set": "a", "host": " API.x. ", "path": "/V2/"}, "api.x/V2 to a"),
        ({"set": "a", "host": "*.X"}, "*.x/ to a"),
        ({"set": "a", "host": "[::1]"}, "[::1]/ to a"),
        ({"set": "a", "path": "/é/~b(1)"}, "*/é/~b(1) to a"),
        (
            {"split": {"a": 1, "b": 0}, "split_by": "cookie:id"},
            "*/ to a=1 b=0 by cookie:id",
        ),
    ],
)
def test_a_route_has_one_form(given: dict[str, object], shown: str) -> None:
    """However it was written."""
    assert str(Route.model_validate(given)) == shown


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (folder / "lb.toml").write_text(text)
    return load(environ or {}, folder)


def failure(folder: Path, text: str) -> str:
    """The message of a load that must fail, with * for the file's name."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return re.sub(re.escape(str(folder / "lb.toml")), "*", str(caught.value))
