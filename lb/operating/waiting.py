"""Wait until every process has taken a change in, and what was under way is over.

A drain is done when two things hold: each living process has seen it, and so chooses
the backend no more and has closed its idle connections there; and nothing is in
flight at the backend over all of them. The first alone would miss what runs, the
second alone a process that is about to choose it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Protocol

from lb import native
from lb.errors import OperationError
from lb.model import Verdict, Wish
from lb.operating.changes import cut_in_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.operating.changes import Done
    from lb.shm import SharedFile

POLL_S: Final = 0.05
GRACE_S: Final = 5.0
"""How long processes may take to cut what is in flight, from the deadline on.

They do so within milliseconds, and a tunnel whose client takes nothing within 0.5 s.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a change has got: in flight by backend, and processes still behind."""

    in_flight: dict[str, int]
    behind: int

    @property
    def total(self) -> int:
        """Requests and tunnels in flight at all of the backends."""
        return sum(self.in_flight.values())

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way, and nobody will begin anything."""
        return not self.behind and not self.total


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a wait ended.

    `cut` requests and tunnels were, at the deadline; `left` are in flight all the
    same. `behind` processes have not seen the change.
    """

    is_good: bool
    waited_s: float
    cut: int = 0
    left: int = 0
    behind: int = 0
    not_up: tuple[str, ...] = field(default=())


class Watched(Protocol):
    """A change as it takes effect: what a wait for it asks, again and again."""

    poll_s: float
    """How long to pause between two looks."""

    def standing(self) -> Standing:
        """Look anew; the others tell of the last look."""

    def readied(self) -> str:
        """A backend of these that somebody has made ready, or an empty text."""

    def not_up(self) -> tuple[str, ...]:
        """The backends of these that are not UP."""

    def cut(self) -> int:
        """How much was cut at these backends since the change."""


class OnFile:
    """A change that was made in the shared file, watched there."""

    poll_s = POLL_S

    def __init__(self, file: SharedFile, done: Done) -> None:
        self._file = file
        self._done = done

    def standing(self) -> Standing:
        """See `Watched`."""
        return look(self._file, self._done)

    def readied(self) -> str:
        """See `Watched`."""
        for row in map(self._file.now, self._done.rows):
            if row is not None and row.wish is Wish.READY:
                return row.backend.name
        return ""

    def not_up(self) -> tuple[str, ...]:
        """See `Watched`."""
        return tuple(
            state.backend.name
            for state in self._file.backends()
            if state.id in self._done.ids
            and not (state.verdict is Verdict.UP and state.standing.is_good)
        )

    def cut(self) -> int:
        """See `Watched`."""
        return cut_in_all(self._file, self._done.rows) - self._done.cut_before


def look(file: SharedFile, done: Done) -> Standing:
    """How far the change has got now; 60 us with 4 processes, 10 more per backend."""
    reader = file.in_flight_reader()
    in_flight = {
        row.backend.name: reader.of(row.row) if file.now(row) else 0
        for row in done.rows
    }
    living = [slot for slot in file.slots() if slot.alive]
    behind = sum(slot.generation_seen < done.generation for slot in living)
    return Standing(in_flight, behind)


def wait_drained(
    watched: Watched, *, cut_at: float, tell: Callable[[Standing, float], None]
) -> Outcome:
    """Wait until nothing is in flight, or was cut at unix time `cut_at`.

    `tell` is called at each look, and told how many seconds are left.

    Raises:
        OperationError: the backends were made ready again meanwhile.
    """
    begun, left_s = monotonic(), 1.0
    standing = watched.standing()
    while not standing.is_done and left_s > -GRACE_S:
        left_s = cut_at - time()
        tell(standing, max(0.0, left_s))
        if name := watched.readied():
            raise OperationError(f"{name} was made ready again meanwhile")
        poll_s = watched.poll_s
        native.sleep(min(poll_s, left_s) if left_s > 0 else poll_s)
        standing = watched.standing()
    tell(standing, max(0.0, cut_at - time()))
    cut = watched.cut()
    return Outcome(
        standing.is_done and not cut,
        monotonic() - begun,
        cut=cut,
        left=standing.total,
        behind=standing.behind,
    )


def wait_seen(watched: Watched, *, timeout_s: float) -> Outcome:
    """Wait until every living process has seen the change."""
    return _wait(watched, timeout_s, lambda: ())


def wait_up(watched: Watched, *, timeout_s: float) -> Outcome:
    """The same, and until the checker has found the backends UP."""
    return _wait(watched, timeout_s, watched.not_up)


def _wait(
    watched: Watched, timeout_s: float, missing: Callable[[], tuple[str, ...]]
) -> Outcome:
    begun = monotonic()
    while True:
        behind, not_up = watched.standing().behind, missing()
        waited_s = monotonic() - begun
        is_good = not behind and not not_up
        if is_good or waited_s >= timeout_s:
            return Outcome(is_good, waited_s, behind=behind, not_up=not_up)
        native.sleep(min(watched.poll_s, max(0.0, timeout_s - waited_s)))
