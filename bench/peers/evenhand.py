"""Evenhand itself, started as its users start it, health checks and all."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Final

from bench.peers.peer import KEEPALIVE_S, ROOT, Duty, Launch, Peer
from bench.processes import output_of
from lb import __version__

SETTINGS: Final = """\
backends = {backends}
bind = "127.0.0.1:{port}"
workers = {workers}
[health]
interval = {probe_interval_s}
[timeouts]
keepalive = {keepalive_s}
[log]
access = {access}
[state]
path = {state}
"""


def settings(duty: Duty) -> str:
    """The settings in TOML; strings and lists of them are written as in JSON."""
    return SETTINGS.format(
        backends=json.dumps(duty.backends),
        port=duty.port,
        workers=duty.workers,
        probe_interval_s=duty.probe_interval_s,
        keepalive_s=KEEPALIVE_S,
        access=json.dumps(str(duty.access_log or "off")),
        state=json.dumps(str(duty.folder / "state")),
    )


def launch(duty: Duty) -> Launch:
    """gunicorn, with the project's own gunicorn.conf.py."""
    path = duty.folder / "lb.toml"
    path.write_text(settings(duty))
    argv = [sys.executable, "-m", "gunicorn", "--chdir", str(ROOT), "lb.wsgi:app"]
    argv += ["-c", str(ROOT / "gunicorn.conf.py")]
    return Launch(tuple(argv), {"LB_CONFIG": str(path)})


def versions() -> dict[str, str]:
    """Evenhand's, its commit's if it runs in a clone, and its libraries'."""
    said = {name: version(name) for name in ("gunicorn", "gevent", "gunicorn_h1c")}
    try:
        commit = output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    except OSError:  # there is no git
        commit = ""
    evenhand = f"{__version__} {commit}" if " " not in commit else __version__
    return {"evenhand": evenhand.strip(), **said}


PEER: Final = Peer("evenhand", launch, versions)
