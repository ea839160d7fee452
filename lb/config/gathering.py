"""Sets and routes of one load, added to the flat settings.

Each is validated by itself, with a line for whatever is wrong with it; then what
only all together can show is looked at: names that two sets give, routes to sets that
are not there, two routes for the same. Nothing is raised: lines are added to a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lb.config.messages import Fault, line_for, nearest, problems, unknown
from lb.config.routes import Route
from lb.config.sets import (
    DEFAULT,
    SECTIONS,
    SHARED,
    SetSettings,
    key_in_set,
    settle,
)
from lb.config.settings import FIELDS, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lb.config.sources import Given

_ROUTE_FIELDS = Route.model_fields


def nested(given: Mapping[str, Given], prefix: str = "") -> dict[str, Any]:
    """The values of dotted keys as tables in tables, without those of sets.

    Or those of one set, whose keys begin with `prefix`.
    """
    tables: dict[str, Any] = {}
    for key, (value, _) in given.items():
        if not key.startswith(prefix) or (key.startswith("sets.") and not prefix):
            continue
        *sections, name = key.removeprefix(prefix).split(".")
        place = tables
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return tables


def gather_sets(
    settings: Settings,
    names: Sequence[str],
    given: Mapping[str, Given],
    wrong: list[str],
) -> Settings:
    """The settings with these sets; lines for their faults are added to `wrong`.

    Where there are sets, the default one has backends only if they are given: nobody
    means the demo's.
    """
    # If the flat settings are wrong, a set would repeat each of their faults.
    inherited = {} if wrong else _inheritable(given)
    sets = [_set(name, inherited, given, wrong) for name in names]
    backends = settings.backends
    if names and "backends" not in given:
        backends = ()
    default = settings.model_copy(update={"backends": backends}).sets[0]
    settled = []
    for each, faults in settle([default, *sets]):
        is_flat = each.name == DEFAULT
        key = "backends" if is_flat else key_in_set(each.name, "backends")
        origin = given[key].origin if key in given else "default"
        wrong += [line_for(key, fault, FIELDS["backends"], origin) for fault in faults]
        settled.append(each)
    return settings.model_copy(
        update={"backends": settled[0].backends, "other_sets": tuple(settled[1:])}
    )


def _inheritable(given: Mapping[str, Given]) -> dict[str, Given]:
    return {
        key: value
        for key, value in given.items()
        if key.partition(".")[0] in SECTIONS and key != SHARED
    }


def _set(
    name: str,
    inherited: Mapping[str, Given],
    given: Mapping[str, Given],
    wrong: list[str],
) -> SetSettings:
    prefix = key_in_set(name, "")
    own = {
        key.removeprefix(prefix): value
        for key, value in given.items()
        if key.startswith(prefix)
    }
    if "backends" not in own:
        wrong.append(f"{prefix}backends: not given; a set needs backends of its own")
    try:
        return SetSettings.model_validate(
            {"name": name, **nested({**inherited, **own})}
        )
    except ValidationError as error:
        wrong += problems(error, FIELDS, own, prefix)
        return SetSettings(name=name)


def gather_routes(
    settings: Settings, routes: Given | None, wrong: list[str]
) -> Settings:
    """The settings with these routes; lines for their faults are added to `wrong`."""
    found = _routes(routes, wrong) if routes else {}
    usable = tuple(each.name for each in settings.sets if each.name != DEFAULT)
    if settings.backends:
        usable = (DEFAULT, *usable)
    first: dict[tuple[str, str], int] = {}
    for number, route in found.items():
        origin = routes.origin if routes else ""
        fault = route.wrong_set(usable)
        other = first.setdefault((route.host, route.path), number)
        if other != number:
            shown = f"{route.host or '*'}{route.path}"
            fault = "path", Fault(shown, f"the same host and path as item {other}")
        if fault:
            field = _ROUTE_FIELDS[fault[0]]
            wrong.append(line_for(_place(number, fault[0]), fault[1], field, origin))
    if not routes and not settings.backends and not wrong:
        wrong.append(
            "routes: none leads to a set; give backends for all that no route is for,"
            f" or routes to {', '.join(usable)}"
        )
    return settings.model_copy(update={"routes": tuple(found.values())})


def _routes(given: Given, wrong: list[str]) -> dict[int, Route]:
    """The routes by their number, counted from 1, as far as they are good."""
    if not isinstance(given.value, list):
        kind = type(given.value).__name__
        wrong.append(
            f"routes ({given.origin}): got a value of type {kind}; allowed: a table"
            " [[routes]] for each route"
        )
        return {}
    routes = {}
    for number, item in enumerate(given.value, start=1):
        route = _route(number, item, given.origin, wrong)
        if route is not None:
            routes[number] = route
    return routes


def _route(number: int, item: object, origin: str, wrong: list[str]) -> Route | None:
    allowed = list(_ROUTE_FIELDS)
    if not isinstance(item, dict):
        wrong.append(f"routes, item {number} ({origin}): expected a table")
        return None
    strange = [key for key in item if key not in _ROUTE_FIELDS]
    for key in strange:
        close = nearest(key, allowed)
        wrong.append(unknown(_place(number, key), origin, close=close, allowed=allowed))
    known = {key: value for key, value in item.items() if key not in strange}
    written = {key: (known.get(key, ""), origin) for key in allowed}
    try:
        return Route.model_validate(known)
    except ValidationError as error:
        if not strange:
            wrong += problems(error, _ROUTE_FIELDS, written, _place(number, ""))
        return None


def _place(number: int, key: str) -> str:
    return f"routes, item {number}, {key}"
