"""The last minutes in steps: what happened between two readings, and no more of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lb.admin.history import EVERYTHING, STEP_S, STEPS, History, steps
from lb.admin.snapshots import Snapshots
from lb.shm import FigureReader, SharedFile, publish
from tests.shm.children import backends
from tests.shm.requests import serve
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.admin.conftest import Scene

NAMES = {1: "web9001", 2: "web9002"}


class Taken:
    """A history that gets a reading when it is told, so many seconds after the last."""

    def __init__(self, file: SharedFile) -> None:
        self.history, self.file = History(), file
        self._reader, self._now = FigureReader(), 1000.0
        self.after(0.0)

    def after(self, seconds: float = STEP_S) -> None:
        self._now += seconds
        self.history.take(self._reader.read(self.file), self._now)


def requests(scene: Scene, row: int, many: int, took_s: float = 0.02) -> None:
    for _ in range(many):
        serve(scene.file, scene.recorder, scene.slot.row(row, row + 1), took_s=took_s)


def test_a_step_is_what_happened_since_the_last(scene: Scene) -> None:
    reader = FigureReader()
    requests(scene, 0, 5, took_s=9.0)
    before = reader.read(scene.file)
    requests(scene, 0, 10, took_s=0.02)
    found = steps(before, reader.read(scene.file), 2.0)
    assert found[1].rate == 5.0
    assert found[1].p99_s == pytest.approx(0.02, rel=0.05)
    assert found[2] == (0.0, None)
    assert found[EVERYTHING] == found[1]


def test_nothing_is_kept_of_less_than_a_step(scene: Scene) -> None:
    taken = Taken(scene.file)
    requests(scene, 0, 10)
    taken.after(1.0)
    assert taken.history.latest() == (None, {})
    taken.after(1.0)
    at, found = taken.history.latest()
    assert at is not None
    assert found[1].rate == 5.0
    assert 2 not in found, "it had nothing to do"


def test_what_is_told_is_in_order_and_bounded(scene: Scene) -> None:
    taken = Taken(scene.file)
    for turn in range(STEPS + 3):
        requests(scene, 0, 2 * (turn % 5))
        taken.after()
    told = taken.history.report(NAMES)
    rates = told["backends"]["web9001"]["rate"]
    assert len(told["at"]) == len(rates) == STEPS
    assert rates == [float(turn % 5) for turn in range(3, STEPS + 3)]
    assert told["all"]["rate"] == rates
    assert sorted(told["at"]) == told["at"]
    assert "web9002" not in told["backends"]


def test_a_step_without_requests_has_no_p99(scene: Scene) -> None:
    taken = Taken(scene.file)
    requests(scene, 0, 2)
    taken.after()
    taken.after()
    p99s = taken.history.report(NAMES)["all"]["p99_s"]
    assert p99s == [pytest.approx(0.02, rel=0.05), None]


def test_it_begins_anew_with_another_balancer(scene: Scene) -> None:
    taken = Taken(scene.file)
    requests(scene, 0, 2)
    taken.after()
    scene.path.unlink()
    publish(scene.path, backends(9001))
    with SharedFile.open(scene.path) as taken.file:
        taken.after()
        assert taken.history.latest() == (None, {})
        assert taken.history.report(NAMES)["at"] == []
        taken.after()
        assert taken.history.latest()[1] == {}


def test_it_is_told_by_the_api_and_kept_without_anybody_watching(scene: Scene) -> None:
    """By a thread, until it is told to stop."""
    told = scene.get("/api/v1/history")
    assert told == {"at": [], "all": {"rate": [], "p99_s": []}, "backends": {}}
    (snapshots,) = (
        part for part in scene.app.extensions["beside"] if isinstance(part, Snapshots)
    )
    snapshots.start()

    def is_kept() -> bool:
        requests(scene, 1, 1)
        return "web9002" in scene.get("/api/v1/history")["backends"]

    try:
        wait_for(is_kept, "the first step")
    finally:
        snapshots.stop()
    wait_for(
        lambda: not any(t.name == "history" for t in threading.enumerate()), "its end"
    )
