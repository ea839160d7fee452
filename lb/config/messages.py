"""What is wrong with the settings, as lines that a person can act on.

Each line names the key, where its value came from, what was given and what is
allowed, because the reader of a failed start may see nothing else of it. A line
stays one line whatever was given: text that could break it is escaped, long
values are cut, secrets are masked. This file knows no key: the fields are
handed in.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, NamedTuple

from lb.config.fields import allowed_text, is_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo

MASK = "***"
_SHOWN_CHARACTERS = 80
_CLOSE_ENOUGH = 0.7
"""difflib's ratio: a typo or two, but not another word of the same length."""


class Fault(NamedTuple):
    """One thing wrong with a value, or with one item of a list."""

    given: object
    reason: str
    item: int = 0
    """Counted from 1; 0 when the value as a whole is meant."""


class UnfitError(ValueError):
    """A value with several faults, or one whose blame lies at another key."""

    def __init__(self, *faults: Fault, key: str = "") -> None:
        super().__init__("; ".join(fault.reason for fault in faults))
        self.faults = faults
        self.key = key


def problems(
    error: ValidationError,
    fields: Mapping[str, FieldInfo],
    given: Mapping[str, tuple[object, str]],
    within: str = "",
) -> Iterator[str]:
    """One line for each fault that pydantic or a parser of ours found.

    `given` is each key's value as it was written, which validation may already
    have changed, and its origin; `within` is what stands before the keys.
    """
    for details in error.errors(include_url=False):
        cause = details.get("ctx", {}).get("error")
        key = ".".join(str(part) for part in details["loc"])
        key = (isinstance(cause, UnfitError) and cause.key) or key
        written, origin = given.get(key, (details["input"], "default"))
        for fault in _faults(written, cause):
            yield line_for(within + key, fault, fields[key], origin)


def line_for(key: str, fault: Fault, field: FieldInfo, origin: str) -> str:
    """The line for one fault of the setting `key`."""
    place = f"{key}, item {fault.item}" if fault.item else key
    shown = MASK if is_secret(field) else value_text(fault.given)
    because = f"{fault.reason}; " if fault.reason else ""
    allowed = allowed_text(field)
    return f"{place} ({quoted(origin)}): got {shown}; {because}allowed: {allowed}"


def _faults(written: object, cause: object) -> tuple[Fault, ...]:
    if isinstance(cause, UnfitError):
        return cause.faults
    # Our own parsers say more than "allowed" does; pydantic's sentences do not.
    reason = str(cause) if isinstance(cause, ValueError) else ""
    return (Fault(written, reason),)


def unknown(key: str, origin: str, *, close: str, allowed: Sequence[str]) -> str:
    """The line for a key that does not exist, with the one that may be meant.

    The value is left out: a misspelled secret is a secret.
    """
    place = f"{quoted(key)} ({quoted(origin)}): unknown key"
    if close:
        return f"{place}; did you mean {close}?"
    return f"{place}; allowed: {', '.join(allowed)}"


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that `name` may be a slip of, or nothing."""
    upper = {candidate.upper(): candidate for candidate in known}
    close = difflib.get_close_matches(name.upper(), upper, 1, _CLOSE_ENOUGH)
    return upper[close[0]] if close else ""


def value_text(value: object) -> str:
    """A given value in one line of at most about 80 characters, text in quotes."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "a value that is nested too deeply to be shown"
    if not text.isprintable():
        text = json.dumps(value, default=str)
    if len(text) > _SHOWN_CHARACTERS:
        return text[:_SHOWN_CHARACTERS] + "..."
    return text


def quoted(name: str) -> str:
    """A name or path as it is where it is harmless, else quoted and escaped."""
    return name if name.isprintable() else json.dumps(name)
