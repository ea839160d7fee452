"""The demo backend's routes, as a Flask application.

They cover what a proxy has to get right: plain answers, slow ones, any status,
large bodies both ways, chunks over time, and a mirror of what arrived. Each
answer names its backend in `X-Backend`. Every number that a client may ask for
has a bound, and what is out of bounds is answered with 400 in plain text.

The module waits by `time.sleep`, looked up when called: gevent replaces it.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.routing import BaseConverter, Rule

from backend import content, received

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WAIT_MS = 60_000
MAX_PIECES = 10_000
MAX_BYTES = 4 << 30
MAX_ECHO_BYTES = 16 << 20
READ_BYTES = 256 << 10

BODILESS = frozenset({204, 205, 304})


class _AnyTail(BaseConverter):
    """Nothing, or a slash and anything after it, further slashes included."""

    regex = r"(?:/.*)?"
    part_isolating = False


def create_app(text: str) -> Flask:
    """A demo backend that answers `/` with `text` and calls itself `text`."""
    app = Flask("backend", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.converters["any_tail"] = _AnyTail
    _add_answers(app, text)
    _add_streams(app, text)
    _add_mirrors(app, text)

    @app.after_request
    def sign(response: Response) -> Response:
        response.headers["X-Backend"] = _header_text(text)
        return response

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Response:
        answer = _plain(f"{error.code} {error.name}: {error.description}\n")
        answer.status_code = error.code or 500
        for name, value in error.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer

    return app


def _add_answers(app: Flask, text: str) -> None:
    """Routes that answer at once, or after a wait, with something short."""

    @app.get("/")
    def home() -> Response:
        answer = _plain(f"{text}\n")
        # A page that needs nothing, not even an icon: Chromium then does not ask
        # for /favicon.ico beside the first page, which would take a turn of the
        # rotation and show the same backend twice.
        answer.headers["Content-Security-Policy"] = "default-src 'none'"
        return answer

    @app.get("/healthz")
    def healthz() -> Response:
        return _plain("ok\n")

    @app.get("/slow")
    def slow() -> Response:
        ms = _asked("ms", 1000, 0, MAX_WAIT_MS)
        time.sleep(ms / 1000)
        return _plain(f"{text}, after {ms} ms\n")

    @app.route("/status/<code>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def status(code: str) -> Response:
        number = _number("the status", code, 200, 599)
        body = "" if number in BODILESS else f"{number} {text}\n"
        answer = _plain(body)
        answer.status_code = number
        return answer

    @app.get("/favicon.ico")
    def favicon() -> Response:
        # Browsers that ask for it all the same may cache it: with two backends in
        # turn, every page would otherwise come from the same one.
        answer = Response(content.icon(), mimetype="image/x-icon")
        answer.headers["Cache-Control"] = "public, max-age=86400"
        return answer


def _add_streams(app: Flask, text: str) -> None:
    """Routes that answer piece by piece."""

    @app.get("/bytes/<n>")
    def many_bytes(n: str) -> Response:
        length = _number("the number of bytes", n, 0, MAX_BYTES)
        answer = Response(content.pieces(length), mimetype="application/octet-stream")
        answer.headers["Content-Length"] = str(length)
        return answer

    @app.get("/stream")
    def stream() -> Response:
        chunks = _asked("chunks", 5, 0, MAX_PIECES)
        ms = _asked("ms", 200, 0, MAX_WAIT_MS)
        lines = (f"{text}, chunk {i} of {chunks}\n" for i in range(1, chunks + 1))
        return Response(_paced(lines, ms), mimetype="text/plain")

    @app.get("/sse")
    def sse() -> Response:
        count = _asked("events", 5, 0, MAX_PIECES)
        ms = _asked("ms", 1000, 0, MAX_WAIT_MS)
        line = " ".join(text.splitlines())
        events = (
            f"id: {i}\ndata: {line}, event {i} of {count}\n\n"
            for i in range(1, count + 1)
        )
        answer = Response(_paced(events, ms), mimetype="text/event-stream")
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _add_mirrors(app: Flask, text: str) -> None:
    """Routes that tell what they were sent."""

    @app.post("/upload")
    def upload() -> Response:
        length, digest = 0, hashlib.sha256()
        for piece in _body():
            length += len(piece)
            digest.update(piece)
        return _json({"length": length, "sha256": digest.hexdigest()})

    # A rule without methods takes them all, which `@app.route` cannot say.
    app.url_map.add(Rule("/echo<any_tail:tail>", endpoint="echo"))

    @app.endpoint("echo")
    def echo(tail: str) -> Response:
        body = bytearray()
        for piece in _body():
            body += piece
            if len(body) > MAX_ECHO_BYTES:
                raise BadRequest("more than 16 MiB: POST it to /upload")
        return _json(_mirror(text, bytes(body)))


def _mirror(text: str, body: bytes) -> dict[str, object]:
    environ = request.environ
    return {
        "backend": text,
        "peer": f"{environ.get('REMOTE_ADDR')}:{environ.get('REMOTE_PORT', '')}",
        "method": request.method,
        "target": received.target(request),
        "http_version": environ.get("SERVER_PROTOCOL"),
        "headers": received.header_pairs(request),
        **content.text_or_base64(body),
        "body_length": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }


def _body() -> Iterator[bytes]:
    """The request's body, in pieces; 400 where it is cut short or malformed."""
    length = 0
    while piece := _read_piece():
        length += len(piece)
        yield piece
        content.breathe()
    if request.content_length is not None and length != request.content_length:
        raise BadRequest(f"the body ended after {length} bytes")


def _read_piece() -> bytes:
    try:
        return request.stream.read(READ_BYTES)
    except OSError as error:  # gunicorn's parse errors are of this kind too
        raise BadRequest("the body could not be read") from error


def _paced(lines: Iterator[str], ms: int) -> Iterator[bytes]:
    """`lines`, with a wait of `ms` before each but the first."""
    for i, line in enumerate(lines):
        if i:
            time.sleep(ms / 1000)
        yield line.encode(errors="replace")


def _asked(name: str, default: int, low: int, high: int) -> int:
    return _number(name, request.args.get(name, str(default)), low, high)


def _number(name: str, text: str, low: int, high: int) -> int:
    # Ten digits hold every bound here, and `int` refuses thousands of digits.
    if text.isascii() and text.isdigit() and len(text) <= 10:
        number = int(text)
        if low <= number <= high:
            return number
    raise BadRequest(f"{name} must be a whole number from {low} to {high}")


def _plain(body: str) -> Response:
    return Response(body.encode(errors="replace"), mimetype="text/plain")


def _json(value: dict[str, object]) -> Response:
    return Response(json.dumps(value, indent=2) + "\n", mimetype="application/json")


def _header_text(text: str) -> str:
    """`text` with what a header value may not hold replaced by `?`."""
    return "".join(c if " " <= c <= "~" else "?" for c in text).strip()
