"""Backends fail under load of several workers: what clients notice, and no POST twice.

Each test prints its requests, failures and worst wait. Where a backend gives no answer
to what it may have worked on, the tests let the budget bear all clients at once: what
it refuses is a test of its own, and who takes such backends out is the checker.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile
from tests.live.faults import Clients, FaultyBackend
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import BackendTotals
    from tests.live.conftest import StartServer
    from tests.live.server import Server

pytestmark = pytest.mark.live

ENOUGH = 400
"""Requests before and after a fault, some 0.2 s of them."""

CLIENTS = 16
BEARS_ALL = {"LB_RETRIES__MIN": str(CLIENTS)}
FAST_HEALTH = {"LB_HEALTH__INTERVAL": "0.3", "LB_HEALTH__FAST_INTERVAL": "0.15"}


class Scene:
    """Two faulty backends behind three workers."""

    def __init__(self, folder: Path, start_server: StartServer) -> None:
        self._start = start_server
        self.backends = [FaultyBackend(folder, name) for name in ("one", "two")]
        self.one, self.two = self.backends
        self.server: Server

    def serve(self, lane: str = "fast", **env: str) -> Server:
        options = ("-w", "3") if lane == "fast" else ()
        self.server = self._start(
            lane,
            *options,
            LB_BACKENDS=",".join(b.address for b in self.backends),
            LB_LOG__ACCESS="off",
            **FAST_HEALTH | env,
        )
        self.server.wait_answering(workers=3 if options else 1)
        return self.server

    def totals(self) -> list[BackendTotals]:
        """What was counted for each of the two."""
        with SharedFile.open(self.server.state) as file:
            totals = file.totals()
            return [totals[state.id] for state in file.backends()]

    def check(self, clients: Clients, what: str) -> None:
        """No POST came twice, nothing is left in flight; print what happened."""
        print(f"\n  {clients.report(what)}")
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


@pytest.fixture
def scene(tmp_path: Path, start_server: StartServer) -> Iterator[Scene]:
    made = Scene(tmp_path, start_server)
    with ExitStack() as stack:
        for backend in made.backends:
            stack.callback(lambda b=backend: b.kill())
        yield made


def test_a_killed_backend_costs_no_idempotent_request(scene: Scene) -> None:
    """With the budget of the defaults: what it cost no work costs no budget."""
    scene.serve()
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        scene.one.kill()
        clients.wait_answers(ENOUGH)
        scene.server.wait_verdict("one", "DOWN")
        scene.one.start()
        scene.server.wait_verdict("one", "UP")
        clients.wait_answers(ENOUGH)
    scene.check(clients, "kill -9")
    assert clients.failures == 0


def test_a_backend_that_stops_costs_time_and_no_request(scene: Scene) -> None:
    scene.serve()
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        stop_for(scene.one, 1.5)
        clients.wait_answers(ENOUGH)
    scene.check(clients, "SIGSTOP for 1.5 s")
    assert clients.failures == 0
    assert clients.worst_s > 1.0


def stop_for(backend: FaultyBackend, seconds: float) -> None:
    """Stop it, and let it go on."""
    backend.pause()
    threading.Event().wait(seconds)
    backend.resume()


def test_hedged_a_backend_that_stops_costs_hardly_any_time(scene: Scene) -> None:
    """Only POSTs wait for it."""
    scene.serve(LB_RETRIES__HEDGE="0.05", **BEARS_ALL)
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        stop_for(scene.one, 1.5)
        clients.wait_answers(ENOUGH)
    scene.check(clients, "SIGSTOP for 1.5 s, hedged after 50 ms")
    assert clients.failures == 0
    assert clients.worst_s < 1.0


@pytest.mark.parametrize("fault", ["reset", "garbage", "close"])
@pytest.mark.parametrize("lane", ["fast", "gthread"])
def test_a_backend_that_fails_requests_costs_no_idempotent_one(
    scene: Scene, fault: str, lane: str
) -> None:
    """Half of them, until its clients have had enough."""
    scene.serve(lane, **BEARS_ALL)
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH // 4)
        scene.one.do(fault, 0.5)
        clients.wait_answers(ENOUGH)
    scene.check(clients, f"{fault} after the request, {lane}")
    assert clients.failures == 0
    assert clients.posted[502] > 0, "nobody may send those again"


def test_connections_that_close_at_random_cost_no_idempotent_request(
    scene: Scene,
) -> None:
    """With the budget of the defaults."""
    scene.serve()
    for backend in scene.backends:
        backend.do("stale", 0.5)
    with Clients(scene.server.port) as clients:
        clients.wait_answers(5 * ENOUGH)
    scene.check(clients, "kept connections closed at random")
    assert clients.failures == 0


def test_a_busy_backend_is_passed_by_if_the_settings_say_so(scene: Scene) -> None:
    scene.serve(LB_RETRIES__STATUSES="503", **BEARS_ALL)
    scene.one.do("busy")
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
    scene.check(clients, "503 of one backend")
    assert clients.failures == 0
    assert clients.posted[503] > 0


def test_when_all_fail_retries_stay_within_the_budget(scene: Scene) -> None:
    """Instead of one retry for each request: a share of them, counted and told.

    Neither is ejected, or there were nowhere to go.
    """
    scene.serve(
        LB_RETRIES__MIN="0",
        LB_RETRIES__BUDGET="20",
        LB_HEALTH__EJECT__FAILURES="0",
    )
    for backend in scene.backends:
        backend.do("close")
    with Clients(scene.server.port, gets=32, posts=0) as clients:
        clients.wait_answers(2 * ENOUGH)
    scene.check(clients, "both close without a byte")
    totals = scene.totals()
    attempts = sum(total.attempts for total in totals)
    retries = sum(total.retries for total in totals)
    refused = sum(total.refused_retries for total in totals)
    print(f"  {attempts} attempts, {retries} retries, {refused} refused")
    assert clients.statuses[502] == clients.statuses.total()
    assert 0 < retries <= 0.3 * (attempts - retries)
    assert retries + refused >= 0.9 * (attempts - retries)


def test_a_request_has_one_deadline_over_all_that_it_waits_for(scene: Scene) -> None:
    scene.serve(LB_TIMEOUTS__REQUEST="0.5")
    for backend in scene.backends:
        backend.pause()
    with Clients(scene.server.port, posts=0) as clients:
        clients.wait_answers(2 * CLIENTS)
    for backend in scene.backends:
        backend.resume()
    scene.check(clients, "all stopped, 0.5 s for a request")
    assert clients.statuses[504] == clients.statuses.total()
    assert clients.worst_s < 2.0
