"""What stands in cells: texts, times, and records that readers see whole.

The seqlock here is the reader's and the writer's half of the rule in
`lb.shm.layout`.  It relies on stores becoming visible in program order, which
x86-64 promises and which, on other machines, the many instructions between two
stores of an interpreter make as good as certain; a torn record would show an
old text for one reading, never a wrong verdict.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.shm.layout import Cells

T = TypeVar("T")

READ_TRIES = 64
"""A record is written in about 10 us and read in less: a reader that fails so
often met a writer that died or was suspended in the middle."""


def microseconds(seconds: float) -> int:
    """A time or duration in seconds, as cells have it."""
    return max(0, round(seconds * 1e6))


def seconds(cell: int) -> float:
    """A cell's time or duration, in seconds."""
    return cell / 1e6


def write_text(cells: Cells, at: int, count: int, text: str) -> int:
    """Store a text in `count` cells; returns how many bytes of it found room."""
    room = count * 8
    data = text.encode("utf-8", "replace")[:room]
    cells[at : at + count] = memoryview(data.ljust(room, b"\0")).cast("Q")
    return len(data)


def read_text(cells: Cells, at: int, count: int, length: int) -> str:
    """The text in `count` cells; a length that cannot be is cut to what fits."""
    data = cells[at : at + count].tobytes()[: min(length, count * 8)]
    return data.decode("utf-8", "ignore")


@contextmanager
def writing(cells: Cells, sequence: int) -> Iterator[None]:
    """Readers of the record under `sequence` wait out the block's stores.

    For the record's one writer.  A predecessor that died inside the block left
    the number odd: it stays odd, and the block makes the record whole again
    only if it stores all of it.
    """
    odd = cells[sequence] | 1
    cells[sequence] = odd
    try:
        yield
    finally:
        cells[sequence] = odd + 1


def read_whole(cells: Cells, sequence: int, read: Callable[[], T]) -> T | None:
    """What `read` returns when no writer was at the record; None after 64 tries."""
    for _ in range(READ_TRIES):
        before = cells[sequence]
        if before & 1:
            continue
        value = read()
        if cells[sequence] == before:
            return value
    return None
