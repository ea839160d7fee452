"""Which settings differ between two loads, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lb.config.fields import is_secret
from lb.config.listing import text_of
from lb.config.messages import MASK
from lb.config.settings import FIELDS

if TYPE_CHECKING:
    from lb.config.settings import Settings


class KeyChange(NamedTuple):
    """One key whose value differs; both in one line of text, secrets masked."""

    key: str
    before: str
    after: str


def changed_keys(old: Settings, new: Settings) -> list[KeyChange]:
    """The keys that differ, in the order of the manual, backends left out."""
    found = []
    for key, field in FIELDS.items():
        before, after = old.value_of(key), new.value_of(key)
        if before == after or key == "backends":
            continue
        texts = text_of(before, field), text_of(after, field)
        if is_secret(field):
            # Both would read alike: say at least whether there is one.
            texts = MASK if before else '""', f"another {MASK}" if after else '""'
        found.append(KeyChange(key, *texts))
    return found
