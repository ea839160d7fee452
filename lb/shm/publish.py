"""Make the shared file, or make it say which backends there are.

Whoever starts a balancer publishes its backends: gunicorn's arbiter before it
forks, the `health` process, a test.  What a publisher finds, and what it does:

    found at the path            in use by living      nobody uses it
    nothing                                            make it
    same backends                leave it              make it anew (1)
    other backends               change rows (2)       make it anew
    another version, damaged     refuse                make it anew
    a link, a folder, another's  refuse                refuse

(1) Verdicts of an earlier run must not survive; a file that nobody has used yet
    has none and is left alone, so that processes which start together agree.
(2) If asked to by `replace`, else refuse.

What was changed at run time (`lb.shm.edit`) is left out of the comparison, and stays
in a file that is in use as far as the settings say of it what they said before.

In use means that a slot, the leadership or a claim to it is held.  All this
happens under the builder lock of the file that is there, and a new file takes
the name by one rename (or, where there was none, one link): of two publishers
at once the second finds the first one's work.  A file is never changed into a
valid one in place, so no process ever opens a half-made one.

With the backends may go a document, the settings in force (`lb.shm.document`).  It
is there before the rows that belong to it, and whoever sees the rows looks for it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lb.errors import StateFileError
from lb.shm import table
from lb.shm.cells import microseconds
from lb.shm.document import remove_document, write_document
from lb.shm.events import EventKind, Happening, Ring, write_event
from lb.shm.file import SharedFile
from lb.shm.geometry import Geometry, write_header
from lb.shm.layout import CELL_BYTES, DEFAULT_SLOTS, LOCK_BUILDER, LOCK_LEADER, Head
from lb.shm.leader import leader_pid
from lb.shm.locks import ByteLocks, held
from lb.shm.place import is_named, open_checked, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lb.model import Backend

RACES = 100
"""How often another publisher may be faster before we give up."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a publisher wants; see `publish`."""

    backends: Sequence[Backend]
    replace: bool
    slots: int
    document: bytes


def publish(
    path: str | os.PathLike[str],
    backends: Sequence[Backend],
    *,
    replace: bool = False,
    slots: int = DEFAULT_SLOTS,
    document: bytes = b"",
) -> int:
    """Make the file at `path` say that these are the backends.

    `replace` allows to change them under processes that use the file; `slots`,
    for a new file, is how many processes may use it at a time; `document`, if not
    empty, is put in force with them.  Holds no lock and keeps nothing open when it
    returns: the number of that document, or 0 where none was given.

    Raises:
        StateFileError: what is in the way and what to do about it.
    """
    path = Path(path)
    wanted = _Wanted(backends, replace, slots, document)
    table.check_backends(backends)
    for _ in range(RACES):
        try:
            fd = open_checked(path)
        except FileNotFoundError:
            if _make_first(path, wanted) and not document:
                return 0
            continue
        try:
            if (generation := _settle(path, fd, wanted)) is not None:
                return generation
        finally:
            os.close(fd)
    raise StateFileError(f"the state file {path} is replaced again and again")


def retire(path: str | os.PathLike[str], *, keep: bool = False) -> bool:
    """Remove the file at `path` if nobody uses it; whether that is done.

    Whoever would come next makes it anew anyway, and a file in memory that nobody
    will ask for again is memory lost. One that is damaged or not ours is left alone.
    With `keep` only the document goes, which may hold secrets.
    """
    path = Path(path)
    try:
        fd = open_checked(path)
    except FileNotFoundError:
        return True
    except StateFileError:
        return False
    try:
        locks = ByteLocks(fd)
        with held(locks, LOCK_BUILDER):
            if locks.is_others(LOCK_LEADER, 0) or not is_named(path, fd):
                return False
            remove_document(path)
            if not keep:
                path.unlink()
            return True
    except (StateFileError, OSError):
        return False
    finally:
        os.close(fd)


