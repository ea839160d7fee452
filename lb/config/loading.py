"""One start's settings: the environment beats the file, the file the defaults.

Every problem of a load is found before the first is reported, so that a person
mends the file once. What cannot be gathered is a file that cannot be read at
all: that is reported alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lb.config.messages import problems
from lb.config.settings import FIELDS, Provenance, Settings
from lb.config.sources import (
    Given,
    chosen_file,
    from_environment,
    from_table,
    read_table,
)
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(
    environ: Mapping[str, str] = os.environ, folder: Path | None = None
) -> Settings:
    """The settings in force in `folder` (the working folder if not given).

    Reads at most one file and changes nothing.

    Raises:
        ConfigError: with one line for each problem.
    """
    folder = (folder or Path.cwd()).absolute()
    path, is_named = chosen_file(environ, folder)
    table = read_table(path, must_exist=is_named)
    by_file = from_table(table or {}, str(path))
    by_environment = from_environment(environ)
    given = by_file.values | by_environment.values
    file = None if table is None else path
    provenance = provenance_of(given, folder=folder, file=file)
    return settle(given, provenance, by_file.problems + by_environment.problems)


def provenance_of(
    given: Mapping[str, Given], *, folder: Path, file: Path | None
) -> Provenance:
    """Where values came from, for `settle`."""
    return Provenance(
        folder=folder,
        file=file,
        origins={key: value.origin for key, value in given.items()},
        values={key: value.value for key, value in given.items()},
    )


def settle(
    given: Mapping[str, Given], provenance: Provenance, wrong: list[str]
) -> Settings:
    """The settings that these values make; `wrong` is what is wrong already.

    Raises:
        ConfigError: with one line for each problem.
    """
    try:
        settings = Settings.model_validate(_nested(given), context=provenance)
    except ValidationError as error:
        wrong = [*wrong, *problems(error, FIELDS, given)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings


def _nested(given: Mapping[str, Given]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, (value, _) in given.items():
        section, _, name = key.rpartition(".")
        place = nested.setdefault(section, {}) if section else nested
        place[name] = value
    return nested
