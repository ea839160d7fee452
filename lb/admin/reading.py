"""What can be asked for: backends, workers, pools, requests, events, settings.

All of it is a reading of the shared file at the moment of the request; nothing is
kept here and no lock is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify

from lb.admin.asking import WhichEvents, WhichRequests, query
from lb.admin.problems import ProblemError
from lb.config import rows
from lb.errors import OperationError, StateFileError
from lb.operating import find
from lb.plan import ELSEWHERE
from lb.report import (
    Report,
    add_health,
    event_report,
    request_report,
    select,
    state_report,
    story,
    with_id,
    worker_reports,
)
from lb.shm import Cursor, leader_pid

if TYPE_CHECKING:
    from lb.admin.history import History
    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.config import Settings
    from lb.shm import SharedFile


def blueprint(source: Source, in_force: InForce, history: History) -> Blueprint:
    """The routes that only read."""
    made = Blueprint("reading", __name__)
    reader = Reader(source, in_force, history)
    for path, view in (
        ("/healthz", reader.healthz),
        ("/readyz", reader.readyz),
        ("/api/v1/status", reader.status),
        ("/api/v1/backends", reader.backends),
        ("/api/v1/backends/<path:name>", reader.backend),
        ("/api/v1/workers", reader.workers),
        ("/api/v1/pools", reader.pools),
        ("/api/v1/requests", reader.requests),
        ("/api/v1/requests/<path:request_id>", reader.request),
        ("/api/v1/events", reader.events),
        ("/api/v1/history", reader.history),
        ("/api/v1/settings", reader.settings),
    ):
        made.add_url_rule(path, view_func=view, methods=["GET"])
    return made


class Reader:
    """The views; each opens the file for the time of one answer."""

    def __init__(self, source: Source, in_force: InForce, history: History) -> None:
        self._source = source
        self._in_force = in_force
        self._history = history

    def healthz(self) -> Response:
        """This process answers."""
        return jsonify({"status": "ok"})

    def readyz(self) -> tuple[Response, int]:
        """Whether the balancer can serve: a backend is available, a worker alive."""
        try:
            with self._source.use() as file:
                told = _readiness(file, self._in_force.settings(file))
        except StateFileError as error:
            told = {"ready": False, "workers": 0, "available": 0, "reason": str(error)}
        return jsonify(told), 200 if told["ready"] else 503

    def status(self) -> Response:
        """Everything that is now."""
        with self._source.use() as file:
            return jsonify(state_report(file, self._in_force.settings(file)))

    def backends(self) -> Response:
        """Every backend, and those that were removed at run time."""
        with self._source.use() as file:
            told = state_report(file, self._in_force.settings(file))
        return jsonify(
            {key: told[key] for key in ("generation", "backends", "removed")}
        )

    def backend(self, name: str) -> Response:
        """One backend, by name or address."""
        with self._source.use() as file:
            told = one_backend(file, self._in_force.settings(file), name)
        return jsonify(told)

    def workers(self) -> Response:
        """The processes that serve, and who checks health."""
        with self._source.use() as file:
            told = {
                "generation": file.generation(),
                "checker_pid": leader_pid(file),
                "workers": worker_reports(file),
            }
        return jsonify(told)

    def pools(self) -> Response:
        """Idle connections to each backend, in all and by worker, at its heartbeat."""
        with self._source.use() as file:
            idle = file.idle()
            pools = [
                {
                    "backend": row.backend.name,
                    "idle": sum(counts[row.row] for counts in idle.values()),
                    "workers": [
                        {"slot": slot, "idle": counts[row.row]}
                        for slot, counts in idle.items()
                    ],
                }
                for row in file.rows()
            ]
        return jsonify({"pools": pools})

    def requests(self) -> Response:
        """The last requests, the newest first."""
        asked = query(WhichRequests)
        with self._source.use() as file:
            if asked.backend is not None:
                _known(file, asked.backend)
            found = select(
                file,
                slow_s=asked.slow,
                failed=asked.failed,
                backend=asked.backend,
                limit=asked.limit,
            )
        return jsonify({"requests": [request_report(record) for record in found]})

    def request(self, request_id: str) -> Response:
        """What happened to the requests of one id."""
        with self._source.use() as file:
            found, seen = with_id(file, request_id)
        if not found:
            raise ProblemError(
                404, f"none of the last {seen} requests has the id {request_id!r}"
            )
        told = [request_report(each) | {"story": story(each)} for each in found]
        return jsonify({"requests": told})

    def events(self) -> Response:
        """What happened, the oldest first, and where to go on."""
        asked = query(WhichEvents)
        since = None
        if asked.after is not None and (since := Cursor.parse(asked.after)) is None:
            raise ProblemError(400, f"{asked.after!r} is no cursor of these events")
        with self._source.use() as file:
            events = file.events(since)
        found = [
            event_report(event)
            for event in events.found
            if asked.backend in (None, event.what.backend)
        ]
        return jsonify(
            {
                "events": found[-asked.limit :],
                "cursor": str(events.cursor),
                "lost": events.lost,
            }
        )

    def history(self) -> Response:
        """The last minutes in steps, the oldest first."""
        with self._source.use() as file:
            names = {row.id: row.backend.name for row in file.rows()}
        return jsonify(self._history.report(names))

    def settings(self) -> Response:
        """The settings in force: of what is this process's own, those it has."""
        with self._source.use() as file:
            in_force = self._in_force.settings(file)
        own = {row.key: row for row in rows(self._in_force.own)}
        listed: list[dict[str, Any]] = []
        for told in rows(in_force):
            is_own = told.key.partition(".")[0] in ELSEWHERE
            row = (own[told.key] if is_own else told)._asdict()
            listed.append(row)
            if row["key"] == "state.path" and row["origin"] == "default":
                row["value"] = str(self._source.path)
        return jsonify({"settings": listed})


def one_backend(file: SharedFile, settings: Settings, name: str) -> Report:
    """The backend of that name or address, and its health. O(backends).

    Raises:
        ProblemError: there is none.
    """
    found = _known(file, name)
    reports: list[Report] = state_report(file, settings)["backends"]
    for report in reports:
        if report["name"] == found:
            add_health(file, settings, [report])
            return report
    raise ProblemError(404, f"{found} was removed at this moment")


def _known(file: SharedFile, name: str) -> str:
    """The name of the backend that has that name or address."""
    try:
        (row,) = find(file.rows(), [name])
    except OperationError as error:
        raise ProblemError(404, str(error)) from error
    return row.backend.name


def _readiness(file: SharedFile, settings: Settings) -> dict[str, Any]:
    workers = sum(slot.alive for slot in file.slots())
    sets = state_report(file, settings)["sets"]
    available = sum(each["available"] for each in sets)
    reasons = [] if workers else ["no worker is alive"]
    if not available:
        reasons.append("no backend is available")
    return {
        "ready": not reasons,
        "workers": workers,
        "available": available,
        "reason": " and ".join(reasons),
    }
