"""Locks on single bytes of the shared file, which the kernel frees at death.

Who may write what, and who is alive, is decided here.  The locks are *open file
description* locks (`F_OFD_SETLK`, Linux 3.15), not the POSIX locks of
`fcntl.lockf`, for two reasons:

- a process loses all its POSIX locks on a file when it closes *any* descriptor
  of that file: a second `SharedFile` in the same process, or the descriptor that
  `mmap` duplicates, would silently end its leadership;
- POSIX locks do not exclude threads, nor two opens, of one process.

The price is that a description is inherited over `fork`: a lock lives until the
child has closed it too.  Nothing here forks, descriptors are closed by `exec`
(PEP 446), and gunicorn's arbiter closes the file before it forks its workers.

No lock here is waited for without a deadline, and none says which process has
it (for these locks the kernel does not know): that is written in cells.
"""

from __future__ import annotations

import errno
import fcntl
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lb.errors import StateFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRY_S = 0.005
_FLOCK = struct.Struct("@hhqqi0q")
"""`struct flock`: type, whence, start, length, pid; padded as C pads it."""
_BUSY = (errno.EAGAIN, errno.EACCES)


class ByteLocks:
    """The locks that one open of the file holds, and questions about others'.

    Safe for threads: of two that ask for the same byte one gets it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: set[int] = set()
        self._mutex = threading.Lock()

    def take(self, byte: int, *, shared: bool = False) -> bool:
        """Whether the byte is now locked by us and was not before; never waits."""
        with self._mutex:
            if byte in self._held:
                return False
            kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
            if not self._set(byte, kind):
                return False
            self._held.add(byte)
            return True

    def free(self, byte: int) -> None:
        """Unlock a byte; nothing happens if we do not hold it."""
        with self._mutex:
            if byte in self._held:
                self._held.discard(byte)
                self._set(byte, fcntl.F_UNLCK)

    def free_all(self) -> None:
        """Unlock whatever we hold."""
        for byte in list(self._held):
            self.free(byte)

    def is_ours(self, byte: int) -> bool:
        """Whether this very open of the file holds the byte."""
        return byte in self._held

    def is_others(self, first: int, count: int = 1) -> bool:
        """Whether any other open of the file holds one of `count` bytes.

        `count` 0 means all bytes from `first` on.
        """
        asked = _FLOCK.pack(fcntl.F_WRLCK, 0, first, count, 0)
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def is_held(self, byte: int) -> bool:
        """Whether anybody holds the byte."""
        return self.is_ours(byte) or self.is_others(byte)

    def _set(self, byte: int, kind: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, 0, byte, 1, 0))
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise StateFileError(f"cannot lock the state file: {error}") from error
        return True


@contextmanager
def held(locks: ByteLocks, byte: int, *, timeout_s: float = 5.0) -> Iterator[None]:
    """The block runs with the byte locked, after at most `timeout_s` of waiting.

    Raises:
        StateFileError: when others held it all that time.
    """
    deadline = time.monotonic() + timeout_s
    while not locks.take(byte):
        if time.monotonic() >= deadline:
            raise StateFileError(
                f"the state file stayed locked by another process for {timeout_s:g} s;"
                " is one of them stopped?"
            )
        time.sleep(RETRY_S)
    try:
        yield
    finally:
        locks.free(byte)
