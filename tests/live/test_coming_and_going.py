"""Backends come and go under load of three workers, and no idempotent request fails.

The defaults are in force, but for probes that come faster and ejections that end sooner,
so that a return does not take long. Each test prints its requests, failures, worst wait, and how long after its
return (it listens, goes on, or answers well again) a backend was served again. POSTs
may fail, as nobody may send them twice; none does reach two backends.
"""

from __future__ import annotations

import threading
from time import time
from typing import TYPE_CHECKING

import pytest

from tests.live.clients import Clients
from tests.live.faults import FaultyBackend, Scene, scene_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

ENOUGH = 400
"""Requests before and after a fault, some 0.2 s of them."""

CLIENTS = 16


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_of(tmp_path, "one two three") as made:
        yield made


def pause(seconds: float) -> None:
    """Let a fault last for so long."""
    threading.Event().wait(seconds)


def test_a_killed_backend_costs_no_idempotent_request(scene: Scene) -> None:
    """With the budget of the defaults, which a death does not touch."""
    scene.serve()
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        scene.one.kill()
        clients.wait_answers(ENOUGH)
        scene.server.wait_verdict("one", "DOWN")
        again_s = clients.wait_served_by("one", scene.one.start())
        clients.wait_answers(ENOUGH)
    scene.check(clients, "kill -9", again_s=again_s)
    assert clients.failures == []


def test_a_backend_that_stops_costs_time_and_no_request(scene: Scene) -> None:
    """It may have worked on what it was sent, and may answer yet: they wait."""
    scene.serve()
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        scene.one.pause()
        pause(6.0)
        again_s = clients.wait_served_by("one", scene.one.resume())
        clients.wait_answers(ENOUGH)
    scene.check(clients, "SIGSTOP for 6 s", again_s=again_s)
    assert clients.failures == []
    assert clients.worst_s > 5.0


@pytest.mark.parametrize("fault", ["reset", "garbage", "close"])
def test_a_backend_that_answers_nothing_is_out_until_it_is_well(
    scene: Scene, fault: str
) -> None:
    """Ejected at once, believed once more for its probe, then out for its time."""
    scene.serve(LB_HEALTH__EJECT__TIME="1")
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        scene.one.do(fault)
        wait_for(lambda: scene.is_out("one"), "the ejection")
        clients.wait_answers(ENOUGH)
        scene.one.do("well")
        again_s = clients.wait_served_by("one", time())
    scene.check(clients, f"{fault} after the request", again_s=again_s)
    assert clients.failures == []


def test_without_a_grace_the_budget_refuses_what_is_in_flight(scene: Scene) -> None:
    """When it begins to fail, all but a fifth, or three; and once more when it is believed
    because its probe passed."""
    scene.serve(LB_RETRIES__GRACE="0")
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        scene.one.do("reset")
        wait_for(lambda: scene.is_out("one"), "the ejection")
        clients.wait_answers(ENOUGH)
    scene.check(clients, "reset after the request, no grace")
    refused = sum(total.refused_retries for total in scene.totals())
    assert {each.status for each in clients.failures} <= {502}
    assert len(clients.failures) <= min(refused, 2 * CLIENTS)


def test_half_bodies_are_few(scene: Scene) -> None:
    """What has begun cannot be sent anew, so ejection has to keep them few."""
    scene.serve(LB_HEALTH__EJECT__TIME="5")
    with Clients(scene.server.port, gets=CLIENTS, posts=0) as clients:
        clients.wait_answers(ENOUGH)
        before = clients.statuses.total()
        scene.one.do("half")
        pause(4.0)
        asked = clients.statuses.total() - before
        scene.one.do("well")
        again_s = clients.wait_served_by("one", time())
    scene.check(clients, "half of the promised body, for 4 s", again_s=again_s)
    assert all(each.has_begun for each in clients.failures)
    # 50 of 36,000; but what is in flight until the ejection is as much where all else
    # is slower.
    assert len(clients.failures) < max(2 * CLIENTS, 50 * asked / 36_000)


def test_a_flapping_backend_costs_no_idempotent_request(scene: Scene) -> None:
    """Held down for longer when it changes often, and served again after that."""
    scene.serve(LB_HEALTH__FLAP__HOLD="1")
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        for _ in range(4):
            scene.one.kill()
            scene.server.wait_verdict("one", "DOWN")
            again_s = clients.wait_served_by("one", scene.one.start())
        clients.wait_answers(ENOUGH)
    scene.check(clients, "killed and back four times", again_s=again_s)
    assert clients.failures == []
    assert "it changes often" in scene.server.errors()


def test_with_two_of_three_down_the_third_serves_all(scene: Scene) -> None:
    scene.serve()
    one, two, _ = scene.backends
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        one.kill()
        two.kill()
        for backend in one, two:
            scene.server.wait_verdict(backend.name, "DOWN")
        alone = time()
        clients.wait_answers(ENOUGH)
        assert not any(clients.first_answer(b.name, alone) for b in (one, two))
        listens = [(backend.name, backend.start()) for backend in (one, two)]
        again_s = max(clients.wait_served_by(*each) for each in listens)
        clients.wait_answers(ENOUGH)
    scene.check(clients, "two of three killed", again_s=again_s)
    assert clients.failures == []


@pytest.mark.parametrize("how", ["in order", "by kill -9"])
def test_a_rolling_restart_of_all_backends_costs_no_idempotent_request(
    scene: Scene, how: str
) -> None:
    """One after the other, the next when the last one is served again."""
    end = FaultyBackend.leave if how == "in order" else FaultyBackend.kill
    scene.serve()
    took_s = []
    with Clients(scene.server.port) as clients:
        clients.wait_answers(ENOUGH)
        for backend in scene.backends:
            end(backend)
            took_s.append(clients.wait_served_by(backend.name, backend.start()))
            clients.wait_answers(ENOUGH)
    scene.check(clients, f"rolling restart {how}", again_s=max(took_s))
    assert clients.failures == []
