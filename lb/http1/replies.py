"""Answers that the balancer makes itself: errors, said as RFC 9209 wants.

The body is short plain text for people; `Proxy-Status` is for programs and tells
that the balancer, not a backend, made the answer. What exactly went wrong is for
the log: it names backends, which are no client's business.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lb.errors import HttpError

RETRY_AFTER_S: Final = 5
"""What a 503 suggests: some probes later things may be better."""

ALLOWED: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
"""Methods named to whom asks; others are passed on too, but CONNECT and TRACE."""

_SENTENCES: Final = {
    400: "The request is malformed.",
    404: "Nothing is served under this name.",
    405: "This method is not offered here.",
    408: "The request did not arrive in time.",
    413: "The request body is too large.",
    414: "The request target is too long.",
    417: "The expectation cannot be met.",
    431: "The request head is too large.",
    501: "The request needs something that is not implemented here.",
    502: "The backend could not be reached or its answer was not usable.",
    503: "No backend is available.",
    504: "The backend did not answer in time.",
    505: "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
}

_BY_LABEL: Final = {"connection_limit_reached": "All backends are busy."}


def reply(error: HttpError, *, via: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, fields and body of the answer to a request that failed so."""
    status = error.status
    phrase = HTTPStatus(status).phrase
    if not error.label:
        return status, [("Allow", ALLOWED), ("Content-Length", "0")], b""
    sentence = _BY_LABEL.get(error.label) or _SENTENCES.get(status, "")
    body = f"{status} {phrase}\n{sentence}\n".encode()
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Proxy-Status", f"{via}; error={error.label}"),
    ]
    if status == 503:
        fields.append(("Retry-After", str(RETRY_AFTER_S)))
    if status == 405:
        fields.append(("Allow", ALLOWED))
    return status, fields, body


def reply_bytes(
    error: HttpError,
    *,
    via: str,
    date: bytes,
    keep_alive: bool,
    has_body: bool = True,
    added: bytes = b"",
) -> bytes:
    """The same answer as one HTTP/1.1 message; without body for HEAD.

    `added` are further lines, each with its CRLF before it.

    It MUST have a `date` (RFC 9110 section 6.6.1).
    """
    status, fields, body = reply(error, via=via)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines.append(f"Date: {date.decode('ascii')}")
    lines += [f"{name}: {value}" for name, value in fields]
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    head = "\r\n".join(lines).encode("latin-1") + added + b"\r\n\r\n"
    return head + body if has_body else head
