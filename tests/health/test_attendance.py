"""Attendance: who came and who went, from one look to the next."""

from __future__ import annotations

from lb.health.attendance import Attendance
from lb.shm import EventKind


def looks(
    before: dict[int, int], now: dict[int, int], *dead: int
) -> list[tuple[str, int, str]]:
    return [
        (what.kind.name, what.before or what.after, what.reason)
        for what in Attendance(before).look(now, dead)
    ]


def test_who_is_there_at_the_beginning_is_no_news() -> None:
    assert looks({0: 10, 1: 11}, {0: 10, 1: 11}) == []


def test_those_who_went_are_told_before_those_who_came() -> None:
    assert looks({0: 10, 1: 11}, {1: 11, 2: 12}, 10) == [
        ("WORKER_WENT", 10, "it died"),
        ("WORKER_CAME", 12, ""),
    ]


def test_a_slot_that_another_took_was_left_for_a_reason_unknown() -> None:
    assert looks({0: 10}, {0: 12}) == [
        ("WORKER_WENT", 10, "it ended, or was replaced"),
        ("WORKER_CAME", 12, ""),
    ]


def test_each_change_is_told_once() -> None:
    attendance = Attendance({})
    (came,) = attendance.look({0: 10}, ())
    assert came.kind is EventKind.WORKER_CAME
    assert list(attendance.look({0: 10}, ())) == []
