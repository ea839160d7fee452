"""Where the shared file of a configuration lives, when nobody says.

All processes of one bundle must find the same file without talking, and two
bundles of one user must not meet. So the name is made of what tells bundles
apart and survives an edit of the settings file: that file's place, the listening
address, and backends given by environment. Nothing is created here.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lb.config.sets import DEFAULT, key_in_set
from lb.config.sources import variable_of

if TYPE_CHECKING:
    from lb.config.settings import Settings

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - the name holds the user's id


def state_path(settings: Settings) -> Path:
    """The absolute path of the shared file: `state.path`, or one chosen.

    The chosen one is in memory (`/dev/shm`) where that folder can be written.
    """
    if settings.state.path:
        return (settings.folder / settings.state.path).absolute()
    name = f"evenhand-{os.getuid()}-{_digest(settings)}.state"
    return _folder() / name


def _folder() -> Path:
    if MEMORY_FOLDER.is_dir() and os.access(MEMORY_FOLDER, os.W_OK | os.X_OK):
        return MEMORY_FOLDER
    return Path(tempfile.gettempdir())


def _digest(settings: Settings) -> str:
    place = os.path.realpath(settings.file or settings.folder)
    facts = [place, settings.bind]
    for each in settings.sets:
        key = "backends" if each.name == DEFAULT else key_in_set(each.name, "backends")
        if settings.origins.get(key) == variable_of(key):
            facts += [f"{backend.name}={backend.address}" for backend in each.backends]
    data = "\0".join(facts).encode(errors="surrogateescape")
    return hashlib.sha256(data).hexdigest()[:12]
