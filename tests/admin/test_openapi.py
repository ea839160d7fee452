"""The document: its paths are the application's, and whatever fits it is served so."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from lb.admin.openapi import document

with warnings.catch_warnings():
    # What others deprecate in each other is not this test's business.
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

if TYPE_CHECKING:
    from tests.admin.conftest import Scene

STREAMS = {"/api/v1/events/stream", "/api/v1/stream"}
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_its_operations_are_the_applications(scene: Scene) -> None:
    served = {
        (method.lower(), rule.rule.replace("<path:", "{").replace(">", "}"))
        for rule in scene.app.url_map.iter_rules()
        if not rule.endpoint.startswith("page.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = {
        (method, path)
        for path, operations in document()["paths"].items()
        for method in operations
    }
    assert told == served


def test_it_is_served(scene: Scene) -> None:
    told = scene.get("/api/v1/openapi.json")
    assert told == document()
    assert told["openapi"].startswith("3.1")


OPERATIONS = [
    (method, path)
    for path, told in document()["paths"].items()
    for method in told
    if path not in STREAMS
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.filterwarnings("ignore")
def test_whatever_fits_the_document_is_answered_as_it_says(
    scene: Scene, method: str, path: str
) -> None:
    """Every status, type and body is in the document; 500 is not."""
    headers = {"Host": "localhost"}
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json", scene.app, headers=headers
    )

    @profile(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy(), st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        if is_known and "name" in (case.path_parameters or {}):
            case.path_parameters["name"] = "web9001"
            (case.query or {}).pop("wait", None)  # nobody here would ever see it
        if case.query and "wait" in case.query:
            case.query["wait"] = 0
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    ask()
