"""A balancer of one lane in front of two scripted backends, for tables of behaviour."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.live.client import Answer, fetch
from tests.live.scripted import ScriptedBackend
from tests.live.server import start_lane
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.scripted import Script, Talk
    from tests.live.server import Server


class Rig:
    """The parts, and what tests do with both backends at once."""

    def __init__(self, lane: str, server: Server, *backends: ScriptedBackend) -> None:
        self.lane = lane
        self.server = server
        self.port = server.port
        self.backends = backends

    def script(self, target: bytes, script: Script) -> None:
        """Let both backends do this for that target."""
        for backend in self.backends:
            backend.scripts[target] = script

    def seen(self, target: bytes) -> list[Talk]:
        """The requests for that target that came to a backend."""
        return [talk for backend in self.backends for talk in backend.seen(target)]

    def fetch(self, data: bytes) -> Answer:
        """The answer to `data` on a connection of its own."""
        return fetch(self.port, data)

    def fetch_seen(self, target: bytes, data: bytes) -> tuple[Answer, Talk]:
        """The answer to `data`, and its one request as a backend got it."""
        answer = self.fetch(data)
        (talk,) = self.seen(target)
        return answer, talk


@contextmanager
def running_rig(lane: str, folder: Path, **env: str) -> Iterator[Rig]:
    """A rig that answers and whose backends are UP; all of it ends with the block.

    Whatever they do, neither is ejected for it.
    """
    with ScriptedBackend("one") as one, ScriptedBackend("two") as two:
        env = {
            "LB_BACKENDS": f"{one.address},{two.address}",
            "LB_HEALTH__EJECT__FAILURES": "0",
        } | env
        server = start_lane(lane, folder, None, **env)
        try:
            server.wait_answering()
            wait_for(
                lambda: set(server.verdicts().values()) == {"UP"}, "both backends UP"
            )
            yield Rig(lane, server, one, two)
            server.stop()
        finally:
            server.kill()
        assert not server.living()
        if lane == "fast":
            assert "Traceback" not in server.errors()
