"""The values that a start was given, each with its key and where it came from.

File and environment are flattened to dotted keys, so that precedence is one
dictionary update and every value keeps its origin. Names that no setting has are
reported here; whether a value is good is not decided here.

A set's keys are written `sets.NAME.KEY`, where KEY is as it is outside of sets. Sets
are made by the file; the environment can change what they hold. Routes stay as they
are: a list is no key, and it has an order.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lb.config.messages import nearest, quoted, unknown
from lb.config.sets import (
    DEFAULT,
    NAME_ALLOWED,
    is_set_name,
    key_in_set,
    keys_of_a_set,
)
from lb.config.settings import FIELDS
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

PREFIX = "LB_"
FILE_VARIABLE = "LB_CONFIG"
FILE_NAME = "lb.toml"
FILE_BYTES_MAX = 4 << 20
"""Room for 4096 backends as commented tables, many times over."""


def variable_of(key: str) -> str:
    """The environment variable that overrides a dotted key."""
    return PREFIX + key.upper().replace(".", "__").replace("-", "_")


class Keys:
    """The keys that may stand at one place: in the file as a whole, or in a set."""

    def __init__(self, known: Iterable[str], prefix: str = "") -> None:
        self.known = list(known)
        self.prefix = prefix
        self.sections: dict[str, list[str]] = {}
        for key in self.known:
            section = key.rpartition(".")[0]
            self.sections.setdefault(section, []).append(prefix + key)
        self.plain = self.sections.pop("")
        """The keys that stand outside all sections."""


_ALL = Keys(FIELDS)
_OF_A_SET = keys_of_a_set(FIELDS)
_VARIABLES = {variable_of(key): key for key in FIELDS}
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Given(NamedTuple):
    """A value as it was written, and where."""

    value: object
    origin: str


@dataclass(slots=True)
class Found:
    """What a source holds: values of known keys, a line for each other name."""

    values: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    """The names of the sets, in their order."""
    routes: Given | None = None


def from_environment(environ: Mapping[str, str], sets: Collection[str] = ()) -> Found:
    """The settings among all variables whose name starts with `LB_`.

    `sets` are those that the file has.
    """
    found = Found()
    known = _VARIABLES | {
        variable_of(key): key
        for name in sets
        for key in (key_in_set(name, inner) for inner in _OF_A_SET)
    }
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE:
            continue
        if name in known:
            found.values[known[name]] = Given(environ[name], name)
        else:
            found.problems.append(_unknown_variable(name, known))
    return found


def _unknown_variable(name: str, known: Mapping[str, str]) -> str:
    key = name.removeprefix(PREFIX).lower().replace("__", ".")
    if key in _ALL.sections:
        names = [variable_of(inner) for inner in _ALL.sections[key]]
        return unknown(key, name, close="", allowed=names)
    close = nearest(name, [*known, FILE_VARIABLE])
    names = [FILE_VARIABLE, *map(variable_of, _ALL.plain)]
    names += [f"{variable_of(section)}__..." for section in _ALL.sections]
    return unknown(key, name, close=close, allowed=names)


def chosen_file(environ: Mapping[str, str], folder: Path) -> tuple[Path, bool]:
    """The settings file's path, and whether it was named and so must exist."""
    named = environ.get(FILE_VARIABLE, "")
    return folder / (named or FILE_NAME), bool(named)


def read_table(path: Path, *, must_exist: bool) -> dict[str, object] | None:
    """The file's TOML as tables, or None when it may be absent and is.

    Raises:
        ConfigError: it cannot be read or is no TOML; the message names it.
    """
    source = quoted(str(path))
    if must_exist:
        source += f" (named by {FILE_VARIABLE})"
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        if not must_exist and not path.is_symlink():
            return None
        raise ConfigError(f"{source}: the settings file does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{source}: cannot be read: {reason}") from error
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"{source}: larger than {FILE_BYTES_MAX} bytes")
    return _parsed(text, source)


