"""Faulty backends as a test drives them, and the balancer in front of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from time import time
from typing import TYPE_CHECKING, Any

from lb.shm import SharedFile
from tests.live.server import Server, start_lane
from tests.processes import ROOT, free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import BackendState, BackendTotals
    from tests.live.clients import Clients

WORKERS = 3
FAST_HEALTH = {"LB_HEALTH__INTERVAL": "0.3", "LB_HEALTH__FAST_INTERVAL": "0.15"}


class FaultyBackend:
    """`tests.live.faulty` in a process of its own, which may be killed and stopped."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._posts = folder / f"posts-{name}"
        self.start()

    @property
    def address(self) -> str:
        """As `LB_BACKENDS` wants it, with its name."""
        return f"{self.name}=127.0.0.1:{self.port}"

    def start(self) -> float:
        """Listen (again); the unix time since when it does."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.live.faulty"),
                *(str(self.port), self.name, str(self._posts)),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._hear() == "listens"
        return time()

    def do(self, fault: str, number: float = 1.0) -> dict[str, Any]:
        """See `tests.live.faulty`; what it has seen so far."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{fault} {number}\n")
        self.process.stdin.flush()
        seen: dict[str, Any] = json.loads(self._hear())
        return seen

    def _hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> float:
        """As by `kill -9`; just before it. May be called twice."""
        at = time()
        with self.process:
            self.process.kill()
        return at

    def leave(self) -> None:
        """SIGTERM: it ends when it has answered what it has begun."""
        with self.process:
            self.process.terminate()
            self.process.wait(DEADLINE_S)

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, and nobody answers."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> float:
        """SIGCONT; just before it."""
        at = time()
        os.kill(self.process.pid, signal.SIGCONT)
        return at

    def posts(self) -> Counter[bytes]:
        """How often each POST came here, over all of its lives."""
        return Counter(self._posts.read_bytes().split())


class Scene:
    """Faulty backends behind a balancer that `serve` starts."""

    def __init__(self, folder: Path, names: str) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.backends: list[FaultyBackend] = []
        self.server: Server
        for name in names.split():
            backend = FaultyBackend(folder, name)
            self._stack.callback(backend.kill)
            self.backends.append(backend)
        self.one = self.backends[0]

    def serve(self, lane: str = "fast", **env: str) -> Server:
        """Start it, three workers of the fast lane or one process of another."""
        workers = WORKERS if lane == "fast" else 1
        options = ("-w", str(workers)) if lane == "fast" else ()
        env = {
            "LB_BACKENDS": ",".join(backend.address for backend in self.backends),
            "LB_LOG__ACCESS": "off",
            **FAST_HEALTH,
            **env,
        }
        self.server = start_lane(lane, self._folder, None, *options, **env)
        self._stack.callback(self.server.kill)
        self.server.wait_answering(workers)
        for backend in self.backends:
            self.server.wait_verdict(backend.name, "UP")
        return self.server

    def checker(self) -> Server:
        """A `health` process beside the balancer, with its settings."""
        folder = self._folder / "health"
        folder.mkdir(exist_ok=True)
        settings = {k: v for k, v in self.server.env.items() if k.startswith("LB_")}
        checker = Server(folder, ["lb", "health"], port=0, env=settings)
        self._stack.callback(checker.kill)
        return checker

    def close(self) -> None:
        """End all of it."""
        self._stack.close()

    def state_of(self, name: str) -> BackendState:
        """What the shared file says of a backend."""
        with SharedFile.open(self.server.state) as file:
            return state_in(file, name)

    def is_out(self, name: str) -> bool:
        """Whether probes or traffic speak against it."""
        return not self.state_of(name).standing.is_good

    def totals(self) -> list[BackendTotals]:
        """What was counted for each of them."""
        with SharedFile.open(self.server.state) as file:
            totals = file.totals()
            return [totals[state.id] for state in file.backends()]

    def check(
        self, clients: Clients, what: str, *, again_s: float | None = None
    ) -> None:
        """No POST came twice, nothing is left in flight; print what happened.

        `again_s` is how long it took until a backend that returned was served again.
        """
        line = clients.report(what)
        if again_s is not None:
            line += f"; served again after {again_s * 1000:.0f} ms"
        print(f"\n  {line}")
        came: Counter[bytes] = Counter()
        for backend in self.backends:
            came += backend.posts()
        assert {n for n in came.values() if n > 1} == set(), "a POST came twice"
        assert len(came) <= clients.posted.total()
        assert len(came) >= clients.posted[200], "and none was made up"
        assert "Traceback" not in self.server.errors()
        with SharedFile.open(self.server.state) as file:
            rows = [state.row for state in file.backends()]
            reader = file.in_flight_reader()
            wait_for(lambda: reader.of_many(rows) == 0, "nothing in flight")
            assert reader.retrying(rows) == 0


def state_in(file: SharedFile, name: str) -> BackendState:
    """What the shared file says of a backend."""
    (state,) = (s for s in file.backends() if s.backend.name == name)
    return state


@contextmanager
def scene_of(folder: Path, names: str) -> Iterator[Scene]:
    """Backends of these names, listening; all of it ends with the block."""
    scene = Scene(folder, names)
    try:
        yield scene
    finally:
        scene.close()
