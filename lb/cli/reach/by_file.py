"""A balancer of this machine, by its shared file: nobody needs to answer."""

from __future__ import annotations

import getpass
import os
import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from lb import native, operating
from lb.cli.reach.operator import Happened, News, Story
from lb.config import load, state_path
from lb.errors import StateFileError
from lb.operating import OnFile
from lb.report import change_report, event_report, request_report
from lb.shm import Cursor, SharedFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from lb.cli.reach.operator import Wanted, Which
    from lb.config import Settings
    from lb.model import Backend, Wish
    from lb.operating import Done
    from lb.report import Report

LOOK_S: Final = 0.25
SNAPSHOT_EVERY_S: Final = 1.0
PAUSE_SHARE: Final = 3
"""A pause is at least so many times as long as the making before it."""


def who() -> str:
    """Who makes the change, as events tell it."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        name = f"user {os.getuid()}"
    return f"{name}, by command"


class FileOperator:
    """The balancer whose shared file the settings found here lead to.

    The file is opened when it is first needed. See `Operator` for the methods.
    """

    def __init__(self) -> None:
        self._file: SharedFile | None = None

    @cached_property
    def _settings(self) -> Settings:
        return load()

    def _open(self) -> SharedFile:
        """The file that is there now: a balancer that was started again made another.

        Raises:
            ConfigError, StateFileError: it cannot be found or used.
        """
        if self._file is not None and not self._file.is_current():
            self.close()
        if self._file is None:
            self._file = SharedFile.open(state_path(self._settings))
        return self._file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def status(self, names: Sequence[str] = ()) -> Report:
        """See `Operator`."""
        from lb.report import add_health, state_report

        settings, file = self._settings, self._open()
        report = state_report(file, settings)
        if names:
            wanted = {row.id for row in operating.find(file.rows(), names)}
            report["backends"] = [b for b in report["backends"] if b["id"] in wanted]
            add_health(file, settings, report["backends"])
        return report

    def names(self) -> list[str]:
        """See `Operator`."""
        return [row.backend.name for row in self._open().rows()]

    def requests(self, which: Which) -> list[Report]:
        """See `Operator`."""
        from lb.report import select

        found = select(
            self._open(),
            slow_s=which.slow_s,
            failed=which.failed,
            backend=which.backend,
            limit=which.limit,
        )
        return [request_report(record) for record in found]

    def explain(self, request_id: str) -> Story:
        """See `Operator`."""
        from lb.report import story, with_id

        found, seen = with_id(self._open(), request_id)
        if not found:
            nothing = f"none of the last {seen} requests has the id {request_id!r}"
            return Story(nothing=nothing)
        return Story([request_report(each) | {"story": story(each)} for each in found])

    def events(self, backend: str | None, limit: int) -> Happened:
        """See `Operator`."""
        found = self._open().events()
        told = [
            event_report(event)
            for event in found.found
            if backend in (None, event.what.backend)
        ]
        return Happened(told[max(0, len(told) - limit) :], str(found.cursor))

    def follow(self, cursor: str) -> Iterator[News]:
        """See `Operator`."""
        since = Cursor.parse(cursor)
        while True:
            try:
                file = self._open()
                if since != file.events_end():
                    found = file.events(since)
                    if found.lost:
                        yield News(lost=found.lost)
                    yield from (News(event_report(event)) for event in found.found)
                    since = found.cursor
                elif not file.is_in_use():
                    yield News(trouble=_unused(file))
            except StateFileError as error:
                yield News(trouble=str(error))
            native.sleep(LOOK_S)

    def snapshots(self, stop: Event) -> Iterator[News]:
        """See `Operator`."""
        from lb.report import snapshot
        from lb.report.latencies import Window
        from lb.shm import FigureReader

        reader, window = FigureReader(), Window()
        while not stop.is_set():
            began = time.monotonic()
            try:
                file = self._open()
                figures = reader.read(file)
                looked = window.look(figures.born, figures.latencies, began)
                told = snapshot(file, self._settings, figures, looked)
                in_use = file.is_in_use()
                yield News(told) if in_use else News(trouble=_unused(file))
            except StateFileError as error:
                yield News(trouble=str(error))
            took_s = time.monotonic() - began
            stop.wait(max(SNAPSHOT_EVERY_S - took_s, PAUSE_SHARE * took_s))

    def set_wish(
        self, names: Sequence[str] | None, wish: Wish, *, wait_s: float | None
    ) -> OnFileMade:
        """See `Operator`."""
        file = self._open()
        cut_at = 0.0 if wait_s is None else time.time() + wait_s
        done = operating.set_wish(file, names, wish, cut_at=cut_at, who=who())
        return OnFileMade(file, done, wish.name.lower())

    def set_weight(self, names: Sequence[str] | None, weight: int) -> OnFileMade:
        """See `Operator`."""
        file = self._open()
        done = operating.set_weight(file, names, weight, who=who())
        return OnFileMade(file, done, f"weight {weight}")

    def add(self, wanted: Sequence[Wanted]) -> OnFileMade:
        """See `Operator`."""
        file = self._open()
        found = [as_told(operating.read_backend(file, w.text), w) for w in wanted]
        sets = [each.name for each in self._settings.sets]
        done = operating.add(file, found, sets=sets, who=who())
        return OnFileMade(file, done, "added")

    def plan(self) -> Report:
        """See `Operator`."""
        from lb.reloading import propose

        path, found = propose()
        return {"state_path": str(path)} | found.report()

    def reload(self, timeout_s: float) -> Report:
        """See `Operator`."""
        from lb.reloading import propose, reload
        from lb.report import reload_report

        path, found = propose()
        return reload_report(found, reload(path, timeout_s=timeout_s))


class OnFileMade(OnFile):
    """A change that was made in the shared file."""

    def __init__(self, file: SharedFile, done: Done, word: str) -> None:
        super().__init__(file, done)
        self._file, self._done = file, done
        in_flight = self.standing().in_flight
        self.report = change_report(word, done, None, in_flight)

    def remove(self) -> None:
        """See `Made`."""
        operating.remove(self._file, self._done.rows, who=who())


def _unused(file: SharedFile) -> str:
    return f"no process uses the state file {file.path}: the balancer has ended"


def as_told(backend: Backend, wanted: Wanted) -> Backend:
    """The backend with what was said of it besides its address."""
    told = {
        "weight": wanted.weight,
        "group": wanted.group,
        "max_in_flight": wanted.max_in_flight,
        "backup": wanted.backup,
    }
    given = {key: value for key, value in told.items() if value is not None}
    return replace(backend, **given)  # type: ignore[arg-type]
