"""`lb.toml` is the manual: every key is in it, with its true default."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

from lb.config import Route, Settings, load
from lb.config.fields import meaning_of, unit_of
from lb.config.settings import FIELDS

MANUAL = Path(__file__).parents[2] / "lb.toml"
SETTING = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)
DEPENDS_ON_THE_MACHINE = {"workers"}


def uncommented() -> str:
    """The manual with every default switched on."""
    return SETTING.sub("", MANUAL.read_text())


def keys_in(table: dict[str, Any]) -> list[str]:
    keys = []
    for name, value in table.items():
        inner = keys_in(value) if isinstance(value, dict) else []
        keys += [f"{name}.{key}" for key in inner] or [name]
    return keys


def test_every_key_is_in_the_manual_in_order() -> None:
    """No key is forgotten, none is left over."""
    assert keys_in(tomllib.loads(uncommented())) == list(FIELDS)


def test_the_manual_shows_the_true_defaults(tmp_path: Path) -> None:
    """Switched on, the commented lines change nothing."""
    (tmp_path / "lb.toml").write_text(uncommented())
    shown = load({}, tmp_path).model_dump(exclude=DEPENDS_ON_THE_MACHINE)
    assert shown == Settings().model_dump(exclude=DEPENDS_ON_THE_MACHINE)


def test_the_manual_as_it_stands_is_the_demo() -> None:
    """Only the two demo backends are active; the third is one # away."""
    assert keys_in(tomllib.loads(MANUAL.read_text())) == [
        "backends", "balance.sticky", "queue", "health.eject", "health.flap", "timeouts", "limits",
        "retries", "pool", "headers", "log", "state", "admin", "tracing", "demo",
    ]  # fmt: skip
    settings = load({}, MANUAL.parent)
    assert [b.name for b in settings.backends] == ["backend1", "backend2"]
    joined = MANUAL.read_text().replace('# "backend3', '"backend3')
    assert "backend3=127.0.0.1:9003" in tomllib.loads(joined)["backends"]


def test_the_manuals_example_of_sets_is_good(tmp_path: Path) -> None:
    """Its lines begin with # and four spaces; the flat settings stay beside it."""
    example = re.findall(r"^#    (.*)$", MANUAL.read_text(), re.MULTILINE)
    text = MANUAL.read_text() + "\n".join(example)
    (tmp_path / "lb.toml").write_text(text)
    settings = load({}, tmp_path)
    assert [each.name for each in settings.sets] == ["default", "api", "api-v2"]
    assert [str(route) for route in settings.routes] == [
        "api.example.com/ to api=95 api-v2=5 by client",
        "*.example.com/static to default",
    ]
    api, v2 = settings.other_sets
    assert (api.balance.policy, v2.balance.policy) == ("least_requests", "round_robin")
    assert (v2.health.kind, v2.health.path) == ("http", "/healthz")
    assert [(b.max_in_flight, b.backup) for b in api.backends] == [
        (100, False),
        (0, True),
    ]


ROUTES = MANUAL.parent / "docs" / "routes.md"


def test_the_examples_of_docs_routes_are_good(tmp_path: Path) -> None:
    """One after the other they make one file, but for the sets of the last."""
    examples = re.findall(r"^```toml\n(.*?)^```$", ROUTES.read_text(), re.M | re.S)
    more = "".join(f"[sets.{name}]\nbackends = ['{name}:1']\n" for name in ("v1", "v2"))
    (tmp_path / "lb.toml").write_text("\n".join(examples) + more)
    settings = load({}, tmp_path)
    assert [each.balance.policy for each in settings.sets[:3]] == [
        "power_of_two", "power_of_two", "least_requests"
    ]  # fmt: skip
    assert [str(route) for route in settings.routes] == [
        "api.example.com/ to api",
        "*/api to api",
        "shop.example.com/ to v1=95 v2=5 by client",
    ]


def test_the_keys_of_a_route_are_in_docs_routes() -> None:
    """With their defaults."""
    shown = re.findall(r"^\| `(\w+)` \| (\S*) ?\|", ROUTES.read_text(), re.M)
    assert dict(shown) == {
        "host": "any", "path": "`/`", "set": "", "split": "", "split_by": "`client`"
    }  # fmt: skip
    assert list(dict(shown)) == list(Route.model_fields)


def test_every_meaning_names_its_unit() -> None:
    """A number of seconds or bytes says so in its first words."""
    names = {"s": "seconds", "bytes": "bytes"}
    for field in FIELDS.values():
        assert meaning_of(field).startswith(names.get(unit_of(field), ""))


def test_every_key_of_the_manual_is_explained() -> None:
    """Each setting's line follows a comment."""
    lines = MANUAL.read_text().splitlines()
    for above, line in pairwise(lines):
        if SETTING.match(line):
            assert above.startswith("# "), line
