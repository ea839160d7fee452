"""Events: every change is told once, in order, by whom and why; the log is bounded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from lb.model import Verdict, Wish
from lb.shm import (
    Cursor,
    Event,
    EventKind,
    Happening,
    Leadership,
    Memory,
    ProbeRecord,
    Record,
    Ring,
    SharedFile,
    Standing,
    VerdictWriter,
    edit_table,
    publish,
)
from lb.shm.events import EVENTS_KEPT, EventCell, write_event
from tests.shm.children import Child, backends, until

if TYPE_CHECKING:
    from pathlib import Path


def told(events: list[Event]) -> list[tuple[EventKind, str, int, int, str]]:
    return [
        (e.what.kind, e.what.backend, e.what.before, e.what.after, e.what.who)
        for e in events
    ]


def test_a_new_file_has_no_events(file: SharedFile) -> None:
    """The backends that it was made with are no news."""
    assert file.events().found == []


def test_what_an_operator_changes_is_told_with_who_it_was(file: SharedFile) -> None:
    (new,) = backends(9003)
    with edit_table(file, who="ann") as table:
        one, two = table.rows()
        table.set_wish(one, Wish.DRAIN)
        table.set_weight(two, 7)
        table.add(new)
        table.remove(one)
    assert told(file.events().found) == [
        (EventKind.WISH, "web9001", Wish.READY, Wish.DRAIN, "ann"),
        (EventKind.WEIGHT, "web9002", 1, 7, "ann"),
        (EventKind.ADDED, "web9003", 0, 1, "ann"),
        (EventKind.REMOVED, "web9001", 1, 0, "ann"),
    ]


def test_what_changes_nothing_is_not_told(file: SharedFile) -> None:
    with edit_table(file, who="ann") as table:
        for row in table.rows():
            table.set_wish(row, Wish.READY)
            table.set_weight(row, 1)
    assert file.events().found == []


def test_what_settings_change_is_told(path: Path, file: SharedFile) -> None:
    file.take_slot()
    publish(path, backends(9002, 9003), replace=True)
    assert told(file.events().found) == [
        (EventKind.REMOVED, "web9001", 1, 0, "settings"),
        (EventKind.ADDED, "web9003", 0, 1, "settings"),
    ]


def test_a_verdict_is_told_with_its_time_and_reason(file: SharedFile) -> None:
    leadership = Leadership(file)
    assert leadership.try_acquire()
    writer = VerdictWriter(file, leadership)
    writer.set_verdict(0, 1, Verdict.UP, reason="it answers", at=1000.5)
    writer.set_verdict(0, 1, Verdict.DOWN, reason="refused", at=1001.5)
    up, down = [e for e in file.events().found if e.what.kind is EventKind.VERDICT]
    assert (up.at, up.what.reason, up.what.after) == (1000.5, "it answers", Verdict.UP)
    assert (down.what.before, down.what.after) == (Verdict.UP, Verdict.DOWN)
    assert (down.what.backend_id, down.what.backend) == (1, "web9001")


def test_ejections_are_told_and_counted(file: SharedFile) -> None:
    leadership = Leadership(file)
    leadership.try_acquire()
    pen = VerdictWriter(file, leadership)
    for is_ejected in (True, True, False, True):
        memory = Memory(ejected_at=1000.0, why="5 failures in a row")
        standing = Standing(Verdict.UP, is_ejected)
        pen.judge(1, 2, Record(standing, 1.0, "", memory=memory))
    events = file.events().found
    kinds = [e.what.kind for e in events if e.what.backend == "web9002"]
    assert kinds == [
        EventKind.VERDICT, EventKind.EJECTED, EventKind.READMITTED, EventKind.EJECTED
    ]  # fmt: skip
    ejected = [e for e in events if e.what.kind is EventKind.EJECTED]
    assert {(e.at, e.what.reason) for e in ejected} == {(1000.0, "5 failures in a row")}
    assert file.backends()[1].tally.ejections == 2


def test_who_does_not_lead_tells_nothing(file: SharedFile) -> None:
    writer = VerdictWriter(file, Leadership(file))
    writer.tell(Happening(EventKind.WORKER_CAME, after=1))
    writer.set_verdict(0, 1, Verdict.UP, reason="", at=1.0)
    assert file.events().found == []


def test_both_rings_are_read_as_one_by_time(file: SharedFile) -> None:
    for at, ring in ((2.0, Ring.TABLE), (1.0, Ring.HEALTH), (3.0, Ring.HEALTH)):
        what = Happening(EventKind.OTHER)
        write_event(file.cells, file.geometry, ring, what, at=at)
    assert [e.at for e in file.events().found] == [1.0, 2.0, 3.0]


def test_one_writers_order_is_kept_whatever_its_clock_says(file: SharedFile) -> None:
    """A verdict has the time of its probe, and is told a moment later."""
    for at, after in ((5.0, 1), (4.0, 2), (6.0, 3)):
        what = Happening(EventKind.WEIGHT, after=after)
        write_event(file.cells, file.geometry, Ring.HEALTH, what, at=at)
    assert [e.what.after for e in file.events().found] == [1, 2, 3]


@given(st.integers(0, 2**60), st.integers(0, 2**60), st.integers(0, 2**60))
def test_a_cursor_is_read_as_it_was_printed(born: int, table: int, health: int) -> None:
    cursor = Cursor(born, table, health)
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text())
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    found = Cursor.parse(text)
    assert found is None or isinstance(found, Cursor)


def test_each_event_is_read_once_with_a_cursor(file: SharedFile) -> None:
    def tell(after: int) -> None:
        what = Happening(EventKind.WEIGHT, after=after)
        write_event(file.cells, file.geometry, Ring.TABLE, what)

    tell(1)
    first = file.events()
    tell(2)
    tell(3)
    second = file.events(first.cursor)
    assert [e.what.after for e in second.found] == [2, 3]
    assert second.cursor == file.events_end()
    assert file.events(second.cursor).found == []
    again = file.events(first.cursor.after(second.found[0]))
    assert [e.what.after for e in again.found] == [3]


def test_the_last_are_kept_and_the_lost_are_counted(file: SharedFile) -> None:
    before = file.events_end()
    for number in range(EVENTS_KEPT + 5):
        what = Happening(EventKind.WEIGHT, after=number)
        write_event(file.cells, file.geometry, Ring.TABLE, what, at=1.0 + number)
    found = file.events(before)
    assert found.lost == 5
    assert [e.what.after for e in found.found] == list(range(5, EVENTS_KEPT + 5))


def test_one_that_is_overwritten_while_it_is_read_is_lost_too(
    file: SharedFile,
) -> None:
    """The writer of the next has begun, and nobody can read the oldest any more."""
    before = file.events_end()
    for number in range(EVENTS_KEPT):
        what = Happening(EventKind.WEIGHT, after=number)
        write_event(file.cells, file.geometry, Ring.TABLE, what, at=1.0 + number)
    oldest = file.geometry.events(Ring.TABLE)
    file.cells[oldest + EventCell.WRITTEN] = 2 * EVENTS_KEPT + 1
    found = file.events(before)
    assert (found.lost, len(found.found)) == (1, EVENTS_KEPT - 1)


def test_of_another_file_everything_is_new(file: SharedFile) -> None:
    write_event(file.cells, file.geometry, Ring.TABLE, Happening(EventKind.OTHER))
    assert len(file.events(Cursor(1, 50, 50)).found) == 1


def test_an_event_whose_writer_died_in_it_is_passed_over(file: SharedFile) -> None:
    """The next writer takes its place."""
    write_event(file.cells, file.geometry, Ring.HEALTH, Happening(EventKind.OTHER))
    first = file.geometry.events(Ring.HEALTH)
    file.cells[first + EventCell.WRITTEN] |= 1
    assert file.events().found == []


def test_texts_are_cut_to_their_room(file: SharedFile) -> None:
    what = Happening(EventKind.OTHER, 1, "n" * 999, reason="r" * 999, who="w" * 999)
    write_event(file.cells, file.geometry, Ring.TABLE, what)
    (event,) = file.events().found
    assert [len(t) for t in (event.what.backend, event.what.reason, event.what.who)] == [
        128, 256, 56,
    ]  # fmt: skip


WRITER = """
import sys
from lb.shm import EventKind, Happening, Ring, SharedFile
from lb.shm.events import write_event
with SharedFile.open(sys.argv[1]) as file:
    print("ready", flush=True)
    n = 0
    while True:
        n += 1
        what = Happening(EventKind.OTHER, n, f"{n}" * 5, n, n, f"{n}" * 20, f"{n}")
        write_event(file.cells, file.geometry, Ring.TABLE, what)
