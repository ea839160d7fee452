"""Streams: what happens as it happens, nothing twice, nothing lost unsaid, bounded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lb.admin.streaming import MOST_STREAMS
from lb.model import Verdict
from lb.report.latencies import Looked, Window
from lb.shm import EventKind, Happening, Histogram, Latencies, Ring, publish
from lb.shm.events import EVENTS_KEPT, write_event
from tests.admin.conftest import HOST
from tests.shm.children import backends
from tests.shm.requests import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

    from tests.admin.conftest import Scene


class Listener:
    """Reads a stream event by event, as far as the test asks."""

    def __init__(self, scene: Scene, path: str, last: str = "") -> None:
        headers = {"Host": HOST} | ({"Last-Event-ID": last} if last else {})
        self.answer: TestResponse = scene.client.get(path, headers=headers)
        self._parts: Iterator[bytes] = iter(self.answer.response)
        self._rest: list[dict[str, str]] = []
        self.last = last

    def event(self) -> tuple[str, Any]:
        """The next event's kind and data."""
        while not self._rest:
            text = next(self._parts).decode()
            blocks = text.split("\n\n")[:-1]
            fields = [dict(x.split(": ", 1) for x in b.split("\n")) for b in blocks]
            self._rest += [found for found in fields if "event" in found]
        found = self._rest.pop(0)
        self.last = found.get("id", self.last)
        return found["event"], json.loads(found["data"])

    def close(self) -> None:
        self.answer.close()


EVENTS, SNAPSHOTS = "/api/v1/events/stream", "/api/v1/stream"


def test_an_event_is_told_when_it_happens(scene: Scene) -> None:
    listener = Listener(scene, EVENTS)
    assert listener.answer.mimetype == "text/event-stream"
    assert listener.event()[0] == "begin"
    scene.judge(0, Verdict.DOWN, "refused")
    kind, told = listener.event()
    assert (kind, told["kind"], told["after"]) == ("transition", "verdict", "down")
    assert (told["backend"], told["reason"]) == ("web9001", "refused")
    listener.close()


def test_who_comes_back_gets_what_was_missed_once(scene: Scene) -> None:
    listener = Listener(scene, EVENTS)
    listener.event()
    scene.judge(0, Verdict.UP)
    listener.event()
    listener.close()
    scene.judge(0, Verdict.DOWN)
    scene.judge(1, Verdict.UP)
    again = Listener(scene, EVENTS, listener.last)
    assert [again.event()[1]["after"] for _ in range(2)] == ["down", "up"]
    again.close()


def test_who_comes_back_too_late_is_told_how_much_is_lost(scene: Scene) -> None:
    listener = Listener(scene, EVENTS)
    listener.event()
    listener.close()
    for number in range(EVENTS_KEPT + 3):
        what = Happening(EventKind.WEIGHT, after=number)
        write_event(scene.file.cells, scene.file.geometry, Ring.TABLE, what)
    again = Listener(scene, EVENTS, listener.last)
    assert again.event() == ("lost", {"lost": 3})
    assert again.event()[1]["after"] == 3
    again.close()


def test_a_balancer_that_ends_and_comes_back_is_told(scene: Scene) -> None:
    listener = Listener(scene, EVENTS)
    listener.event()
    scene.path.unlink()
    kind, told = listener.event()
    assert kind == "unavailable"
    assert str(scene.path) in told["detail"]
    scene.file.close()
    publish(scene.path, backends(9003))
    from lb.shm import SharedFile, edit_table

    with SharedFile.open(scene.path) as file, edit_table(file) as table:
        table.set_weight(table.rows()[0], 4)
    assert listener.event()[1]["after"] == 4
    listener.close()


def test_a_nonsensical_id_begins_now(scene: Scene) -> None:
    listener = Listener(scene, EVENTS, "nonsense")
    assert listener.event()[0] == "begin"
    listener.close()


def test_snapshots_have_state_totals_and_latencies(scene: Scene) -> None:
    listener = Listener(scene, SNAPSHOTS)
    kind, first = listener.event()
    assert kind == "snapshot"
    for _ in range(10):
        serve(scene.file, scene.recorder, scene.slot.row(0, 1), took_s=0.02)
    _, second = listener.event()
    assert second["at"] > first["at"]
    one, two = second["backends"]
    assert one["totals"]["responses"]["2xx"] == 10
    assert one["latency"]["p95_s"] == pytest.approx(0.02, rel=0.05)
    assert two["latency"] is None
    assert second["totals"]["responses"]["2xx"] == 10
    assert second["workers"][0]["requests"] == 10
    listener.close()


def test_all_who_watch_share_one_snapshot(scene: Scene) -> None:
    one, two = Listener(scene, SNAPSHOTS), Listener(scene, SNAPSHOTS)
    assert one.event() == two.event()
    one.close()
    two.close()


def test_a_snapshot_that_cannot_be_made_is_said(scene: Scene) -> None:
    listener = Listener(scene, SNAPSHOTS)
    listener.event()
    scene.path.unlink()
    assert listener.event()[0] == "unavailable"
    listener.close()


def test_only_so_many_may_listen(scene: Scene) -> None:
    """Whoever ends makes room, also if nothing was read."""
    listeners = [Listener(scene, EVENTS) for _ in range(MOST_STREAMS)]
    refused = scene.ask("GET", SNAPSHOTS)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    listeners[0].close()
    listeners[0] = Listener(scene, SNAPSHOTS)
    assert listeners[0].event()[0] == "snapshot"
    for listener in listeners:
        listener.close()


def test_streams_end_when_the_process_is_to_stop(scene: Scene) -> None:
    listener = Listener(scene, EVENTS)
    listener.event()
    scene.app.extensions["streams"].is_stopping = lambda: True
    with pytest.raises(StopIteration):
        listener.event()
    listener.close()


def times(*seconds: float) -> dict[int, Latencies]:
    found = Histogram.of(seconds)
    return {1: Latencies(found, found)}


def test_latencies_are_of_the_last_minute() -> None:
    window = Window()
    slow, then = times(5.0), times(5.0, 0.1)
    assert window.look(1, slow, 0.0) == Looked(0.0, {1: None}, None)
    assert window.look(1, slow, 30.0).by_backend == {1: None}
    length_s, found, of_all = window.look(1, then, 50.0)
    assert length_s == 50.0
    assert found[1]["p50_s"] == pytest.approx(0.1, rel=0.05)
    assert of_all == found[1]
    length_s, found, of_all = window.look(1, then, 110.0)
    assert length_s == 60.0
    assert found[1] is None
    assert of_all is None


def test_the_window_begins_anew_with_another_file_or_after_a_long_pause() -> None:
    window = Window()
    window.look(1, times(5.0), 0.0)
    assert window.look(2, times(5.0, 5.0), 10.0) == Looked(0.0, {1: None}, None)
    assert window.look(2, times(5.0, 5.0, 5.0), 500.0) == Looked(0.0, {1: None}, None)
