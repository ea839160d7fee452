"""Whose the file at a path is, and what stands in the way of using it.

Everybody may write to the folder that the shared file lies in by default, so nothing
there is believed for its name: not a link, not a pipe, not another user's file.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from lb.errors import StateFileError

if TYPE_CHECKING:
    from pathlib import Path

REMEDIES = {
    errno.ENOENT: "it does not exist",
    errno.ELOOP: "it is a symbolic link, which is not followed",
    errno.EACCES: "this user may not read and write it",
    errno.EPERM: "this user may not read and write it",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENXIO: "it is not a regular file",
    errno.EROFS: "its file system is read-only",
    errno.ENOSPC: "its file system is full",
    errno.EDQUOT: "the disk quota is used up",
}


def translated(path: Path, error: OSError) -> StateFileError:
    """A system call's failure on the state file, said to a person."""
    why = REMEDIES.get(error.errno or 0, os.strerror(error.errno or 0))
    return StateFileError(f"cannot use the state file {path}: {why}")


def open_checked(path: Path) -> int:
    """A descriptor of the file at `path`, which is regular and ours.

    The caller closes it.

    Raises:
        StateFileError: for a link, another kind of file, or another's file.
        FileNotFoundError: when there is none.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise translated(path, error) from error
    try:
        _check_kind(path, os.fstat(fd))
    except StateFileError:
        os.close(fd)
        raise
    return fd


def _check_kind(path: Path, status: os.stat_result) -> None:
    """Condition 1 of a valid file."""
    if not stat.S_ISREG(status.st_mode):
        raise StateFileError(
            f"cannot use the state file {path}: it is not a regular file"
        )
    if status.st_uid != os.geteuid():
        raise StateFileError(
            f"cannot use the state file {path}: it belongs to user {status.st_uid},"
            f" this process is user {os.geteuid()}; set state.path to a file of yours"
        )


def is_named(path: Path, fd: int) -> bool:
    """Whether `path` is the name of the file behind `fd`."""
    try:
        there = path.lstat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(fd))
