"""The settings in force, as one process learns of them from the shared file.

An arbiter puts settings in force; the processes that serve or check go by them, and
none of them reads the settings file or its own environment again: what the arbiter
found good is what all of them take.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from lb.config import from_document, state_path
from lb.errors import LbError, StateFileError
from lb.shm import SharedFile
from lb.shm.layout import Head

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from pathlib import Path
    from threading import Event

    from lb.config import Settings

LOOK_S: Final = 0.25
NOTHING_YET: Final = -1


class Following:
    """One process's view of the settings in force.

    `generation` numbers the settings that the process has begun with; 0 if no arbiter
    gave them to it, and then it keeps to them.
    """

    def __init__(self, file: SharedFile, generation: int) -> None:
        self._file = file
        self._cells = file.cells
        self.generation = generation

    def has_news(self) -> bool:
        """Whether settings were put in force that were not asked for yet. 60 ns."""
        now = self._cells[Head.SETTINGS_GENERATION]
        return now != self.generation and bool(now and self.generation)

    def news(self) -> Settings:
        """The settings in force now. A ms, and some 50 us for each backend.

        Asked for once: after an error, `has_news` tells of later ones only.

        Raises:
            ConfigError, StateFileError: they cannot be had.
        """
        # Before the reading: what is put in force meanwhile is read next time.
        self.generation = self._file.settings_generation()
        return from_document(self._file.document())


def watch(
    file: SharedFile, log: Logger, *, stop: Event, tell: Callable[[Settings], None]
) -> threading.Thread:
    """Tell of settings that are put in force, in a thread, until `stop` is set.

    First of those that are in force, if there are any. The thread is to be joined
    before the file is closed.
    """
    following = Following(file, NOTHING_YET)

    def run() -> None:
        while not stop.wait(LOOK_S):
            if not following.has_news():
                continue
            try:
                tell(following.news())
            except LbError as error:
                log.error("the settings stay as they were: %s", error)

    thread = threading.Thread(target=run, name="settings", daemon=True)
    thread.start()
    return thread


def settings_of(path: Path) -> Settings | None:
    """The settings in force in the shared file at `path`; None where nobody uses it.

    Raises:
        ConfigError, StateFileError: they cannot be read.
    """
    try:
        file = SharedFile.open(path)
    except StateFileError:
        return None
    with file:
        if not file.is_in_use() or not file.settings_generation():
            return None
        return from_document(file.document())


def find(settings: Settings) -> tuple[Path, Settings] | None:
    """The running balancer that `settings` are meant for: its file and its settings.

    Its place follows from settings that may have been edited since: then it is the
    one beside it that has read the same settings file, if there is just one.
    """
    here = state_path(settings)
    if (found := settings_of(here)) is not None:
        return here, found
    alike = []
    for path in here.parent.glob("evenhand-*.state"):
        with contextlib.suppress(LbError):  # another's, or of another version
            found = settings_of(path)
            if found is not None and _place(found) == _place(settings):
                alike.append((path, found))
    return alike[0] if len(alike) == 1 else None


def _place(settings: Settings) -> Path:
    return settings.file or settings.folder
