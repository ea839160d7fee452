"""The settings in force as rows of text, for `lb check` and the start-up log.

A value is written as the environment would take it, where it has such a form.
Nothing here decides how a table looks; secrets leave this file masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lb.config.fields import is_secret, meaning_of, unit_of
from lb.config.messages import MASK, value_text
from lb.config.settings import FIELDS, Settings
from lb.config.sizes import size_text
from lb.model import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


class Row(NamedTuple):
    """One setting in force."""

    key: str
    value: str
    origin: str
    meaning: str


def rows(settings: Settings) -> Iterator[Row]:
    """Every setting in the order of the manual, each in one line of text."""
    origins = settings.origins
    for key, field in FIELDS.items():
        text = text_of(settings.value_of(key), field)
        yield Row(key, text, origins[key], meaning_of(field))


def text_of(value: object, field: FieldInfo) -> str:
    """A value of that field in one line; a secret masked."""
    if is_secret(field) and value:
        return MASK
    if isinstance(value, tuple):
        return ", ".join(_item_text(item) for item in value) or '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and unit_of(field) == "bytes":
        return size_text(value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    text = str(value)
    return text if text and text.isprintable() else value_text(text)


def _item_text(item: object) -> str:
    if not isinstance(item, Backend):
        return str(item)
    where = str(item.address)
    text = where if item.name == where else f"{item.name}={where}"
    return text if item.weight == 1 else f"{text} (weight {item.weight})"
