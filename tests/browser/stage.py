"""What is looked at: a balancer, its admin app and two demo backends, on free ports.

They are started as in the Procfile, but one by one, so that a test may kill the admin
app without the end of all others.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import requests

from tests.backend.running import RunningBackend
from tests.live.server import Server
from tests.processes import ROOT, free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from pathlib import Path

ADMIN: Final = ("gunicorn", "-c", "admin.conf.py", "lb.admin.serving:app()")
NAMES: Final = ("backend1", "backend2")
BACK_S: Final = 4
"""How soon a killed backend starts again: long enough to be DOWN before."""


class Stage:
    """All of it, started; `env` are settings beside the demo's."""

    def __init__(self, folder: Path, **env: str) -> None:
        self._folder = folder
        self._count = 0
        options = (f"--restart={BACK_S}", "--controls")
        self.backends = {
            name: RunningBackend(
                folder, free_port(), *options, text=f"Response from {name}"
            )
            for name in NAMES
        }
        self.port, self.admin_port = free_port(), free_port()
        listed = ",".join(
            f"{name}=127.0.0.1:{backend.port}"
            for name, backend in self.backends.items()
        )
        self.env = {
            "LB_BACKENDS": listed,
            "LB_BIND": f"127.0.0.1:{self.port}",
            "LB_STATE__PATH": str(folder / "state"),
            "LB_HEALTH__KIND": "http",
            "LB_HEALTH__SLOW_START": "1",
            **env,
        }
        command = [sys.executable, "-m", "backend.load", "--controls"]
        self._load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self.server = self.start_balancer()
        self.admin = self.start_admin()

    @property
    def url(self) -> str:
        """The dashboard's."""
        return f"http://127.0.0.1:{self.admin_port}/"

    @property
    def balanced(self) -> str:
        """The balancer's."""
        return f"http://127.0.0.1:{self.port}/"

    def start_balancer(self) -> Server:
        """The balancer, with two workers."""
        command = ("gunicorn", "lb.wsgi:app", "-w", "2")
        self.server = Server(self._folder, command, port=self.port, env=self.env)
        return self.server

    def start_admin(self, port: int = 0, **env: str) -> Server:
        """The admin app, at its port or another; the caller ends another one."""
        self._count += 1
        folder = self._folder / f"admin{self._count}"
        folder.mkdir()
        port = port or self.admin_port
        own = {"LB_ADMIN__BIND": f"127.0.0.1:{port}", "LB_DEMO__CONTROLS": "true"}
        admin = Server(folder, ADMIN, port=port, env=self.env | own | env)
        self.admin = admin if port == self.admin_port else self.admin
        return admin

    def wait_ready(self) -> None:
        """Return when all of it answers and every backend is UP."""
        for backend in self.backends.values():
            backend.wait_answering()
        self.server.wait_answering(2)
        self.wait_admin()
        for name in NAMES:
            self.server.wait_verdict(name, "UP")

    def wait_admin(self) -> None:
        """Return when the admin app answers."""

        def answers() -> bool:
            assert self.admin.process.poll() is None, self.admin.errors()
            with suppress(requests.ConnectionError):
                return requests.get(f"{self.url}healthz", timeout=DEADLINE_S).ok
            return False

        wait_for(answers, "the admin app")

    def wait_told(self) -> None:
        """Return when snapshots tell of what is now: they are up to a second old."""
        now = time.time()
        with requests.get(
            f"{self.url}api/v1/stream", stream=True, timeout=DEADLINE_S
        ) as stream:
            for line in stream.iter_lines(chunk_size=1):
                kind, _, data = line.partition(b": ")
                if kind == b"data" and json.loads(data).get("at", 0.0) >= now:
                    return

    def told(self, name: str) -> dict[str, Any]:
        """What the API tells of a backend."""
        found: dict[str, Any] = self.ask("GET", f"backends/{name}").json()
        return found

    def ask(self, method: str, path: str, **body: Any) -> requests.Response:
        """An answer of the API."""
        url = f"{self.url}api/v1/{path}"
        return requests.request(method, url, json=body or None, timeout=DEADLINE_S)

    def kill(self, name: str) -> None:
        """`kill -9` of a demo backend; its parent starts it again."""
        os.kill(self.backends[name].server_pids()[-1], signal.SIGKILL)

    def settle(self) -> None:
        """Undo what a test did: all alive, all backends ready, UP, with all their share."""
        if self.server.process.poll() is not None:
            self.start_balancer()
        if self.admin.process.poll() is not None:
            self.start_admin()
        self.wait_admin()
        wait_for(lambda: self.ask("GET", "workers").ok, "the balancer")
        for told in self.ask("GET", "backends").json()["backends"]:
            if told["wish"] != "ready":
                self.ask("POST", f"backends/{told['name']}/ready")
        wait_for(self._is_well, "all backends to be well", timeout_s=2 * DEADLINE_S)
        self.wait_told()

    def _is_well(self) -> bool:
        workers = self.ask("GET", "workers").json()["workers"]
        backends = self.ask("GET", "backends").json()["backends"]
        return len(workers) == 2 and all(
            told["verdict"] == "up" and told["share"] == 100 for told in backends
        )

    def end(self) -> None:
        """End everything."""
        self._load.terminate()
        for server in (self.admin, self.server):
            server.kill()
        self._load.wait(DEADLINE_S)
        for backend in self.backends.values():
            backend.end()
