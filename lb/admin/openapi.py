"""The OpenAPI document: each operation in a line, the schemas from the models.

The models are those that check what is asked (`asking`) and those that tests hold the
answers against (`answers`), so the document cannot drift from either; another test
compares its paths with the application's.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flask import Blueprint, Response, jsonify
from pydantic.json_schema import models_json_schema

from lb import __version__
from lb.admin import answers, asking, outcomes, problems

if TYPE_CHECKING:
    from pydantic import BaseModel

REFERENCES: Final = "#/components/schemas/{model}"
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
TEXT: Final = "text/plain"

NAME: Final = ("name", "a backend's name or address")
REQUEST_ID: Final = ("request_id", "an X-Request-Id")


class Operation(NamedTuple):
    """One thing that can be asked for; `gives` is a model or a media type."""

    method: str
    path: str
    about: str
    gives: type[BaseModel] | str
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    more: tuple[int, ...] = ()
    """Further statuses with the same body."""


READ: Final = (421, 503)
CHANGE: Final = (400, 401, 403, 409, 421, 503)
_API: Final = "/api/v1"
_ONE: Final = f"{_API}/backends/{{name}}"
_A, _O, _Q = answers, outcomes, asking

OPERATIONS: Final = (
    Operation("get", "/healthz", "This process answers", _A.Health, refusals=(421,)),
    Operation("get", "/readyz", "Whether the balancer can serve", _A.Readiness,
              refusals=(421,), more=(503,)),
    Operation("get", "/metrics", "For Prometheus", TEXT, refusals=(421,)),
    Operation("get", f"{_API}/openapi.json", "This document", JSON, refusals=(421,)),
    Operation("get", f"{_API}/status", "Everything that is now", _A.Status,
              refusals=READ),
    Operation("get", f"{_API}/backends", "Every backend", _A.Backends, refusals=READ),
    Operation("post", f"{_API}/backends", "Add a backend", _O.Change, _Q.Waiting,
              _Q.NewBackend, status=201, refusals=(*CHANGE, 413, 415)),
    Operation("get", _ONE, "One backend", _A.BackendExplained, refusals=(404, *READ)),
    Operation("delete", _ONE, "Remove it; with wait, drain it first", _O.Change,
              _Q.Waiting, refusals=(404, *CHANGE)),
    Operation("put", f"{_ONE}/weight", "Another weight", _O.Change, _Q.Waiting,
              _Q.NewWeight, refusals=(404, *CHANGE, 413, 415)),
    Operation("post", f"{_ONE}/drain", "Send it nothing new; what is in flight"
              " at the end of wait is cut", _O.Change, _Q.Waiting,
              refusals=(404, *CHANGE), more=(202,)),
    Operation("post", f"{_ONE}/maint", "Drain it, and probe it no more", _O.Change,
              _Q.Waiting, refusals=(404, *CHANGE), more=(202,)),
    Operation("post", f"{_ONE}/ready", "Undo both; wait for it to be UP",
              _O.Change, _Q.Waiting, refusals=(404, *CHANGE)),
    Operation("post", f"{_API}/changes", "Change several backends, or none",
              _O.Change, _Q.Waiting, _Q.Changes,
              refusals=(404, *CHANGE, 413, 415), more=(201, 202)),
    Operation("get", f"{_API}/workers", "The processes that serve", _A.Workers,
              refusals=READ),
    Operation("get", f"{_API}/pools", "Idle connections to backends", _A.Pools,
              refusals=READ),
    Operation("get", f"{_API}/requests", "The last requests", _A.Requests,
              _Q.WhichRequests, refusals=(400, 404, *READ)),
    Operation("get", f"{_API}/requests/{{request_id}}", "What happened to a request",
              _A.ExplainedRequests, refusals=(404, *READ)),
    Operation("get", f"{_API}/events", "What happened, the oldest first", _A.EventsTold,
              _Q.WhichEvents, refusals=(400, *READ)),
    Operation("get", f"{_API}/events/stream", "The same as it happens", EVENT_STREAM,
              refusals=READ),
    Operation("get", f"{_API}/stream", "A snapshot each second", EVENT_STREAM,
              refusals=READ),
    Operation("get", f"{_API}/history", "The last minutes, in steps", _A.HistoryTold,
              refusals=READ),
    Operation("get", f"{_API}/plan", "What a reload would change", _O.Planned,
              refusals=(422, *READ)),
    Operation("post", f"{_API}/reload", "Put edited settings in force", _O.Reloaded,
              _Q.Waiting, refusals=(422, *CHANGE)),
    Operation("get", f"{_API}/demo", "What the demo's controls can do", _O.Demo,
              refusals=READ),
    Operation("post", f"{_API}/demo/backends/{{name}}", "Let a demo backend misbehave"
              " for a while", _O.DemoBackend, body=_Q.Misbehave,
              refusals=(404, *CHANGE, 413, 415)),
    Operation("post", f"{_API}/demo/load", "Let the balancer have some requests for"
              " a while", _O.DemoLoad, body=_Q.SomeLoad,
              refusals=(*CHANGE, 413, 415)),
    Operation("get", f"{_API}/settings", "The settings in force", _A.SettingsInForce,
              refusals=READ),
)  # fmt: skip


def blueprint() -> Blueprint:
    """The route of the document."""
    made = Blueprint("openapi", __name__)

    @made.get(f"{_API}/openapi.json")
    def described() -> Response:
        return jsonify(document())

    return made


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document. 20 ms, once."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _told(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evenhand, the admin API",
            "version": __version__,
            "description": "What a balancer does, and changes to it while it runs.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    models: set[type[BaseModel]] = {answers.Problem}
    for operation in OPERATIONS:
        models |= {
            model
            for model in (operation.gives, operation.body)
            if isinstance(model, type)
        }
    ordered = sorted(models, key=lambda model: model.__name__)
    pairs = [(model, "serialization") for model in ordered]
    _, schema = models_json_schema(pairs, ref_template=REFERENCES)  # type: ignore[arg-type]
    found: dict[str, Any] = schema["$defs"]
    return found


def _told(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": operation.about,
        "operationId": _identity(operation),
        "parameters": [*_in_path(operation), *_in_query(operation)],
        "responses": _responses(operation),
    }
    if operation.method != "get":
        told["security"] = [{"token": []}, {}]
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": _content(operation.body)}
    return told


def _identity(operation: Operation) -> str:
    words = operation.path.removeprefix(_API).replace("{", "").replace("}", "")
    return f"{operation.method}{words}".replace("/", "-").replace(".", "-")


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": about,
            "schema": {"type": "string", "minLength": 1},
        }
        for name, about in (NAME, REQUEST_ID)
        if f"{{{name}}}" in operation.path
    ]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": inner.pop("description", ""),
            "schema": _without_null(inner),
        }
        for name, inner in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is left out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


def _responses(operation: Operation) -> dict[str, Any]:
    answer = {"description": operation.about, "content": _content(operation.gives)}
    told = {str(status): answer for status in (operation.status, *operation.more)}
    refusal = {
        "description": "Refused",
        "content": _content(answers.Problem, problems.MEDIA_TYPE),
    }
    return {str(status): refusal for status in operation.refusals} | told


def _content(gives: type[BaseModel] | str, media_type: str = JSON) -> dict[str, Any]:
    if isinstance(gives, str):
        return {gives: {"schema": {"type": "object" if gives == JSON else "string"}}}
    return {media_type: {"schema": {"$ref": REFERENCES.format(model=gives.__name__)}}}
