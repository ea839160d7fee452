"""The plan of a reload, and the reload: `lb plan` and `lb reload` for programs.

The settings are looked at with the arbiter's eyes, as `lb.reloading` says; this process
itself keeps those by which it listens and guards until it is started again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, jsonify

from lb import reloading
from lb.admin.asking import Waiting, query
from lb.admin.changing import who
from lb.admin.problems import ProblemError
from lb.config import from_document
from lb.errors import LbError
from lb.report import reload_report

if TYPE_CHECKING:
    from logging import Logger
    from pathlib import Path

    from lb.admin.source import Source
    from lb.config import Settings
    from lb.shm import SharedFile

WAIT_S: Final = 10.0


class InForce:
    """The settings that the balancer goes by; `own` where no arbiter tells them."""

    def __init__(self, own: Settings) -> None:
        self._own = self._found = own
        self._seen: tuple[int, int] | None = None

    def settings(self, file: SharedFile) -> Settings:
        """Those in force now. Read anew when others were put in force: 1 ms."""
        generation = file.settings_generation()
        seen = file.events_end().born, generation
        if seen != self._seen:
            self._found = self._own
            if generation:
                try:
                    self._found = from_document(file.document())
                except LbError:  # the balancer ends, or is of another version
                    return self._own
            self._seen = seen
        return self._found


def blueprint(source: Source, log: Logger) -> Blueprint:
    """The two routes."""
    made = Blueprint("reloading", __name__, url_prefix="/api/v1")
    one_at_a_time = threading.Lock()

    @made.get("/plan")
    def plan() -> Response:
        path, found = reloading.propose(source.path)
        return jsonify({"state_path": str(path)} | found.report())

    @made.post("/reload")
    def reload() -> Response:
        wait_s = query(Waiting).wait
        if not one_at_a_time.acquire(blocking=False):
            raise ProblemError(409, "another reload is asked for at this moment")
        try:
            told = _reload(source.path, WAIT_S if wait_s is None else wait_s)
        finally:
            one_at_a_time.release()
        log.info("reload, wanted by %s: in force is %d", who(), told["generation"])
        return jsonify(told)

    return made


def _reload(path: Path, wait_s: float) -> dict[str, Any]:
    plan = reloading.propose(path).plan
    return reload_report(plan, reloading.reload(path, timeout_s=wait_s))
