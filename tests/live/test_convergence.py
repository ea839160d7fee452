"""How soon all workers act on what is known of a backend, measured.

What workers chose is read from their flight recorders: when each request came, and
which backends it was sent to. A choice is made right after that, from the cell that
the verdict is stored in, so the latest request that went to a dead backend tells when
a worker last chose it. When it was decided that the backend is out is the time of the
leader's own event, taken just before the verdict is stored, so what storing it takes
counts as well. Both are unix time of one machine, to some microseconds. The backend's
own clock is a second opinion, with the way of the request there in it.

Times are asserted of the median, or of the best try where a process that died, the
leader and a worker must each get a core in turn: whoever else has one at the wrong
moment adds milliseconds that no code of ours can take away.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING

import pytest

from lb.model import Verdict
from lb.shm import EventKind, SharedFile
from tests.live.clients import Clients
from tests.live.faults import WORKERS, Scene, scene_of, state_in
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lb.shm import Happening
    from tests.live.faults import FaultyBackend

pytestmark = pytest.mark.live

TRIES = 5
ENOUGH = 300
NO_FLAPS = {"LB_HEALTH__FLAP__CHANGES": "0"}
BY_PROBES = {"LB_HEALTH__EJECT__FAILURES": "0"}
AFTER_S = 0.1
"""For so long after the verdict all that workers choose is looked at."""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_of(tmp_path, "one two three") as made:
        yield made


@dataclass(frozen=True)
class Death:
    """What was seen of one; unix seconds."""

    killed: float
    decided: float
    """When the leader decided that it is out."""
    chosen: float
    """When a worker chose it for the last time."""
    asked: float
    """When the last worker had its first request after the decision."""
    workers: int
    """How many had one while it was looked."""
    probed: float
    """When its second probe after the return passed."""
    served: float
    """When it gave its first answer after the return."""


@pytest.mark.parametrize("how", ["traffic", "probes"])
def test_the_last_worker_acts_within_a_millisecond(scene: Scene, how: str) -> None:
    """Of the verdict; within 0.1 s of the death, and 1 s of the second good probe."""
    scene.serve(**NO_FLAPS, **(BY_PROBES if how == "probes" else {}))
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        deaths = [die_and_return(scene, clients) for _ in range(TRIES)]
    scene.check(clients, f"{TRIES} deaths, noticed by {how}")
    lags_s = [each.chosen - each.decided for each in deaths]
    say("last chosen, after the verdict", lags_s)
    say("asked first, the last worker", [d.asked - d.decided for d in deaths])
    acted_s = [each.chosen - each.killed for each in deaths]
    say("last chosen, after the death", acted_s)
    again_s = [each.served - each.probed for each in deaths]
    say("served, after the second good probe", again_s)
    assert clients.failures == []
    assert statistics.median(each.workers for each in deaths) == WORKERS
    assert statistics.median(lags_s) < 0.001
    assert how == "probes" or min(acted_s) < 0.1
    assert statistics.median(again_s) < 1.0


def die_and_return(scene: Scene, clients: Clients) -> Death:
    """Kill the first backend under load, and start it again when it is DOWN."""
    killed = scene.one.kill()
    with SharedFile.open(scene.server.state) as file:
        wait_for(lambda: ends(file, killed), "its death to be noticed")
        decided = ends(file, killed)[0]
        wait_for(lambda: time() > decided + AFTER_S, "some requests more")
        recent = [record for record in file.recent() if record.began > killed]
        at_one = [r.began for r in recent if "one" in (r.backend, *r.tried_names)]
        asked: dict[int, float] = {}
        for each in sorted(recent, key=lambda record: record.began):
            if each.began > decided:
                asked.setdefault(each.slot, each.began)
        scene.server.wait_verdict("one", "DOWN")
        listens = scene.one.start()
        served = listens + clients.wait_served_by("one", listens)
        probes = state_in(file, "one").probes
    probed = [probe.at for probe in probes if probe.ok and probe.at > killed][1]
    clients.wait_answers(ENOUGH)
    return Death(
        killed=killed,
        decided=decided,
        chosen=max(at_one, default=killed),
        asked=max(asked.values(), default=math.inf),
        workers=len(asked),
        probed=probed,
        served=served,
    )


def ends(file: SharedFile, after: float) -> list[float]:
    """When a backend was told to be out, after unix time `after`."""
    return [e.at for e in file.events().found if e.at > after and is_end(e.what)]


def is_end(what: Happening) -> bool:
    """Whether a backend is out from then on."""
    is_down = what.kind is EventKind.VERDICT and what.after == Verdict.DOWN
    return is_down or what.kind is EventKind.EJECTED


def say(what: str, times_s: Sequence[float]) -> None:
    """Print times in milliseconds, the median first."""
    each = ", ".join(f"{time_s * 1000:.2f}" for time_s in times_s)
    print(f"  {what}: median {statistics.median(times_s) * 1000:.2f} ms of {each}")


def test_an_ejected_backend_that_lives_sees_no_request_any_more(scene: Scene) -> None:
    """By its own clock: what came last was sent before the ejection was stored."""
    scene.serve(LB_HEALTH__EJECT__TIME="1")
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        late_s = [eject(scene, clients, backend) for backend in scene.backends]
    scene.check(clients, "half bodies, of each in turn")
    say("the last request came, after the verdict", late_s)
    # In it is the way there, to a backend that may have to wait for a core.
    assert min(late_s) < 0.005


def eject(scene: Scene, clients: Clients, backend: FaultyBackend) -> float:
    """How long after its ejection a backend had its last request."""
    backend.do("half")
    wait_for(lambda: scene.is_out(backend.name), "the ejection")
    decided = scene.state_of(backend.name).memory.ejected_at
    wait_for(lambda: time() > decided + AFTER_S, "some requests more")
    last = backend.do("well")["last_at"]
    clients.wait_served_by(backend.name, time())
    clients.wait_answers(ENOUGH)
    return float(last - decided)
