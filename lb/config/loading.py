"""One start's settings: the environment beats the file, the file the defaults.

Every problem of a load is found before the first is reported, so that a person
mends the file once. What cannot be gathered is a file that cannot be read at
all: that is reported alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lb.config.gathering import gather_routes, gather_sets, nested
from lb.config.messages import problems
from lb.config.settings import FIELDS, Provenance, Settings
from lb.config.sources import (
    Found,
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
    by_environment = from_environment(environ, by_file.sets)
    found = Found(
        by_file.values | by_environment.values,
        by_file.problems + by_environment.problems,
        by_file.sets,
        by_file.routes,
    )
    return settle(found, folder=folder, file=None if table is None else path)


def settle(found: Found, *, folder: Path, file: Path | None) -> Settings:
    """The settings that values make which were found in `folder` and `file`.

    Raises:
        ConfigError: with one line for each problem, also those that it has already.
    """
    provenance = Provenance(folder, file, found)
    given, wrong = found.values, list(found.problems)
    settings = Settings()
    try:
        settings = Settings.model_validate(nested(given), context=provenance)
    except ValidationError as error:
        wrong += problems(error, FIELDS, given)
    # Good or not, sets and routes are looked at: a person mends the file once.
    settings = gather_sets(settings, found.sets, given, wrong)
    settings = gather_routes(settings, found.routes, wrong)
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings
