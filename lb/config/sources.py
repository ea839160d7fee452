"""The values that a start was given, each with its key and where it came from.

File and environment are flattened to dotted keys, so that precedence is one
dictionary update and every value keeps its origin. Names that no setting has are
reported here; whether a value is good is not decided here.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from lb.config.messages import nearest, quoted, unknown
from lb.config.settings import FIELDS
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PREFIX = "LB_"
FILE_VARIABLE = "LB_CONFIG"
FILE_NAME = "lb.toml"
FILE_BYTES_MAX = 4 << 20
"""Room for 4096 backends as commented tables, many times over."""


def variable_of(key: str) -> str:
    """The environment variable that overrides a dotted key."""
    return PREFIX + key.upper().replace(".", "__")


def _by_section() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for key in FIELDS:
        sections.setdefault(key.rpartition(".")[0], []).append(key)
    return sections


_SECTIONS = _by_section()
_PLAIN = _SECTIONS.pop("")
"""The keys that stand outside all sections."""
_VARIABLES = {variable_of(key): key for key in FIELDS}
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Given(NamedTuple):
    """A value as it was written, and where."""

    value: object
    origin: str


class Found(NamedTuple):
    """What a source holds: values of known keys, a line for each other name."""

    values: dict[str, Given]
    problems: list[str]


def from_environment(environ: Mapping[str, str]) -> Found:
    """The settings among all variables whose name starts with `LB_`."""
    found = Found({}, [])
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE:
            continue
        if name in _VARIABLES:
            found.values[_VARIABLES[name]] = Given(environ[name], name)
        else:
            found.problems.append(_unknown_variable(name))
    return found


def _unknown_variable(name: str) -> str:
    key = name.removeprefix(PREFIX).lower().replace("__", ".")
    if key in _SECTIONS:
        names = [variable_of(inner) for inner in _SECTIONS[key]]
        return unknown(key, name, close="", allowed=names)
    close = nearest(name, [*_VARIABLES, FILE_VARIABLE])
    names = [FILE_VARIABLE, *map(variable_of, _PLAIN)]
    names += [f"{variable_of(section)}__..." for section in _SECTIONS]
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
    found = Found({}, [])
    for key, value in _leaves(table):
        if key in FIELDS:
            found.values[key] = Given(value, origin)
        elif key in _SECTIONS and not isinstance(value, dict):
            found.problems.append(_no_table(key, value, origin))
        elif value != {} or key not in _SECTIONS:
            found.problems.append(_unknown_key(key, origin))
    return found


def _leaves(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Dotted keys with their values, one level of tables deep as settings are."""
    for name, value in table.items():
        key = _spelled(name)
        if isinstance(value, dict) and value and key not in FIELDS:
            for inner_name, inner in value.items():
                yield f"{key}.{_spelled(inner_name)}", inner
        else:
            yield key, value


def _spelled(name: str) -> str:
    """A key as TOML needs it: `"a.b"` in quotes is one key, and not `a.b`."""
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _no_table(key: str, value: object, origin: str) -> str:
    # The type only: `admin = "..."` may be somebody's token.
    given = f"a value of type {type(value).__name__}"
    allowed = f"a table [{key}] with {', '.join(_SECTIONS[key])}"
    return f"{key} ({quoted(origin)}): got {given}; allowed: {allowed}"


def _unknown_key(key: str, origin: str) -> str:
    section, _, word = key.rpartition(".")
    namesakes = [known for known in FIELDS if known.rpartition(".")[2] == word]
    # The right word in the wrong section is likelier than a slip in the word.
    close = namesakes[0] if len(namesakes) == 1 else nearest(key, list(FIELDS))
    names = _SECTIONS.get(section) or [*_PLAIN, *(f"[{name}]" for name in _SECTIONS)]
    return unknown(key, origin, close=close, allowed=names)
