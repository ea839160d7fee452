"""A demo backend under gunicorn, with settings of its own.

The settings are given in code, since the `gunicorn.conf.py` of the working folder
belongs to the balancer. A backend ends when the process that looks after it is
gone, at each of its two levels: the arbiter follows its keeper within a second,
the worker follows its arbiter within 0.1 s. The latter makes `kill -9` what it
looks like: gunicorn's orphaned worker would go on answering for up to a second.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from backend.app import create_app
from backend.misbehaving import LOOK_S, Misbehaving
from backend.received import note_heads

if TYPE_CHECKING:
    import socket
    from typing import Any
    from wsgiref.types import WSGIApplication

    from backend.orders import Orders

LEAVE_S = 0.4
"""How long answers under way may take once the backend was told to stop."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108

SETTINGS: dict[str, object] = {
    "workers": 1,
    "worker_class": "gevent",
    "worker_connections": 10_000,
    # Longer than a balancer keeps an idle connection, or it finds it closed.
    "keepalive": 75,
    # Idle kept-alive connections count as work: do not wait long for them.
    "graceful_timeout": 1,
    # Its default path is one for all gunicorns of a user.
    "control_socket_disable": True,
    "loglevel": "warning",
    "accesslog": None,
    # A demo backend shows what it is sent, and judges it as little as it can.
    "limit_request_line": 0,
    "limit_request_fields": 500,
    "limit_request_field_size": 128 << 10,
    "permit_unconventional_http_method": True,
    "secure_scheme_headers": {},
}


class _Server(BaseApplication):  # type: ignore[misc]
    """One demo backend on a socket that already listens."""

    def __init__(
        self,
        text: str,
        listener: socket.socket,
        parent: int | None,
        orders: Orders | None,
    ) -> None:
        self._text = text
        self._parent = parent
        self._orders = orders
        self._address = listener.getsockname()
        self._fd = listener.detach()
        super().__init__()

    def load_config(self) -> None:
        hooks = {"when_ready": self._announce, "post_worker_init": _watch}
        settings = SETTINGS | hooks | {"bind": f"fd://{self._fd}"}
        if os.access(SHARED_MEMORY, os.W_OK):
            # A heartbeat on a slow disk would hold up all requests.
            settings["worker_tmp_dir"] = SHARED_MEMORY
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        note_heads()
        app = create_app(self._text)
        return app if self._orders is None else Misbehaving(app, self._orders)

    def run(self) -> None:
        _FollowingArbiter(self, self._parent).run()

    def _announce(self, arbiter: Any) -> None:
        host, port = self._address[:2]
        shown = f"[{host}]" if ":" in host else host
        line = f"backend {port} runs as pid {arbiter.pid} at http://{shown}:{port}"
        if self._parent is not None:
            line += f" (kill -9 {arbiter.pid} to see failover)"
        print(line, flush=True)  # noqa: T201


class _FollowingArbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's arbiter, which also stops when `parent` is gone."""

    def __init__(self, app: _Server, parent: int | None) -> None:
        super().__init__(app)
        self._parent = parent

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        # Its loop comes here at least each second: no thread has to watch,
        # which would be there at the fork.
        signals: list[int] = super().wait_for_signals(timeout)
        if self._parent is not None and os.getppid() != self._parent:
            signals.append(signal.SIGTERM)
        return signals


def _watch(worker: Any) -> None:
    """Watch over `worker` from a thread, which is a greenlet under gevent."""
    threading.Thread(target=_exit_in_time, args=(worker,), daemon=True).start()


def _exit_in_time(worker: Any) -> None:
    while worker.alive and os.getppid() == worker.ppid:
        if isinstance(worker.wsgi, Misbehaving):
            worker.wsgi.look()
        time.sleep(LOOK_S)
    if not worker.alive:
        # Told to stop: gunicorn looks once a second, which makes Ctrl-C feel slow.
        time.sleep(LEAVE_S)
    os._exit(0)


def serve(
    text: str,
    listener: socket.socket,
    *,
    parent: int | None = None,
    orders: Orders | None = None,
) -> None:
    """Answer on `listener`, which this takes over, until told to stop.

    With `parent`, also stop when the process of that id is no longer the parent.
    With `orders`, misbehave when they say so.

    Raises:
        SystemExit: always: 0 after a stop by signal, else gunicorn's status.
    """
    _Server(text, listener, parent, orders).run()
