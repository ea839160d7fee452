"""Settings as a document: what one process found good, another takes exactly so.

An edited settings file is not in force yet, and an environment is one process's own.
So whoever loads settings hands on the values that it was given, each with its origin,
and the reader validates them again by the same declarations: equal values in, equal
settings out, also where the reader is of another version and refuses what it does not
know. Plain JSON, because what is unpickled can do anything.

The document holds secrets; whoever stores it keeps it from others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lb.config.loading import load, settle
from lb.config.sets import without_set
from lb.config.settings import FIELDS, Settings
from lb.config.sources import FILE_NAME, FILE_VARIABLE, Found, Given, variable_of
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection


def to_document(settings: Settings) -> bytes:
    """Settings that were loaded, for `from_document`."""
    found = settings.found or Found()
    return json.dumps(
        {
            "folder": str(settings.folder),
            "file": None if settings.file is None else str(settings.file),
            "values": found.values,
            "sets": found.sets,
            "routes": found.routes,
        }
    ).encode()


def from_document(document: bytes) -> Settings:
    """The settings that `to_document` was given.

    Raises:
        ConfigError: it is no such document, or of a version with other settings.
    """
    try:
        data: dict[str, Any] = json.loads(document)
        values = {key: Given(*pair) for key, pair in data["values"].items()}
        routes = Given(*data["routes"]) if data["routes"] else None
        found = Found(values, sets=list(data["sets"]), routes=routes)
        folder = Path(data["folder"])
        file = None if data["file"] is None else Path(data["file"])
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigError(f"the settings in force are damaged: {error!r}") from error
    if unknown := {key for key in values if without_set(key) not in FIELDS}:
        names = ", ".join(sorted(unknown))
        raise ConfigError(f"the settings in force are of another version: {names}")
    return settle(found, folder=folder, file=file)


def load_again(old: Settings) -> Settings:
    """What the process that loaded `old` would load now.

    Its environment is still the same, whatever that of the caller is; its file may
    have been edited.

    Raises:
        ConfigError: with one line for each problem.
    """
    found = old.found or Found()
    environ = {
        given.origin: str(given.value)
        for key, given in found.values.items()
        if given.origin == variable_of(key)
    }
    if old.file is not None and old.file != old.folder / FILE_NAME:
        environ[FILE_VARIABLE] = str(old.file)
    return load(environ, old.folder)


def with_kept(new: Settings, old: Settings, keys: Collection[str]) -> Settings:
    """The settings `new`, but for `keys`, outside of sets, which are as in `old`.

    Raises:
        ConfigError: what is kept and what is new do not fit together.
    """
    there, before = new.found or Found(), old.found or Found()
    values = {key: given for key, given in there.values.items() if key not in keys}
    values |= {key: given for key, given in before.values.items() if key in keys}
    found = Found(values, sets=there.sets, routes=there.routes)
    return settle(found, folder=new.folder, file=new.file)
