"""The application: its parts put together, in the order in which requests meet them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flask import Flask, Response

from lb.admin import (
    changing,
    demo,
    guard,
    openapi,
    page,
    problems,
    reading,
    reloading,
    scraping,
)
from lb.admin.collecting import Collector
from lb.admin.exporting import Exporter
from lb.admin.history import History
from lb.admin.in_force import InForce
from lb.admin.snapshots import Snapshots
from lb.admin.source import Source
from lb.admin.streaming import Streams
from lb.admin.warming import Warming
from lb.config import load, state_path
from lb.shm import FigureReader

if TYPE_CHECKING:
    from lb.config import Settings

BODY_BYTES: Final = 64 * 1024

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: nothing is kept, framed, guessed or read by other origins."""


def create_app(settings: Settings | None = None) -> Flask:
    """The admin app of these settings, or of those that are there now.

    Its parts are in `app.extensions`: "source" reads the shared file, and who made the
    app closes it; "streams" end when they are told; and what works beside the answers
    if it is started, and until it is stopped: "beside".

    Raises:
        ConfigError: the settings are not good.
    """
    settings = settings or load()
    app = Flask("lb.admin", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A backend may be called as its address, which may hold slashes.
    app.url_map.merge_slashes = False
    source, figures = Source(state_path(settings)), FigureReader()
    log, in_force = log_of_changes(), InForce(settings)
    collector, history = Collector(source, in_force, figures), History()
    snapshots = Snapshots(source, in_force, figures, history)
    streams = Streams(source, snapshots)
    beside = Warming(source, collector), snapshots, Exporter(source, in_force, log)
    app.extensions.update(source=source, streams=streams, beside=beside)
    guard.install(app, settings.admin)
    problems.install(app)
    app.after_request(_finish)
    app.register_blueprint(reading.blueprint(source, in_force, history))
    app.register_blueprint(changing.blueprint(source, in_force, log))
    app.register_blueprint(reloading.blueprint(source, log))
    app.register_blueprint(demo.blueprint(source, settings, in_force, log))
    app.register_blueprint(streams.blueprint())
    app.register_blueprint(scraping.blueprint(collector))
    app.register_blueprint(openapi.blueprint())
    app.register_blueprint(page.blueprint())
    return app


def log_of_changes() -> logging.Logger:
    """gunicorn's log, where it runs this app, so that changes are seen at once."""
    log = logging.getLogger("gunicorn.error")
    return log if log.handlers else logging.getLogger("evenhand.admin")


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
