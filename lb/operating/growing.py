"""Add a backend while the balancer runs, or bring back one that was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.config.backends import parse_backends
from lb.config.messages import UnfitError
from lb.errors import OperationError
from lb.operating.changes import Done, check_weight, done
from lb.shm import edit_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lb.model import Backend
    from lb.shm import SharedFile

DEFAULT_SET: Final = "default"


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


def add(
    file: SharedFile,
    backends: Sequence[Backend],
    *,
    sets: Iterable[str] = (),
    who: str = "",
) -> Done:
    """Add backends, ready and without a verdict: they get requests at once.

    All of them or, if one cannot be added, none. `sets` are those of the settings;
    a set that has backends already is known without them.

    Raises:
        OperationError: a name is taken, an address in its set is, or nobody knows the
            set or could use the weight.
        StateFileError: the file has no room for them, or cannot be changed.
    """
    with edit_table(file, who=who) as table:
        there = [row.backend for row in table.rows()]
        known = {DEFAULT_SET, *sets, *(backend.group for backend in there)}
        for backend in backends:
            _check(backend, there, known)
            there.append(backend)
        for backend in backends:
            table.add(backend)
    names = {backend.name for backend in backends}
    return done(file, [row for row in file.rows() if row.backend.name in names])


def _check(backend: Backend, there: Sequence[Backend], sets: Collection[str]) -> None:
    check_weight(backend.weight)
    if backend.group not in sets:
        known = ", ".join(sorted(sets))
        raise OperationError(f"there is no set {backend.group!r}; there are: {known}")
    for other in there:
        if other.name == backend.name:
            raise OperationError(
                f"there is a backend called {other.name} already, at {other.address}"
            )
        if (other.address, other.group) == (backend.address, backend.group):
            raise OperationError(
                f"{other.address} is a backend already, called {other.name}"
            )
