"""What can be changed: by the same functions as the command line, told to the log.

Every change takes `?wait=SECONDS`, and then answers when it is done everywhere, or when
the time is over: as `lb drain --wait`, a drain cuts then what is still in flight. With
`Prefer: respond-async` (RFC 7240) a drain is answered at once and cut all the same.
A wait holds a thread, so only some are waited for at a time.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, jsonify, request

from lb.admin.asking import NewBackend, NewWeight, Waiting, body, query
from lb.admin.guard import who
from lb.admin.problems import ProblemError
from lb.errors import OperationError
from lb.model import Wish
from lb.operating import (
    Done,
    Outcome,
    add,
    find,
    look,
    read_backend,
    remove,
    set_weight,
    set_wish,
    wait_drained,
    wait_seen,
    wait_up,
)
from lb.report import change_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from logging import Logger

    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.model import Backend
    from lb.operating import Standing
    from lb.shm import SharedFile

MOST_WAITS: Final = 8
"""How many changes may be waited for at a time; each holds one of the app's threads."""

Answer = tuple[Response, int]


def blueprint(source: Source, in_force: InForce, log: Logger) -> Blueprint:
    """The routes that change something."""
    made = Blueprint("changing", __name__, url_prefix="/api/v1/backends")
    changer = Changer(source, in_force, log)
    made.add_url_rule("", view_func=changer.add, methods=["POST"])
    name = "/<path:name>"
    made.add_url_rule(name, view_func=changer.remove, methods=["DELETE"])
    made.add_url_rule(f"{name}/weight", view_func=changer.weight, methods=["PUT"])
    made.add_url_rule(f"{name}/drain", view_func=changer.drain, methods=["POST"])
    made.add_url_rule(f"{name}/maint", view_func=changer.maint, methods=["POST"])
    made.add_url_rule(f"{name}/ready", view_func=changer.ready, methods=["POST"])
    return made


class Changer:
    """The views; each is one change, its event in the file and a line in the log."""

    def __init__(self, source: Source, in_force: InForce, log: Logger) -> None:
        self._source = source
        self._in_force = in_force
        self._log = log
        self._waits = BoundedSemaphore(MOST_WAITS)

    def drain(self, name: str) -> Answer:
        """Send a backend nothing new."""
        return self._take_out(name, Wish.DRAIN)

    def maint(self, name: str) -> Answer:
        """Drain it, and probe it no more."""
        return self._take_out(name, Wish.MAINT)

    def remove(self, name: str) -> Answer:
        """Take it out of the table."""
        return self._take_out(name, Wish.DRAIN, removes=True)

    def _take_out(self, name: str, wish: Wish, *, removes: bool = False) -> Answer:
        wait_s = query(Waiting).wait
        word = "removed" if removes else wish.name.lower()
        is_async = not removes and _prefers_async()
        cut_at = 0.0 if wait_s is None else time.time() + wait_s
        outcome: Outcome | None = None
        with self._waiting(None if is_async else wait_s), self._source.use() as file:
            done = set_wish(file, _names(file, name), wish, cut_at=cut_at, who=who())
            in_flight = look(file, done).in_flight
            if wait_s is not None and not is_async:
                outcome = wait_drained(file, done, cut_at=cut_at, tell=_nobody)
            if removes:
                remove(file, done.rows, who=who())
        answer = self._told(word, done, outcome, in_flight)
        return answer, 202 if is_async and wait_s is not None else 200

    def ready(self, name: str) -> Answer:
        """Undo the two above."""
        wait_s = query(Waiting).wait
        with self._waiting(wait_s), self._source.use() as file:
            done = set_wish(file, _names(file, name), Wish.READY, who=who())
            outcome = None if wait_s is None else wait_up(file, done, timeout_s=wait_s)
        return self._told("ready", done, outcome), 200

    def weight(self, name: str) -> Answer:
        """Give it another weight."""
        wait_s, weight = query(Waiting).wait, body(NewWeight).weight
        with self._waiting(wait_s), self._source.use() as file:
            done = set_weight(file, _names(file, name), weight, who=who())
            outcome = None
            if wait_s is not None:
                outcome = wait_seen(file, done, timeout_s=wait_s)
        return self._told(f"weight {weight}", done, outcome), 200

    def add(self) -> Answer:
        """Add one, or bring back one that was removed."""
        wait_s, wanted = query(Waiting).wait, body(NewBackend)
        with self._waiting(wait_s), self._source.use() as file:
            sets = [each.name for each in self._in_force.settings(file).sets]
            done = add(file, [_backend(file, wanted)], sets=sets, who=who())
            outcome = None if wait_s is None else wait_up(file, done, timeout_s=wait_s)
        return self._told("added", done, outcome), 201

    @contextmanager
    def _waiting(self, wait_s: float | None) -> Iterator[None]:
        """The block may wait, if not too many do."""
        if wait_s is None:
            yield
            return
        if not self._waits.acquire(blocking=False):
            raise ProblemError(
                503,
                f"{MOST_WAITS} changes are waited for already; ask without wait",
                headers={"Retry-After": "5"},
            )
        try:
            yield
        finally:
            self._waits.release()

    def _told(
        self,
        word: str,
        done: Done,
        outcome: Outcome | None,
        in_flight: dict[str, int] | None = None,
    ) -> Response:
        for row in done.rows:
            self._log.info(
                "%s (%s): %s, wanted by %s (%.80r)",
                row.backend.name,
                row.backend.address,
                word,
                who(),
                request.headers.get("User-Agent", ""),
            )
        return jsonify(change_report(word, done, outcome, in_flight or {}))


def _prefers_async() -> bool:
    return "respond-async" in request.headers.get("Prefer", "").lower()


def _nobody(_standing: Standing, _left_s: float) -> None:
    """Nobody reads along: who watches does so by the snapshots."""


def _names(file: SharedFile, name: str) -> list[str]:
    """The name, in a list, if there is such a backend. Raises: ProblemError."""
    try:
        find(file.rows(), [name])
    except OperationError as error:
        raise ProblemError(404, str(error)) from error
    return [name]


def _backend(file: SharedFile, wanted: NewBackend) -> Backend:
    """The backend that a body asks for. Raises: ProblemError."""
    try:
        backend = read_backend(file, wanted.backend)
    except OperationError as error:
        raise ProblemError(400, str(error)) from error
    told: dict[str, Any] = {
        "weight": wanted.weight,
        "group": wanted.set,
        "max_in_flight": wanted.max_in_flight,
        "backup": wanted.backup,
    }
    given = {key: value for key, value in told.items() if value is not None}
    return replace(backend, **given)