"""


def test_a_reader_sees_whole_events_only(path: Path, file: SharedFile) -> None:
    """While another process writes as fast as it can, and is killed in the middle."""
    with Child(WRITER, path) as child:
        assert child.line() == "ready"
        until(lambda: file.events_end().table > 2000, "some writing")
        seen, deadline = 0, time.monotonic() + 1.0
        while time.monotonic() < deadline:
            for event in file.events().found:
                n = event.what.after
                assert event.what.backend_id == event.what.before == n
                assert event.what.backend == f"{n}" * 5
                assert event.what.reason == f"{n}" * 20
                assert (event.what.who, event.number) == (f"{n}", n - 1)
                seen += 1
        assert seen > 500
        child.kill()
    assert len(file.events().found) >= EVENTS_KEPT - 1


def test_probes_are_counted_by_how_they_ended(file: SharedFile) -> None:
    leadership = Leadership(file)
    leadership.try_acquire()
    writer = VerdictWriter(file, leadership)
    for number in range(25):
        probe = ProbeRecord(1.0, 0.5, number % 5 != 0, "x")
        writer.record_probe(0, 1, probe)
    state = file.backends()[0]
    assert state.tally == (25, 5, 12.5, 0)
    assert len(state.probes) == 10


def test_idle_connections_and_the_queue_are_seen_while_their_process_lives(
    path: Path, file: SharedFile
) -> None:
    with SharedFile.open(path) as other:
        slot = other.take_slot()
        slot.tell_resting(queued=4, idle={0: 3, 1: 2})
        slot.tell_resting(queued=3, idle={1: 5})
        (state,) = file.slots()
        assert (state.queued, state.idle) == (3, 5)
        assert file.idle()[slot.index][:3] == [0, 5, 0]
    assert file.idle() == {}
    assert file.slots()[0].idle == 0
