"""The shared file for many threads, opened when it is asked for and there is one.

The balancer may start later than this process, end before it, and make its file anew;
each use gets the file that is there now, and one that was replaced is closed by the
last thread that still reads it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lb.errors import StateFileError
from lb.shm import SharedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Source:
    """Where the shared file is, and who reads it at the moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._current: SharedFile | None = None
        self._users: dict[SharedFile, int] = {}

    def __repr__(self) -> str:
        return f"<Source {self.path} users={sum(self._users.values())}>"

    @contextmanager
    def use(self) -> Iterator[SharedFile]:
        """The file that is there now, which the block may read and change. 10 us.

        Raises:
            StateFileError: there is none, or it cannot be used.
        """
        file = self._enter()
        try:
            yield file
        finally:
            self._leave(file)

    def _enter(self) -> SharedFile:
        with self._lock:
            if self._current is not None and not self._current.is_current():
                self._drop(self._current)
            if self._current is None:
                self._current = self._open()
            self._users[self._current] += 1
            return self._current

    def _open(self) -> SharedFile:
        try:
            file = SharedFile.open(self.path)
        except StateFileError as error:
            raise StateFileError(f"{error}; does the balancer run?") from error
        self._users[file] = 0
        return file

    def _leave(self, file: SharedFile) -> None:
        with self._lock:
            self._users[file] -= 1
            if file is not self._current:
                self._close_unused(file)

    def _drop(self, file: SharedFile) -> None:
        self._current = None
        self._close_unused(file)

    def _close_unused(self, file: SharedFile) -> None:
        if not self._users[file]:
            del self._users[file]
            file.close()

    def close(self) -> None:
        """Close the file, now or when the last thread has read it."""
        with self._lock:
            if self._current is not None:
                self._drop(self._current)
