"""Wait until every process has taken a change in, and what was under way is over.

A drain is done when two things hold: each living process has seen it, and so chooses
the backend no more and has closed its idle connections there; and nothing is in
flight at the backend over all of them. The first alone would miss what runs, the
second alone a process that is about to choose it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, time
from typing import TYPE_CHECKING, Final

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


def look(file: SharedFile, done: Done) -> Standing:
    """How far the change has got now; 60 us with 4 processes, 10 more per backend."""
    reader = file.in_flight_reader()
    in_flight = {
        row.backend.name: reader.of(row.row) if file.now(row) else 0
        for row in done.rows
    }
    return Standing(in_flight, _behind(file, done))


def _behind(file: SharedFile, done: Done) -> int:
    living = [slot for slot in file.slots() if slot.alive]
    return sum(slot.generation_seen < done.generation for slot in living)


def wait_drained(
    file: SharedFile,
    done: Done,
    *,
    cut_at: float,
    tell: Callable[[Standing, float], None],
) -> Outcome:
    """Wait until nothing is in flight, or was cut at unix time `cut_at`.

    `tell` is called at each look, some 20 a second, and told how many are left.

    Raises:
        OperationError: the backends were made ready again meanwhile.
    """
    begun, left_s = monotonic(), 1.0
    standing = look(file, done)
    while not standing.is_done and left_s > -GRACE_S:
        left_s = cut_at - time()
        tell(standing, max(0.0, left_s))
        _check_wished(file, done)
        native.sleep(min(POLL_S, left_s) if left_s > 0 else POLL_S)
        standing = look(file, done)
    tell(standing, max(0.0, cut_at - time()))
    cut = cut_in_all(file, done.rows) - done.cut_before
    return Outcome(
        standing.is_done and not cut,
        monotonic() - begun,
        cut=cut,
        left=standing.total,
        behind=standing.behind,
    )


def _check_wished(file: SharedFile, done: Done) -> None:
    for row in map(file.now, done.rows):
        if row is not None and row.wish is Wish.READY:
            raise OperationError(f"{row.backend.name} was made ready again meanwhile")


def wait_seen(file: SharedFile, done: Done, *, timeout_s: float) -> Outcome:
    """Wait until every living process has seen the change."""
    begun = monotonic()
    while behind := _behind(file, done):
        if monotonic() - begun >= timeout_s:
            return Outcome(False, monotonic() - begun, behind=behind)
        native.sleep(POLL_S)
    return Outcome(True, monotonic() - begun)


def wait_up(file: SharedFile, done: Done, *, timeout_s: float) -> Outcome:
    """The same, and until the checker has found the backends UP."""
    begun = monotonic()
    while not_up := _not_up(file, done):
        if monotonic() - begun >= timeout_s:
            waited_s = monotonic() - begun
            behind = _behind(file, done)
            return Outcome(False, waited_s, behind=behind, not_up=not_up)
        native.sleep(POLL_S)
    left_s = timeout_s - (monotonic() - begun)
    seen = wait_seen(file, done, timeout_s=left_s)
    return Outcome(seen.is_good, monotonic() - begun, behind=seen.behind)


def _not_up(file: SharedFile, done: Done) -> tuple[str, ...]:
    return tuple(
        state.backend.name
        for state in file.backends()
        if state.id in done.ids
        and not (state.verdict is Verdict.UP and state.standing.is_good)
    )
