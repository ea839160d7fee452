"""Backends fail under load of several workers: what clients notice, and no POST twice.

Each test prints its requests, failures and worst wait. Where a backend gives no answer
to what it may have worked on, the tests let the budget bear all clients at once: what
it refuses is a test of its own. Those run twice, as the backend that fails would stay
in use if traffic did not take it out: both must cost no idempotent request.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.live.clients import Clients
from tests.live.faults import FaultyBackend, Scene, scene_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

ENOUGH = 400
"""Requests before and after a fault, some 0.2 s of them."""

CLIENTS = 16
BEARS_ALL = {"LB_RETRIES__MIN": str(CLIENTS)}
NEVER_EJECTS = {"LB_HEALTH__EJECT__FAILURES": "0"}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_of(tmp_path, "one two") as made:
        yield made


def test_hedged_a_backend_that_stops_costs_hardly_any_time(scene: Scene) -> None:
    """Only POSTs wait for it."""
    scene.serve(LB_RETRIES__HEDGE="0.05", **BEARS_ALL)
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        stop_for(scene.one, 1.5)
        clients.wait_answers(ENOUGH)
    scene.check(clients, "SIGSTOP for 1.5 s, hedged after 50 ms")
    assert clients.failures == []
    assert clients.worst_s < 1.0


def stop_for(backend: FaultyBackend, seconds: float) -> None:
    """Stop it, and let it go on."""
    backend.pause()
    threading.Event().wait(seconds)
    backend.resume()


@pytest.mark.parametrize("ejects", [True, False], ids=["ejected", "kept"])
@pytest.mark.parametrize("fault", ["reset", "garbage", "close"])
@pytest.mark.parametrize("lane", ["fast", "gthread"])
def test_a_backend_that_fails_requests_costs_no_idempotent_one(
    scene: Scene, fault: str, lane: str, ejects: bool
) -> None:
    """Half of them, until its clients have had enough."""
    scene.serve(lane, **BEARS_ALL, **({} if ejects else NEVER_EJECTS))
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH // 4)
        scene.one.do(fault, 0.5)
        clients.wait_answers(ENOUGH)
    how = "" if ejects else ", never ejected"
    scene.check(clients, f"{fault} after the request, {lane}{how}")
    assert clients.failures == []
    assert clients.posted[502] > 0, "nobody may send those again"
    assert ejects or not scene.is_out("one")


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
    assert clients.failures == []


@pytest.mark.parametrize("ejects", [True, False], ids=["ejected", "kept"])
def test_a_busy_backend_is_passed_by_if_the_settings_say_so(
    scene: Scene, ejects: bool
) -> None:
    how = {} if ejects else NEVER_EJECTS
    scene.serve(LB_RETRIES__STATUSES="503", **BEARS_ALL, **how)
    scene.one.do("busy")
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
    scene.check(clients, "503 of one backend" + ("" if ejects else ", never ejected"))
    assert clients.failures == []
    assert clients.posted[503] > 0


def test_when_all_fail_retries_stay_within_the_budget(scene: Scene) -> None:
    """Instead of one retry for each request: a share of them, counted and told.

    Neither is ejected, or there were nowhere to go.
    """
    scene.serve(LB_RETRIES__MIN="0", LB_RETRIES__GRACE="0", **NEVER_EJECTS)
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
