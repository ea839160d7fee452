"""The dashboard's files: one page at `/`, its styles and modules below `/static/`.

They are files of this package, served as they lie: nothing is built and nothing comes
from elsewhere, so the Content-Security-Policy of every answer holds for the page, too.
A browser keeps them but asks each time whether they changed (ETag, 304): modules name
each other without a version, and a page must not mix two. What the page shows it gets
from the API; nothing of a balancer is written into it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint

if TYPE_CHECKING:
    from flask import Response

PAGE: Final = "index.html"


def blueprint() -> Blueprint:
    """The routes of the page and of its files; HEAD and conditions as in HTTP."""
    made = Blueprint(
        "page", __name__, static_folder="static", static_url_path="/static"
    )

    @made.get("/")
    def page() -> Response:
        return made.send_static_file(PAGE)

    return made
