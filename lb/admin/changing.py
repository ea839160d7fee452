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

from lb.admin.asking import Changes, NewBackend, NewWeight, Waiting, body, query
from lb.admin.guard import who
from lb.admin.problems import ProblemError
from lb.errors import OperationError
from lb.model import Wish
from lb.operating import (
    Done,
    OnFile,
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
    from collections.abc import Callable, Iterator, Sequence
    from logging import Logger

    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.model import Backend
    from lb.operating import Standing
    from lb.shm import SharedFile

    Names = Sequence[str] | None
    """Of backends; None for all."""
    Wait = Callable[[Callable[..., Outcome], Done], Outcome | None]

MOST_WAITS: Final = 8
"""How many changes may be waited for at a time; each holds one of the app's threads."""

Answer = tuple[Response, int]


def blueprint(source: Source, in_force: InForce, log: Logger) -> Blueprint:
    """The routes that change something."""
    made = Blueprint("changing", __name__, url_prefix="/api/v1")
    changer = Changer(source, in_force, log)
    made.add_url_rule("/changes", view_func=changer.change, methods=["POST"])
    made.add_url_rule("/backends", view_func=changer.add, methods=["POST"])
    name = "/backends/<path:name>"
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
        return self._take_out([name], Wish.DRAIN)

    def maint(self, name: str) -> Answer:
        """Drain it, and probe it no more."""
        return self._take_out([name], Wish.MAINT)

    def remove(self, name: str) -> Answer:
        """Take it out of the table."""
        return self._take_out([name], Wish.DRAIN, removes=True)

    def ready(self, name: str) -> Answer:
        """Undo `drain` and `maint`."""
        return self._make_ready([name])

    def weight(self, name: str) -> Answer:
        """Give it another weight."""
        return self._set_weight([name], body(NewWeight).weight)

    def add(self) -> Answer:
        """Add one, or bring back one that was removed."""
        return self._add([body(NewBackend)])

    def change(self) -> Answer:
        """Do one of these to several backends at once."""
        wanted = body(Changes)
        names = None if wanted.all else wanted.names
        if wanted.change == "add":
            return self._add(wanted.backends)
        if wanted.change == "ready":
            return self._make_ready(names)
        if wanted.weight is not None:
            return self._set_weight(names, wanted.weight)
        wish = Wish.MAINT if wanted.change == "maint" else Wish.DRAIN
        return self._take_out(names, wish, removes=wanted.change == "remove")

    def _take_out(self, names: Names, wish: Wish, *, removes: bool = False) -> Answer:
        wait_s = query(Waiting).wait
        word = "removed" if removes else wish.name.lower()
        is_async = not removes and _prefers_async()
        cut_at = 0.0 if wait_s is None else time.time() + wait_s
        outcome: Outcome | None = None
        with self._waiting(None if is_async else wait_s), self._source.use() as file:
            _check_known(file, names)
            done = set_wish(file, names, wish, cut_at=cut_at, who=who())
            in_flight = look(file, done).in_flight
            if wait_s is not None and not is_async:
                watched = OnFile(file, done)
                outcome = wait_drained(watched, cut_at=cut_at, tell=_nobody)
            if removes:
                remove(file, done.rows, who=who())
        answer = self._told(word, done, outcome, in_flight)
        return answer, 202 if is_async and wait_s is not None else 200

    def _make_ready(self, names: Names) -> Answer:
        with self._changed() as (file, wait):
            _check_known(file, names)
            done = set_wish(file, names, Wish.READY, who=who())
            outcome = wait(wait_up, done)
        return self._told("ready", done, outcome), 200

    def _set_weight(self, names: Names, weight: int) -> Answer:
        with self._changed() as (file, wait):
            _check_known(file, names)
            done = set_weight(file, names, weight, who=who())
            outcome = wait(wait_seen, done)
        return self._told(f"weight {weight}", done, outcome), 200

    def _add(self, wanted: Sequence[NewBackend]) -> Answer:
        with self._changed() as (file, wait):
            sets = [each.name for each in self._in_force.settings(file).sets]
            backends = [_backend(file, each) for each in wanted]
            done = add(file, backends, sets=sets, who=who())
            outcome = wait(wait_up, done)
        return self._told("added", done, outcome), 201

    @contextmanager
    def _changed(self) -> Iterator[tuple[SharedFile, Wait]]:
        """The file for a change, and what waits for it as long as was asked for."""
        wait_s = query(Waiting).wait

        def wait(until: Callable[..., Outcome], done: Done) -> Outcome | None:
            if wait_s is None:
                return None
            return until(OnFile(file, done), timeout_s=wait_s)

        with self._waiting(wait_s), self._source.use() as file:
            yield file, wait

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


def _check_known(file: SharedFile, names: Names) -> None:
    """Nothing, if there are backends called so. Raises: ProblemError."""
    try:
        find(file.rows(), names)
    except OperationError as error:
        raise ProblemError(404, str(error)) from error


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
