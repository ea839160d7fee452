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
from lb.admin.guard import who
from lb.admin.problems import ProblemError
from lb.report import reload_report

if TYPE_CHECKING:
    from logging import Logger
    from pathlib import Path

    from lb.admin.source import Source

WAIT_S: Final = 10.0


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