def _parsed(text: bytes, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text.decode())
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}: not UTF-8 text (at line {line})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {quoted(str(error))}") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: not TOML: nested too deeply") from error


def from_table(table: Mapping[str, object], origin: str) -> Found:
    """The settings in a file's tables; `origin` is the file's path."""
    found = Found()
    flat = {name: v for name, v in table.items() if name not in ("sets", "routes")}
    _sort_out(flat, _ALL, origin, found)
    if "routes" in table:
        found.routes = Given(table["routes"], origin)
    sets = table.get("sets", {})
    if isinstance(sets, dict):
        _take_sets(sets, origin, found)
    else:
        wanted = "a table [sets.NAME] for each set"
        found.problems.append(_no_table("sets", sets, origin, wanted))
    return found


def _take_sets(sets: dict[str, object], origin: str, found: Found) -> None:
    variables: dict[str, str] = {}
    for name, table in sets.items():
        key = f"sets.{_spelled(name)}"
        reason = _wrong_name(name, variables)
        if reason:
            found.problems.append(f"{key} ({quoted(origin)}): {reason}")
        elif not isinstance(table, dict):
            wanted = f"a table [{key}] with backends"
            found.problems.append(_no_table(key, table, origin, wanted))
        else:
            found.sets.append(name)
            keys = Keys(_OF_A_SET, key_in_set(name, ""))
            _sort_out(table, keys, origin, found)


def _wrong_name(name: str, variables: dict[str, str]) -> str:
    """What is wrong with a set's name; notes the variables that it stands in."""
    if name == DEFAULT:
        return "this set is what stands outside of sets: write its keys there"
    if not is_set_name(name):
        return f"no name for a set; allowed: {NAME_ALLOWED}"
    other = variables.setdefault(variable_of(name), name)
    if other != name:
        return f"in the environment it could not be told from sets.{other}"
    return ""


def _sort_out(
    table: Mapping[str, object], keys: Keys, origin: str, found: Found
) -> None:
    """Take the keys that are known; a line for each other."""
    for inner, value in _leaves(table, keys):
        key = keys.prefix + inner
        if inner in keys.known:
            found.values[key] = Given(value, origin)
        elif inner in keys.sections and not isinstance(value, dict):
            wanted = f"a table [{key}] with {', '.join(keys.sections[inner])}"
            found.problems.append(_no_table(key, value, origin, wanted))
        elif value != {} or inner not in keys.sections:
            found.problems.append(_unknown_key(inner, keys, origin))


def _leaves(
    table: Mapping[str, object], keys: Keys, section: str = ""
) -> Iterator[tuple[str, object]]:
    """Dotted keys with their values, as many tables deep as sections are."""
    for name, value in table.items():
        key = section + _spelled(name)
        may_go_on = key not in keys.known and (not section or key in keys.sections)
        if may_go_on and isinstance(value, dict) and value:
            yield from _leaves(value, keys, f"{key}.")
        else:
            yield key, value


def _spelled(name: str) -> str:
    """A key as TOML needs it: `"a.b"` in quotes is one key, and not `a.b`."""
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _no_table(key: str, value: object, origin: str, wanted: str) -> str:
    # The type only: `admin = "..."` may be somebody's token.
    given = f"a value of type {type(value).__name__}"
    return f"{key} ({quoted(origin)}): got {given}; allowed: {wanted}"


def _unknown_key(inner: str, keys: Keys, origin: str) -> str:
    section, _, word = inner.rpartition(".")
    namesakes = [known for known in keys.known if known.rpartition(".")[2] == word]
    # The right word in the wrong section is likelier than a slip in the word.
    close = namesakes[0] if len(namesakes) == 1 else nearest(inner, keys.known)
    sections = [f"[{keys.prefix}{name}]" for name in keys.sections]
    if not keys.prefix:
        sections += ["[sets.NAME]", "[[routes]]"]
    return unknown(
        keys.prefix + inner,
        origin,
        close=close and keys.prefix + close,
        allowed=keys.sections.get(section) or [*keys.plain, *sections],
    )
