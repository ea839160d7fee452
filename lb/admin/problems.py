"""How the admin app says no: problem details as in RFC 9457, for every error.

A problem's `detail` is the sentence that the command line would print. Its `type` is
left out, which means "about:blank": the status says what kind it is.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from flask import Response, json
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from lb.errors import ConfigError, OperationError, StateFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

MEDIA_TYPE: Final = "application/problem+json"


class ProblemError(Exception):
    """A request that is refused, with what is told of it.

    `more` are further members, such as the faults of a body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def problem(error: ProblemError) -> Response:
    """The error as a response."""
    told = {
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
        **error.more,
    }
    body = json.dumps(told) + "\n"
    response = Response(body, status=error.status, mimetype=MEDIA_TYPE)
    response.headers.update(error.headers)
    return response


def _from_http(error: HTTPException) -> Response:
    """Of what Flask itself refuses: unknown paths, methods, bodies too large."""
    status = error.code or 500
    made = ProblemError(status, error.description or HTTPStatus(status).phrase)
    if error.get_response is not None:
        allow = error.get_response().headers.get("Allow")
        made.headers = {"Allow": allow} if allow else {}
    return problem(made)


def _from_validation(error: ValidationError) -> Response:
    faults = [
        {
            "field": ".".join(str(part) for part in fault["loc"]) or "(body)",
            "reason": fault["msg"],
        }
        for fault in error.errors(include_url=False, include_input=False)
    ]
    said = "; ".join(f"{fault['field']}: {fault['reason']}" for fault in faults)
    return problem(ProblemError(400, said, faults=faults))


def _unavailable(error: StateFileError) -> Response:
    return problem(ProblemError(503, str(error), headers={"Retry-After": "1"}))


def install(app: Flask) -> None:
    """Let every error of this application leave as a problem."""
    app.register_error_handler(ProblemError, problem)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(ValidationError, _from_validation)
    app.register_error_handler(StateFileError, _unavailable)
    app.register_error_handler(
        OperationError, lambda error: problem(ProblemError(409, str(error)))
    )
    app.register_error_handler(
        ConfigError, lambda error: problem(ProblemError(422, str(error)))
    )

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        app.logger.exception("a request of the admin app failed")
        detail = f"unexpected: {type(error).__name__}; the log says more"
        return problem(ProblemError(500, detail))