def _settle(path: Path, fd: int, wanted: _Wanted) -> int | None:
    """Bring the file behind `fd` in order; None if there is another file now.

    That may be our own new one, which still lacks its document.
    """
    locks = ByteLocks(fd)
    with held(locks, LOCK_BUILDER):
        if not is_named(path, fd):
            return None
        in_use = locks.is_others(LOCK_LEADER, 0)
        try:
            file = SharedFile.adopt(path, os.dup(fd))
        except StateFileError as error:
            if in_use:
                raise StateFileError(
                    f"{error}, and living processes use it: stop them, or set"
                    " state.path to another file"
                ) from error
            _make_anew(path, wanted)
            return None if wanted.document else 0
        with file:
            if in_use:
                return _change(file, wanted)
            if _is_unused(file) and _has(file, wanted.backends):
                return _put_in_force(file, wanted.document)
            _make_anew(path, wanted)
            return None if wanted.document else 0


def _put_in_force(file: SharedFile, document: bytes) -> int:
    if not document:
        return 0
    write_document(file.path, document)
    file.cells[Head.SETTINGS_GENERATION] += 1
    generation = file.settings_generation()
    what = Happening(EventKind.SETTINGS, after=generation, who=table.SETTINGS)
    write_event(file.cells, file.geometry, Ring.TABLE, what)
    return generation


def _has(file: SharedFile, backends: Sequence[Backend]) -> bool:
    """Whether these are what settings said last, whatever was changed at run time."""
    said = list(table.read_configured(file.cells, file.geometry))
    return table.is_same(said, backends)


def _is_unused(file: SharedFile) -> bool:
    """Whether nothing was ever stored in the file but its backends."""
    cells = file.cells
    touched = cells[Head.VERDICT_GENERATION] or cells[Head.LEADER_SINCE]
    return not touched and cells[Head.TABLE_GENERATION] == 1 and not file.slots()


def _change(file: SharedFile, wanted: _Wanted) -> int:
    """Change a file in use: its rows, if they differ and that is allowed."""
    is_same = _has(file, wanted.backends)
    if not is_same and not wanted.replace:
        raise StateFileError(
            f"the state file {file.path} is in use by {_users(file)} with other"
            " backends: stop that balancer, or set state.path to another file"
        )
    table.require_room(file.cells, file.geometry, wanted.backends)
    generation = _put_in_force(file, wanted.document)
    if not is_same:
        table.write_rows(file.cells, file.geometry, wanted.backends)
    elif generation:
        # Who serves looks at this cell for each request, at the other one only now.
        file.cells[Head.TABLE_GENERATION] += 1
    return generation


def _users(file: SharedFile) -> str:
    living = [slot.pid for slot in file.slots() if slot.alive]
    pid = leader_pid(file) or next(iter(living), None)
    return f"process {pid}" if pid else "another process"


def _make_first(path: Path, wanted: _Wanted) -> bool:
    """Make the file where there is none; False if another did so meanwhile."""
    with _new_file(path, wanted.backends, wanted.slots) as new:
        try:
            os.link(new, path)
        except FileExistsError:
            return False
        except OSError as error:
            raise translated(path, error) from error
    return True


def _make_anew(path: Path, wanted: _Wanted) -> None:
    """Put a new file in the place of the one that is there."""
    with _new_file(path, wanted.backends, wanted.slots) as new:
        try:
            new.replace(path)
        except OSError as error:
            raise translated(path, error) from error


@contextlib.contextmanager
def _new_file(path: Path, backends: Sequence[Backend], slots: int) -> Iterator[Path]:
    """A whole file under a name of its own, which is gone after the block."""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise StateFileError(
            f"cannot make the state file {path}: {error.strerror} in its folder;"
            " make that folder writable, or set state.path"
        ) from error
    try:
        try:
            _fill(fd, backends, slots)
        except OSError as error:
            raise translated(path, error) from error
        finally:
            os.close(fd)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _fill(fd: int, backends: Sequence[Backend], slots: int) -> None:
    """Make the empty file behind `fd` a valid one with these backends."""
    geometry = Geometry.for_backends(len(backends), slots)
    os.ftruncate(fd, geometry.file_bytes)
    # A hole that no space can be found for later would be a SIGBUS in a worker; the
    # slots' bodies get theirs when they are taken.
    os.posix_fallocate(fd, 0, geometry.bodies_at * CELL_BYTES)
    with (
        mmap.mmap(fd, geometry.file_bytes) as mapped,
        memoryview(mapped) as data,
        data.cast("Q") as cells,
    ):
        write_header(cells, geometry, now_us=microseconds(time.time()), pid=os.getpid())
        table.write_rows(cells, geometry, backends)
