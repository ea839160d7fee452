"""A backend that closes idle connections without a word, and what is learned of it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from tests.live.clients import Clients
from tests.live.faults import Scene, scene_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

LIMIT_S = 0.6
BEAT_S = 0.65
"""All clients ask at once, when the backend has just had enough of idle connections."""

REST_S = 2.0
CLIENTS = 16
"""Of each kind, so that each worker has some."""


class Beat:
    """Seconds until all clients ask again: the next beat, or the first after a rest."""

    def __init__(self) -> None:
        self.rests_until = 0.0

    def __call__(self) -> float:
        now = monotonic()
        begin = max(now, self.rests_until)
        return begin - now + BEAT_S - begin % BEAT_S


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_of(tmp_path, "one") as made:
        made.one.do("idle", LIMIT_S)
        yield made


def test_once_learned_no_request_meets_a_stale_connection(scene: Scene) -> None:
    """POSTs neither, which nobody could send again. Each worker learns for itself."""
    scene.serve()
    beat = Beat()
    port = scene.server.port
    with Clients(port, gets=CLIENTS, posts=CLIENTS, pause_s=beat) as clients:
        wait_for(lambda: stale(scene) > 0, "a request that meets a stale connection")
        # While nobody asks, it closes what each worker has: that teaches them.
        beat.rests_until = monotonic() + REST_S
        clients.wait_answers(CLIENTS)
        wait_for(lambda: scene.one.do("tell")["open"] == 0, "the last close")
        before, failed = stale(scene), len(clients.failed)
        clients.wait_answers(6 * CLIENTS)
    after = stale(scene) - before
    scene.check(clients, f"idle connections closed after {LIMIT_S} s")
    print(f"  stale connections met: {before}, and {after} once that was learned")
    assert clients.failures == []
    assert after == 0
    assert len(clients.failed) == failed, "no POST was lost either"


def stale(scene: Scene) -> int:
    """How many requests met a connection that their backend had closed."""
    (total,) = scene.totals()
    return total.failures.get("connection_terminated", 0)
