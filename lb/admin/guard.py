"""Who may ask the admin app, and who may change something by it.

    Host             must be a name of ours: else a page elsewhere could point a name
                     of its own here and read the answers (DNS rebinding)
    Origin, Sec-Fetch-Site   must be ours, for a change: else a page elsewhere could
                     make its visitor's browser send it
    Authorization    must be the token, for a change, where one is set

A number as Host passes where the app listens on every address: rebinding needs a name.
Whoever only reads needs no token: who may connect at all is `admin.bind`'s business.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flask import request

from lb.admin.problems import ProblemError
from lb.model import Address

if TYPE_CHECKING:
    from flask import Flask

    from lb.config import Admin

READING: Final = ("GET", "HEAD", "OPTIONS")
OUR_SITES: Final = ("same-origin", "none")
"""Values of Sec-Fetch-Site: our own page, or a person who typed the address."""


class Guard:
    """Looks at each request before it is served."""

    def __init__(self, settings: Admin) -> None:
        self._token = settings.token.encode()
        where = Address.parse(settings.bind)
        self._names = {"localhost", "127.0.0.1", "::1", *settings.hosts}
        if where.host:
            self._names.add(where.host.lower())
        self._takes_numbers = where.host in ("0.0.0.0", "::")  # noqa: S104

    def check(self) -> None:
        """Nothing, if the request at hand may be served.

        Raises:
            ProblemError: it may not.
        """
        self._check_host(request.headers.get("Host", ""))
        if request.method not in READING:
            self._check_origin()
            self._check_token()

    def _check_host(self, field: str) -> None:
        name = host_of(field)
        if name in self._names or (self._takes_numbers and _is_number(name)):
            return
        raise ProblemError(
            421, f"{field!r} is no name of this app; add it to admin.hosts if it is"
        )

    def _check_origin(self) -> None:
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        is_ours = site is None or site in OUR_SITES
        if origin is not None and urlsplit_host(origin) != request.headers.get("Host"):
            is_ours = False
        if not is_ours:
            raise ProblemError(403, "pages of another origin may change nothing here")

    def _check_token(self) -> None:
        if not self._token:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode("latin-1", "replace"), self._token
        ):
            return
        raise ProblemError(
            401,
            "a change needs the token: Authorization: Bearer (admin.token)",
            headers={"WWW-Authenticate": 'Bearer realm="evenhand"'},
        )


def who() -> str:
    """Who makes the change at hand, as events and the log tell it."""
    return f"api, from {request.remote_addr or 'a local socket'}"


def host_of(field: str) -> str:
    """The name or number in a Host field, without port and brackets."""
    name = field.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def urlsplit_host(origin: str) -> str:
    """Host and port of an Origin as Host would have it; empty for an opaque one."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def install(app: Flask, settings: Admin) -> None:
    """Let the application serve only what the guard lets pass."""
    app.before_request(Guard(settings).check)
