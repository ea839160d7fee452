"""What a demo process was told to do for some seconds, in a file of its user alone.

The admin app writes the file while its setting `demo.controls` is on; a demo process
that was started with `--controls` looks into it. A file and no door: there is nothing
of it on any port, so neither a client of the balancer nor one of the backend itself
can reach it, and the kernel keeps other users out.

    FOLDER/evenhand-demo-UID-NAME   mode 0600; NAME is a backend's port, or "load"
    128 bytes: {"mode": "slow", "until": 1796000000.0}, as JSON, spaces behind it
    byte 0 is locked (`fcntl.lockf`) by who obeys, for as long as it does

FOLDER is in memory (/dev/shm), else the one for temporary files. Every order ends by
itself: at `until` (unix seconds), and whatever the clock does there is none beyond
`MOST_S`. `lb/admin/demo_orders.py` is the other side.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

MEMORY_FOLDER: Final = Path("/dev/shm")  # noqa: S108 - the name holds the user's id
RECORD_BYTES: Final = 128
MOST_S: Final = 120.0


class OrdersError(Exception):
    """Orders cannot be taken; the message says why."""


class Order(NamedTuple):
    """What to do until when (unix seconds); `port` is where load goes."""

    mode: str = ""
    until: float = 0.0
    port: int = 0


NOTHING: Final = Order()


def path_of(name: str) -> Path:
    """Where the orders for `name` are."""
    is_good = os.access(MEMORY_FOLDER, os.W_OK | os.X_OK)
    folder = MEMORY_FOLDER if is_good else Path(tempfile.gettempdir())
    return folder / f"evenhand-demo-{os.geteuid()}-{name}"


class Orders:
    """The file of one demo process: whose it is takes and removes it, others look."""

    def __init__(self, path: Path, fd: int, *, is_ours: bool) -> None:
        self._path = path
        self._fd = fd
        self._is_ours = is_ours

    @classmethod
    def take(cls, name: str) -> Orders:
        """The orders for `name`, none so far, for the one that is to obey them.

        Raises:
            OrdersError: somebody else takes them, or the file is not ours alone.
        """
        path = path_of(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise OrdersError(f"cannot use {path}: {error.strerror}") from None
        try:
            _check(path, fd)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            os.pwrite(fd, b" " * RECORD_BYTES, 0)
        except OSError:
            os.close(fd)
            raise OrdersError(
                f"another demo process called {name} takes the orders in {path}"
            ) from None
        except OrdersError:
            os.close(fd)
            raise
        return cls(path, fd, is_ours=True)

    @classmethod
    def look_into(cls, name: str) -> Orders:
        """The same for a child of the one that took them. Raises: OrdersError."""
        path = path_of(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise OrdersError(f"cannot read {path}: {error.strerror}") from None
        return cls(path, fd, is_ours=False)

    def now(self) -> Order:
        """What is to be done now, or NOTHING. 10 us."""
        try:
            told = json.loads(os.pread(self._fd, RECORD_BYTES, 0))
            order = Order(
                str(told["mode"]), float(told["until"]), int(told.get("port", 0))
            )
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return NOTHING  # empty, or being written at this moment
        return order if 0 < order.until - time.time() <= MOST_S else NOTHING

    def close(self) -> None:
        """Take no more; the file goes, if it is ours."""
        if self._is_ours:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)


def _check(path: Path, fd: int) -> None:
    """Everybody may write to the folder: nothing there is believed for its name."""
    found = os.fstat(fd)
    is_private = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077
    if not is_private or found.st_uid != os.geteuid() or found.st_nlink != 1:
        raise OrdersError(f"{path} is not a file of this user alone: remove it")
