"""The settings in force as rows of text, for `lb check` and the start-up log.

A value is written as the environment would take it, where it has such a form.
Nothing here decides how a table looks; secrets leave this file masked.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from lb.config.backends import label
from lb.config.fields import is_secret, meaning_of, unit_of
from lb.config.messages import MASK, value_text
from lb.config.sets import key_in_set
from lb.config.settings import FIELDS, Settings
from lb.config.sizes import size_text
from lb.model import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo


class Row(NamedTuple):
    """One setting in force."""

    key: str
    value: str
    origin: str
    meaning: str


def rows(settings: Settings) -> Iterator[Row]:
    """Every setting in the order of the manual, each in one line of text.

    Then of each other set its backends and what it has of its own, and the routes.
    """
    origins = settings.origins
    for key in FIELDS:
        yield _row(key, settings, key, origins)
    for each in settings.other_sets:
        for inner in FIELDS:
            key = key_in_set(each.name, inner)
            if key in origins:
                yield _row(key, each, inner, origins)
    for number, route in enumerate(settings.routes, start=1):
        origin = origins.get("routes", "default")
        yield Row(f"routes.{number}", str(route), origin, "which set, by host and path")


def _row(key: str, holder: object, inner: str, origins: Mapping[str, str]) -> Row:
    field = FIELDS[inner]
    value = attrgetter(inner)(holder)
    return Row(key, text_of(value, field), origins[key], meaning_of(field))


def text_of(value: object, field: FieldInfo) -> str:
    """A value of that field in one line; a secret masked."""
    if is_secret(field) and value:
        return MASK
    if isinstance(value, tuple):
        return ", ".join(item_text(item) for item in value) or '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and unit_of(field) == "bytes":
        return size_text(value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    text = str(value)
    return text if text and text.isprintable() else value_text(text)


def item_text(item: object) -> str:
    """An item of a list; of a backend, all that is not as with most."""
    if not isinstance(item, Backend):
        return str(item)
    notes = [f"weight {item.weight}"] if item.weight != 1 else []
    if item.max_in_flight:
        notes.append(f"max_in_flight {item.max_in_flight}")
    if item.backup:
        notes.append("backup")
    return f"{label(item)} ({', '.join(notes)})" if notes else label(item)
