"""A backend that comes back gets its share in steps, under load of several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.live.clients import Clients
from tests.live.faults import Scene, scene_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

SLOW_S: Final = 5.0
STEP_S: Final = 0.5
TABLE: Final = (10, 20, 30, 40, 50, 60, 60, 70, 80, 90, 100)
"""Percent of its weight in each step, the last one for good: docs/resilience.md."""

EDGE_S: Final = 0.1
"""Left out at the beginning of a step: the leader looks ten times a second."""

OFF: Final = 0.03
"""How far from the table shares may be on average, each answer counting alike: in a step
with few answers, as others had the cores, where a share ends is chance."""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_of(tmp_path, "one two") as made:
        yield made


def test_a_backend_that_returns_gets_its_share_in_steps(scene: Scene) -> None:
    """As the table in the documents has it."""
    scene.serve(LB_HEALTH__SLOW_START=str(SLOW_S))
    with Clients(scene.server.port) as clients:
        clients.wait_answers(400)
        scene.one.kill()
        scene.server.wait_verdict("one", "DOWN")
        again_s = clients.wait_served_by("one", scene.one.start())
        began = scene.state_of("one").memory.warm_since
        wait_for(lambda: scene.state_of("one").standing.share == 100, "its whole share")
        assert scene.state_of("one").memory.warm_since == 0.0
        clients.wait_answers(400)
        wait_for(lambda: len(shares_of(clients, began)) == len(TABLE), "the last step")
    shares = shares_of(clients, began)
    scene.check(clients, "slow start", again_s=again_s)
    off = 0.0
    for percent, (share, answers) in zip(TABLE, shares, strict=True):
        wanted = percent / (percent + 100)
        print(f"  {percent:3} %: {share:.3f} of {answers} (wanted {wanted:.3f})")
        off += abs(share - wanted) * answers
    assert clients.failures == []
    assert off / sum(answers for _, answers in shares) < OFF


def shares_of(clients: Clients, began: float) -> list[tuple[float, int]]:
    """The share of all answers that it gave in each step, and of how many."""
    found = []
    for step in range(len(TABLE)):
        begin, end = began + step * STEP_S + EDGE_S, began + (step + 1) * STEP_S
        one, two = (clients.count_between(n, begin, end) for n in ("one", "two"))
        if clients.first_answer("two", end) is not None:
            found.append((one / max(1, one + two), one + two))
    return found
