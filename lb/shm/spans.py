"""The ring of traced requests that a worker writes: its format, and the pen.

A span is all that a collector is to be told of one request. Whoever serves writes it
here and thinks no more of it; another process reads and exports (`lb.shm.span_reader`),
so no library, queue or connection of tracing is in a worker. What is not read before
2,048 more came is overwritten and counted as lost: the ring is the bound, and nobody
waits.

SPAN, in the ring SPANS; number n of a slot is at n mod 2048.
       0     1 owner    WRITTEN      2 n + 1 while n is written, then 2 n + 2
       1    63 owner    FACTS        `FACTS`, fields of several sizes

As a REQUEST of `lb.shm.layout`, but of traced requests only.  The ring gets its space
when tracing is switched on; then the head's cell SPANS is not 0, and it is stored
after each span.  FACTS: binary64: when it began (seconds since 1970); 8 bytes: row id
of the last backend (0: none), bytes in, bytes out; binary32: seconds queued, to
connect, to head (negative: none) and in all; 2 bytes: status, attempts; 1 byte: label,
traits (1: HTTP/1.1, 2: https); text filled up with NUL, cut: its trace's id and its
own, in hex with a hyphen between (49), its parent's id (16), policy (15), method (16),
request id (40), client (40), host (64), target (210).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from time import time
from typing import TYPE_CHECKING, Final

from lb.shm.labels import NUMBERS, OTHER
from lb.shm.layout import CELL_BYTES, Cells, SlotCell

if TYPE_CHECKING:
    from lb.shm.recorder import Passage

SPAN_CELLS: Final = 64
SPANS_KEPT: Final = 2048

FACTS: Final = struct.Struct("@dQQQffffHHBB49s16s15s16s40s40s64s210s")
"""A span's facts; 504 bytes."""

IS_1_1: Final = 1
IS_HTTPS: Final = 2
"""Bits of its traits."""


class SpanCell(IntEnum):
    """Cells of a span in the ring, from the span's first."""

    WRITTEN = 0
    FACTS = 1


class SpanWriter:
    """Writes one process's spans; made by `Slot.spans`. One thread at a time."""

    __slots__ = ("_cells", "_number", "_ring", "_written")

    def __init__(self, cells: Cells, *, head: int, ring: int) -> None:
        self._cells = cells
        self._ring = ring
        self._written = head + int(SlotCell.SPANS)
        # It goes on with the numbers of the slot's last owner.
        self._number = max(1, int(cells[self._written])) - 1
        cells[self._written] = self._number + 1

    def __repr__(self) -> str:
        return f"<SpanWriter of {self._number}>"

    def write(
        self, passage: Passage, now: float, context: tuple[bytes, bytes, bytes, int]
    ) -> None:
        """Write the span of a request that is over at `time.monotonic` `now`. 1.3 us.

        `context` is its ids and its parent's, as FACTS has them, its host and traits.
        """
        ids, parent, host, traits = context
        cells, number = self._cells, self._number
        self._number = number + 1
        at = self._ring + number % SPANS_KEPT * SPAN_CELLS
        total_s = now - passage.began
        label = passage.label
        cells[at] = 2 * number + 1
        FACTS.pack_into(
            cells, (at + 1) * CELL_BYTES,
            time() - total_s, passage.cells.id, passage.bytes_in, passage.bytes_out,
            passage.queued_s, passage.connect_s, passage.to_head_s, total_s,
            passage.status, passage.attempts,
            NUMBERS.get(label, OTHER) if label else 0, traits,
            ids, parent, passage.policy, passage.method, passage.request_id,
            passage.client, host, passage.target,
        )  # fmt: skip
        cells[at] = 2 * number + 2
        cells[self._written] = number + 2
