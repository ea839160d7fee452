"""Change what is wished of backends, their weights, and take them out.

Each change is one transaction on the shared file, in force in every process at its
next request, and an event there that tells `who` made it. With several names, all are
changed or, if one is not there, none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lb.config.backends import WEIGHT_MAX
from lb.errors import OperationError
from lb.operating.naming import find
from lb.shm import edit_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lb.model import Wish
    from lb.shm import SharedFile, TableRow


@dataclass(frozen=True, slots=True)
class Done:
    """A change that was made: the backends as they were before it.

    Who has seen `generation` or a later one has seen it. `cut_before` is how much was
    ever cut at these backends.
    """

    rows: tuple[TableRow, ...]
    generation: int
    cut_before: int = 0

    @property
    def ids(self) -> frozenset[int]:
        """The ids of the backends."""
        return frozenset(row.id for row in self.rows)


def set_wish(
    file: SharedFile,
    names: Sequence[str] | None,
    wish: Wish,
    *,
    cut_at: float = 0.0,
    who: str = "",
) -> Done:
    """Make backends (None: all) ready, drain them, or take them into maintenance.

    `cut_at` is when requests and tunnels still under way there are cut, in unix
    seconds; 0.0: never.

    Raises:
        OperationError: a backend is not there; nothing was changed.
        StateFileError: the file cannot be changed.
    """
    with edit_table(file, who=who) as table:
        rows = find(table.rows(), names)
        # Before the deadline is there, as it may be a moment from now.
        before = cut_in_all(file, rows)
        for row in rows:
            table.set_wish(row, wish, cut_at=cut_at)
    return Done(tuple(rows), file.generation(), before)


def cut_in_all(file: SharedFile, rows: Iterable[TableRow]) -> int:
    """How much was ever cut at these backends, at the end of a drain's time."""
    totals = file.totals()
    return sum(totals[row.id].cut for row in rows if row.id in totals)


def set_weight(
    file: SharedFile, names: Sequence[str] | None, weight: int, *, who: str = ""
) -> Done:
    """Give backends (None: all) a weight, from 1 to 256.

    Raises:
        OperationError: it is out of range, or a backend is not there.
        StateFileError: the file cannot be changed.
    """
    check_weight(weight)
    with edit_table(file, who=who) as table:
        rows = find(table.rows(), names)
        for row in rows:
            table.set_weight(row, weight)
    return done(file, rows)


def check_weight(weight: int) -> None:
    """Nothing, if a backend may have this weight. Raises OperationError if not."""
    if not 1 <= weight <= WEIGHT_MAX:
        raise OperationError(
            f"a weight is from 1 to {WEIGHT_MAX}, not {weight}; to send a backend"
            " nothing new, drain it"
        )


def remove(file: SharedFile, rows: Iterable[TableRow], *, who: str = "") -> None:
    """Take these backends out; requests under way there go on.

    One that left meanwhile is passed over.

    Raises:
        StateFileError: the file cannot be changed.
    """
    ids = {row.id for row in rows}
    with edit_table(file, who=who) as table:
        for row in table.rows():
            if row.id in ids:
                table.remove(row)


def done(file: SharedFile, rows: Iterable[TableRow]) -> Done:
    """What was done to these rows, as the file is now."""
    return Done(tuple(rows), file.generation())
