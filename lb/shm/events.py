"""What happened to backends and processes, in order: two rings, each with one writer.

The builder writes what operators and settings change, the leader what health and
attendance show; who reads takes both together by time.  A ring keeps the last 512, so
somebody who comes again with a `Cursor` learns whether events were lost meanwhile.
Names stand in the event itself, because a backend may be gone when it is read.

EVENTS, the table's ring and then health's; 64 cells each.
       0     1 keeper   WRITTEN      2 n + 1 while n is written, then 2 n + 2
       1     1 keeper   AT           time
       2     1 keeper   KIND         an `EventKind`
       3     1 keeper   BACKEND      row id, 0: it is about no backend
       4     1 keeper   BEFORE       a `Verdict`, a `Wish`, a weight or a pid
       5     1 keeper   AFTER        the same
       6     1 keeper   NAME_BYTES
       7     1 keeper   REASON_BYTES
       8     1 keeper   WHO_BYTES
       9     7 keeper   WHO          who wanted it; empty: nobody, it happened
      16    16 keeper   NAME         the backend's, as it may be gone
      32    32 keeper   REASON
    The keeper of the table's ring is the builder, of health's the leader.  Event
    n of a ring is at n mod 512, and is a seqlock as REQUEST.  TABLE_EVENTS and
    HEALTH_EVENTS are raised last: who reads them has all before them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import IntEnum
from heapq import merge
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from lb.shm.cells import microseconds, read_text, read_whole, seconds, write_text
from lb.shm.layout import (
    NAME_CELLS,
    Cells,
    Head,
)

if TYPE_CHECKING:
    from lb.shm.geometry import Geometry


EVENT_CELLS: Final = 64
EVENTS_KEPT: Final = 512
"""In each ring."""
WHO_CELLS: Final = 7
EVENT_REASON_CELLS: Final = 32


class Ring(IntEnum):
    """Whose events they are."""

    TABLE = 0
    """The builder's."""
    HEALTH = 1
    """The leader's."""


class EventKind(IntEnum):
    """What happened; numbers are never given anew, as files outlive programs."""

    OTHER = 0
    """Of a kind that only a later version knows."""
    VERDICT = 1
    """`before` and `after` are `lb.model.Verdict`s."""
    WISH = 2
    """`before` and `after` are `lb.model.Wish`es."""
    WEIGHT = 3
    ADDED = 4
    """`after` is its weight."""
    REMOVED = 5
    """`before` was its weight."""
    CHECKER = 6
    """Process `after` checks health from now on."""
    WORKER_CAME = 7
    """`after` is its pid."""
    WORKER_WENT = 8
    """`before` was its pid."""
    SETTINGS = 9
    """Settings number `after` were put in force."""
    EJECTED = 10
    READMITTED = 11
    PANIC = 12
    """A set is in panic (`after` is 1), or no more; `reason` begins with its name."""
    DEMO = 13
    """A demo backend was told to misbehave, or load was asked for, as `reason` says."""


class EventCell(IntEnum):
    """Cells of an event, from the event's first."""

    WRITTEN = 0
    AT = 1
    KIND = 2
    BACKEND = 3
    BEFORE = 4
    AFTER = 5
    NAME_BYTES = 6
    REASON_BYTES = 7
    WHO_BYTES = 8
    WHO = 9
    NAME = 16
    REASON = 32


KINDS: Final = {int(kind): kind for kind in EventKind}
COUNTS: Final = {Ring.TABLE: Head.TABLE_EVENTS, Ring.HEALTH: Head.HEALTH_EVENTS}


@dataclass(frozen=True, slots=True)
class Happening:
    """What is to be told; see `lb.shm.layout` for how much of a text is kept."""

    kind: EventKind
    backend_id: int = 0
    backend: str = ""
    before: int = 0
    after: int = 0
    reason: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `at` is unix time, `number` counts those of its ring."""

    ring: Ring
    number: int
    at: float
    what: Happening


class Cursor(NamedTuple):
    """How far somebody has read: the file's birth, and a number of events per ring."""

    born: int
    table: int
    health: int

    def __str__(self) -> str:
        return f"{self.born:x}-{self.table}-{self.health}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that was printed so, or None for any other text."""
        parts = text.split("-")
        plain = all(part.isascii() and part.isalnum() for part in parts)
        if len(parts) != 3 or not plain or len(text) > 60:
            return None
        try:
            return cls(int(parts[0], 16), int(parts[1]), int(parts[2]))
        except ValueError:
            return None

    def after(self, event: Event) -> Self:
        """The cursor of who has read up to `event` in its ring."""
        count = event.number + 1
        if event.ring is Ring.TABLE:
            return self._replace(table=count)
        return self._replace(health=count)


