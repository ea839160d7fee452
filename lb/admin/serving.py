"""What gunicorn does for the admin app; `admin.conf.py` is made of these.

One process with threads: an answer may take long (a drain that is waited for, a stream
of events), and threads need nobody to give way. Streams and waits are bounded below the
number of threads, so that there are always some for everything else.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, Final

from lb.admin.app import create_app
from lb.admin.changing import MOST_WAITS
from lb.admin.streaming import MOST_STREAMS
from lb.arbiter import check_addresses, complain, stop_start
from lb.config import load
from lb.errors import ConfigError, LbError
from lb.model import Address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from lb.config import Settings

THREADS: Final = MOST_STREAMS + MOST_WAITS + 16

_in_force: list[Settings] = []
"""The settings that this process last found good; empty before the first."""


def settings_in_force() -> Settings:
    """The settings that `configure` found; workers inherit them over the fork."""
    return _in_force[-1] if _in_force else load()


def app() -> Flask:
    """The application that gunicorn serves."""
    return create_app(settings_in_force())


def configure() -> Settings:
    """The settings for `admin.conf.py`; bad ones end the start, or are not taken."""
    try:
        found = load()
        _check_still_guarded(found)
        _in_force[:] = [found]
    except LbError as error:
        if not _in_force:
            stop_start(error)
        complain(error, "the admin app keeps its settings: ")
    return _in_force[-1]


def _check_still_guarded(found: Settings) -> None:
    """Refuse to go on without a token where there was one.

    gunicorn reloads the app, but keeps the sockets of its start: whether they may be
    reached from elsewhere was asked then.

    Raises:
        ConfigError: there is none any more.
    """
    if _in_force and _in_force[-1].admin.token and not found.admin.token:
        raise ConfigError("admin.token is not taken away while the admin app runs")


def starting(server: Any) -> None:
    """Say where the app listens and who may change something (`on_starting`)."""
    settings = settings_in_force()
    try:
        check_addresses(server.cfg)
        _check_guarded(server.cfg.address, settings)
    except LbError as error:
        stop_start(error)
    bind = " ".join(server.cfg.bind)
    server.log.info("Evenhand's admin app listens on %s", bind)
    if settings.admin.token:
        server.log.info("changes need the token, reading does not")
    else:
        server.log.warning(
            "there is no admin.token: every user and program of this machine may"
            " change backends by the admin app; others cannot reach it"
        )


def ready(server: Any) -> None:
    """Ask again of the sockets, which may have been handed down (`when_ready`).

    Then `-b` is `fd://3`, or the service manager's, and says nothing of where that is.
    """
    where = [listener.getsockname() for listener in server.LISTENERS]
    try:
        _check_guarded(where, settings_in_force())
    except LbError as error:
        stop_start(error)


def _check_guarded(addresses: Iterable[Any], settings: Settings) -> None:
    """Refuse what admin.bind could not say but gunicorn's -b can.

    Raises:
        ConfigError: other machines could reach it, and there is no token.
    """
    if settings.admin.token:
        return
    for address in addresses:
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise ConfigError(
                f"the admin app would listen on {address[0] or '*'}, beyond loopback:"
                " set admin.token (LB_ADMIN__TOKEN) first"
            )


def _is_local(host: str) -> bool:
    from lb.config.addresses import is_local

    return bool(host) and is_local(str(Address(host=host, port=1)))


def begun(worker: Any) -> None:
    """Begin what works beside the answers (`post_worker_init`)."""
    # What was loaded stays: looking through it again and again for what could be thrown
    # away took 40 of the 260 ms of a scrape that finds 2,000 backends changed.
    gc.collect()
    gc.freeze()
    extensions = worker.wsgi.extensions
    extensions["streams"].is_stopping = lambda: not worker.alive
    for part in extensions["beside"]:
        part.start()


def ended(_: Any, worker: Any) -> None:
    """End that; the last spans are sent within `FLUSH_S` (`worker_exit`)."""
    app = getattr(worker, "wsgi", None)
    if app is not None:  # else it never began
        for part in app.extensions["beside"]:
            part.stop()
