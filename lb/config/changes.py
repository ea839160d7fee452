"""Which settings differ between two loads, key by key."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from lb.config.fields import is_secret
from lb.config.listing import text_of
from lb.config.messages import MASK
from lb.config.sets import key_in_set, keys_of_a_set
from lb.config.settings import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from lb.config.settings import Settings

NOTHING = "-"
"""In the place of a value, where a set or a route is not there."""


class KeyChange(NamedTuple):
    """One key whose value differs; both in one line of text, secrets masked."""

    key: str
    before: str
    after: str


def changed_keys(old: Settings, new: Settings) -> list[KeyChange]:
    """The keys that differ, in the order of the manual, backends left out.

    Of sets, the keys that one of the loads gives them; what they only inherit is told
    once. Routes are told by what they are for.
    """
    return [*_flat(old, new), *_of_sets(old, new), *_routes(old, new)]


def _flat(old: Settings, new: Settings) -> Iterator[KeyChange]:
    for key, field in FIELDS.items():
        before, after = (attrgetter(key)(settings) for settings in (old, new))
        if before != after and key != "backends":
            yield KeyChange(key, *_texts(before, after, field))


def _of_sets(old: Settings, new: Settings) -> Iterator[KeyChange]:
    before = {each.name: each for each in old.other_sets}
    after = {each.name: each for each in new.other_sets}
    for name in {**after, **before}:
        for inner in keys_of_a_set(FIELDS):
            key = key_in_set(name, inner)
            if inner == "backends" or not {key} & {*old.origins, *new.origins}:
                continue
            was, will = (_value(sets.get(name), inner) for sets in (before, after))
            if was != will:
                yield KeyChange(key, *_texts(was, will, FIELDS[inner]))


def _value(holder: object, key: str) -> Any:
    return None if holder is None else attrgetter(key)(holder)


def _texts(before: Any, after: Any, field: FieldInfo) -> tuple[str, str]:
    if is_secret(field):
        # Both would read alike: say at least whether there is one.
        return _secret(before), f"another {MASK}" if after else _secret(after)
    texts = (NOTHING if v is None else text_of(v, field) for v in (before, after))
    return next(texts), next(texts)


def _secret(value: Any) -> str:
    if value is None:
        return NOTHING
    return MASK if value else '""'


def _routes(old: Settings, new: Settings) -> Iterator[KeyChange]:
    before, after = (
        {f"{route.host or '*'}{route.path}": str(route) for route in settings.routes}
        for settings in (old, new)
    )
    for where in {**after, **before}:
        texts = [
            text.partition(" to ")[2] or NOTHING
            for text in (before.get(where, ""), after.get(where, ""))
        ]
        if texts[0] != texts[1]:
            yield KeyChange(f"routes.{where}", *texts)