class Events(NamedTuple):
    """The events after a cursor, by time; `lost` were overwritten unread."""

    found: list[Event]
    cursor: Cursor
    lost: int


def write_event(
    cells: Cells, geometry: Geometry, ring: Ring, what: Happening, *, at: float = 0.0
) -> None:
    """Add an event of unix time `at` (0.0: now), for the ring's one writer. 10 us."""
    number = cells[COUNTS[ring]]
    first = _place(geometry, ring, number)
    cells[first + EventCell.WRITTEN] = 2 * number + 1
    cells[first + EventCell.AT] = microseconds(at or time.time())
    cells[first + EventCell.KIND] = what.kind
    cells[first + EventCell.BACKEND] = what.backend_id
    cells[first + EventCell.BEFORE] = what.before
    cells[first + EventCell.AFTER] = what.after
    cells[first + EventCell.NAME_BYTES] = write_text(
        cells, first + EventCell.NAME, NAME_CELLS, what.backend
    )
    cells[first + EventCell.REASON_BYTES] = write_text(
        cells, first + EventCell.REASON, EVENT_REASON_CELLS, what.reason
    )
    cells[first + EventCell.WHO_BYTES] = write_text(
        cells, first + EventCell.WHO, WHO_CELLS, what.who
    )
    cells[first + EventCell.WRITTEN] = 2 * number + 2
    cells[COUNTS[ring]] = number + 1


def _place(geometry: Geometry, ring: Ring, number: int) -> int:
    return geometry.events(ring) + number % EVENTS_KEPT * EVENT_CELLS


def start_of(cells: Cells) -> Cursor:
    """The cursor of who has read nothing of this file."""
    return Cursor(cells[Head.CREATED], 0, 0)


def end_of(cells: Cells) -> Cursor:
    """The cursor of who has read all; 0.3 us, so it can be asked for often."""
    return Cursor(
        cells[Head.CREATED], cells[Head.TABLE_EVENTS], cells[Head.HEALTH_EVENTS]
    )


def read_events(
    cells: Cells, geometry: Geometry, since: Cursor | None = None
) -> Events:
    """What happened after `since`, all that is kept without it. 10 us each.

    By time, but never against the order in which one writer told it.  Of a cursor
    into another file all is new.
    """
    end = end_of(cells)
    if since is None or since.born != end.born:
        since = start_of(cells)
        lost = 0
    else:
        kept = max(0, end.table - EVENTS_KEPT), max(0, end.health - EVENTS_KEPT)
        lost = max(0, kept[0] - since.table) + max(0, kept[1] - since.health)
    table = _read_ring(cells, geometry, Ring.TABLE, range(since.table, end.table))
    health = _read_ring(cells, geometry, Ring.HEALTH, range(since.health, end.health))
    # Merged, not sorted: a ring's own order holds, as cursors need it.
    found = list(merge(table, health, key=lambda event: event.at))
    return Events(found, end, lost)


def _read_ring(
    cells: Cells, geometry: Geometry, ring: Ring, numbers: range
) -> list[Event]:
    kept = numbers[-EVENTS_KEPT:]
    found = (_read(cells, geometry, ring, number) for number in kept)
    return [event for event in found if event is not None]


def _read(cells: Cells, geometry: Geometry, ring: Ring, number: int) -> Event | None:
    """The event, or None if it is overwritten by now or its writer died in it."""
    at = _place(geometry, ring, number)
    mark = at + EventCell.WRITTEN
    found = read_whole(cells, mark, cells[at : at + EVENT_CELLS].tobytes)
    if found is None:
        return None
    with memoryview(found) as data, data.cast("Q") as own:
        if own[EventCell.WRITTEN] != 2 * number + 2:
            return None
        return Event(ring, number, seconds(own[EventCell.AT]), _happening(own))


def _happening(own: Cells) -> Happening:
    """What the cells of one event, copied, tell."""
    return Happening(
        kind=KINDS.get(own[EventCell.KIND], EventKind.OTHER),
        backend_id=own[EventCell.BACKEND],
        backend=read_text(own, EventCell.NAME, NAME_CELLS, own[EventCell.NAME_BYTES]),
        before=own[EventCell.BEFORE],
        after=own[EventCell.AFTER],
        reason=read_text(
            own, EventCell.REASON, EVENT_REASON_CELLS, own[EventCell.REASON_BYTES]
        ),
        who=read_text(own, EventCell.WHO, WHO_CELLS, own[EventCell.WHO_BYTES]),
    )
