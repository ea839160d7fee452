"""A text beside the shared file that all its processes agree on, whole or not at all.

The shared file has cells for numbers and short names; the settings in force are
neither.  They lie beside it as `NAME.settings`, written under another name and
renamed, and a cell of the file tells how often that was done.  Only the owner may
read it, and as with the file itself, a link or another's file is not believed: in a
folder for all, anybody may have put one there.

What the text means is not this package's business.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from lb.errors import StateFileError
from lb.shm.place import open_checked, translated

LIMIT_BYTES: Final = 16 << 20
"""A settings file has at most 4 MiB; escaped as JSON it may grow."""


def beside(path: Path) -> Path:
    """Where the document of the shared file at `path` lies."""
    return path.with_name(f"{path.name}.settings")


def write_document(path: Path, data: bytes) -> None:
    """Put `data` beside the shared file at `path`; for the builder.

    Raises:
        StateFileError: it cannot be written.
    """
    target = beside(path)
    name = ""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        Path(name).replace(target)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise translated(target, error) from error


def read_document(path: Path) -> bytes:
    """What lies beside the shared file at `path`.

    Raises:
        StateFileError: it is missing, another's, a link, or too long.
    """
    target = beside(path)
    try:
        with os.fdopen(open_checked(target), "rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise translated(target, error) from error
    if len(data) > LIMIT_BYTES:
        raise StateFileError(f"{target} has more than {LIMIT_BYTES} bytes")
    return data


def remove_document(path: Path) -> None:
    """Remove what lies beside the shared file at `path`, if there is anything.

    Raises:
        OSError: it is there and cannot be removed.
    """
    beside(path).unlink(missing_ok=True)
