"""Workers and the checker are killed at random for a minute, and clients go on.

What was in flight in a killed worker is lost, and nothing else. Which requests those
were is not guessed: a worker is stopped first, the kernel says which connections it
holds, and then it is killed. The seed is printed; EVENHAND_SEED sets it, and
EVENHAND_KILL_S how long it goes on.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

import pytest

from tests.live.clients import Clients
from tests.live.faults import WORKERS, Scene, scene_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.clients import Failed

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

LASTS_S = float(os.environ.get("EVENHAND_KILL_S", "60"))
BETWEEN_S = 0.2, 1.6
CHECKER_AWAY_S = 0.1, 3.0
DOWN_S = 15.0
"""Every so often a backend dies as well, and returns."""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_of(tmp_path, "one two three") as made:
        yield made


@dataclass(frozen=True)
class Kill:
    """A worker's death, at unix time `at`, with its connections' client ports."""

    at: float
    ports: frozenset[int]

    def explains(self, failed: Failed) -> bool:
        """Whether that request had no answer because this worker had it in hand."""
        is_its = failed.port in self.ports and failed.connected <= self.at
        return is_its and failed.status == 0 and failed.ended >= self.at


class Killer:
    """Kills workers of `server`, and `checker`, which it starts again some time after."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self._server = scene.server
        self._checker = scene.checker()
        self._checker_back = 0.0
        self._killed: set[int] = set()
        self.kills: list[Kill] = []
        self.checkers_killed = 0

    def strike(self) -> None:
        """Kill a worker or the checker, whoever the lot falls on."""
        # The slot of one that was just killed may not be free yet.
        workers = [p for p in self._server.worker_pids() if p not in self._killed]
        victims = [*workers, 0 if self._checker_back else self._checker.process.pid]
        victim = self._chance.choice(victims)
        if victim in workers:
            self._killed.add(victim)
            self.kills.append(kill_worker(victim, self._server.port))
        elif victim:
            self._checker.kill()
            self._checker_back = monotonic() + self._chance.uniform(*CHECKER_AWAY_S)
            self.checkers_killed += 1

    def mend(self) -> None:
        """Start the checker again, if its time has come."""
        if self._checker_back and monotonic() >= self._checker_back:
            self._checker_back = 0.0
            self._checker = self._scene.checker()


def kill_worker(pid: int, port: int) -> Kill:
    """Stop it, ask the kernel which connections to `port` it holds, and kill it."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: state_of(pid) == "T", "it to stop")
    ports = held_ports(pid, port)
    at = time()
    os.kill(pid, signal.SIGKILL)
    return Kill(at, ports)


def state_of(pid: int) -> str:
    """As the kernel tells it: R, S, T, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def held_ports(pid: int, port: int) -> frozenset[int]:
    """The other ends' ports of the connections that a process holds at `port`."""
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        name = str(link.readlink())
        if name.startswith("socket:["):
            held.add(name[8:-1])
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        here, there = (int(end.split(":")[1], 16) for end in fields[1:3])
        if here == port and fields[9] in held:
            found.add(there)
    return frozenset(found)


@pytest.mark.timeout(LASTS_S + 60)
def test_only_what_a_killed_worker_had_in_hand_is_lost(scene: Scene) -> None:
    """With a backend that dies and returns meanwhile, whoever judges it then."""
    seed = int(os.environ.get("EVENHAND_SEED") or random.randrange(1 << 32))
    chance = random.Random(seed)
    # A new worker's connections are all new: the backend's death may cost more of the
    # budget than the default has.
    server = scene.serve(LB_RETRIES__MIN="16")
    killer = Killer(scene, chance)
    again_s: list[float] = []
    with Clients(server.port) as clients:
        begun = monotonic()
        dies_at = begun + chance.uniform(1.0, 5.0)
        while (now := monotonic()) < begun + LASTS_S:
            if now >= dies_at:
                again_s.append(dies_and_returns(scene, clients, killer))
                dies_at = now + DOWN_S
            threading.Event().wait(chance.uniform(*BETWEEN_S))
            killer.mend()
            killer.strike()
        wait_for(lambda: len(server.worker_pids()) == WORKERS, "all workers")
        again_s.append(dies_and_returns(scene, clients, None))
    lost = [f for f in clients.failed if f.status == 0]
    said = (
        f"{len(killer.kills)} workers and {killer.checkers_killed} checkers killed in"
        f" {LASTS_S:g} s (seed {seed})"
    )
    scene.check(clients, said, again_s=max(again_s))
    unexplained = [
        each
        for each in clients.failures
        if not any(kill.explains(each) for kill in killer.kills)
    ]
    print(f"  {len(lost)} requests were in flight in a killed worker")
    assert unexplained == []
    assert {f.status for f in clients.failed} <= {0, 502}


def dies_and_returns(scene: Scene, clients: Clients, killer: Killer | None) -> float:
    """Kill a backend and start it again; how long until it was served again."""
    scene.one.kill()
    wait_for(lambda: scene.is_out("one"), "its death to be noticed")
    if killer is not None:
        killer.strike()
    listens = scene.one.start()
    return clients.wait_served_by("one", listens, timeout_s=30.0)
