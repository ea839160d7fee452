"""Add a backend while the balancer runs, or bring back one that was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.config.backends import parse_backends
from lb.config.messages import UnfitError
from lb.errors import OperationError
from lb.operating.changes import Done, done
from lb.shm import edit_table

if TYPE_CHECKING:
    from lb.model import Backend
    from lb.shm import SharedFile, TableEditor


def read_backend(file: SharedFile, text: str) -> Backend:
    """The backend that `text` means: `NAME=ADDRESS` or `ADDRESS`, as in the settings.

    Or the name or address alone of one that was removed at run time and that the
    settings still name: then it is as they say.

    Raises:
        OperationError: it is neither; it says what is allowed.
    """
    for row in file.removed():
        if text in (row.backend.name, str(row.backend.address)):
            return row.backend
    try:
        (backend,) = parse_backends([text])
    except UnfitError as error:
        raise OperationError(
            f"cannot add {text!r}: {error}; expected NAME=HOST:PORT, HOST:PORT or"
            " unix:/PATH, or the name of a backend that was removed"
        ) from error
    return backend


def add(file: SharedFile, backend: Backend) -> Done:
    """Add a backend, ready and without a verdict: it gets requests at once.

    Raises:
        OperationError: its name is taken, or its address in its set.
        StateFileError: the file has no room for it, or cannot be changed.
    """
    with edit_table(file) as table:
        _check(table, backend)
        table.add(backend)
    rows = [row for row in file.rows() if row.backend.name == backend.name]
    return done(file, rows)


def _check(table: TableEditor, backend: Backend) -> None:
    for row in table.rows():
        there = row.backend
        if there.name == backend.name:
            raise OperationError(
                f"there is a backend called {there.name} already, at {there.address}"
            )
        if (there.address, there.group) == (backend.address, backend.group):
            raise OperationError(
                f"{there.address} is a backend already, called {there.name}"
            )
