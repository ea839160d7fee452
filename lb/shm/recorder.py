"""The hot path's one call for a finished request: counted, timed and recorded.

A worker gathers what happens to a request in a `Passage` and hands it to
`Recorder.finish` once, at the end.  That adds to counters of the process and of the
backend, to two histograms, and writes the flight recorder's next entry.  All of it
takes 0.8 us on a core of its own and 1.3 on a shared one: a fifth for counters, half
for the histograms with their sums, a third for the entry.  Beside it, beginning a
`Passage` and filling it in take 0.2 us, and in flight up and down 0.14.

The entry is packed straight into the file, byte by byte as `pack_into` does it, which
saves 60 ns; it is allowed there, and only there, because readers take no entry whose
mark does not say, before and after, that it is whole.

The recorder never fails for what clients or backends send, and never waits; one
thread at a time may call it.
"""

from __future__ import annotations

from bisect import bisect_right
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from lb.shm.histogram import BOUNDS
from lb.shm.labels import NUMBERS, OTHER
from lb.shm.layout import (
    CELL_BYTES,
    FACTS,
    REQUEST_CELLS,
    REQUESTS_KEPT,
    Counter,
)

if TYPE_CHECKING:
    from lb.shm.blocks import RowCells
    from lb.shm.layout import Cells

NOT_REACHED: Final = -1.0
"""A phase that a request did not come to."""

# Plain numbers: an IntEnum's member takes 30 ns to find and more to add.
BYTES_IN: Final = int(Counter.BYTES_IN)
BYTES_OUT: Final = int(Counter.BYTES_OUT)
RESPONSES: Final = int(Counter.RESPONSES)
TO_HEAD: Final = int(Counter.TO_HEAD)
TO_HEAD_SUM: Final = int(Counter.TO_HEAD_SUM)
TOTAL: Final = int(Counter.TOTAL)
TOTAL_SUM: Final = int(Counter.TOTAL_SUM)
LAST_MARK: Final = 2 * (REQUESTS_KEPT - 1)
HALF_REQUEST: Final = REQUEST_CELLS // 2
"""A request's mark is twice its number, so its place is half a request per mark."""


class Passage:
    """What is told of one request when it is over; one per client may be reused.

    Times are seconds: `began` is `time.monotonic` at its whole head; `queued_s` the
    wait for a backend, `connect_s` to connect and `to_head_s` from the beginning of
    the last attempt to its response head, each `NOT_REACHED` if there was none.
    `cells` are the last backend's, or the slot's `no_backend`.  `status` (0 to 999)
    is what the client got, 0 for nothing.  `label` says how it ended: "" well, else
    as in `lb.shm.labels`.  Bytes are of bodies.  `tried` are the ids of the first
    three backends that failed it, filled up with 0.  Texts are cut when recorded.
    """

    __slots__ = (
        "attempts",
        "began",
        "bytes_in",
        "bytes_out",
        "cells",
        "client",
        "connect_s",
        "label",
        "method",
        "policy",
        "queued_s",
        "request_id",
        "status",
        "target",
        "to_head_s",
        "tried",
    )

    def __init__(self, cells: RowCells) -> None:
        self.client = b""
        self.policy = b""
        self.begin(cells, 0.0)

    def begin(self, cells: RowCells, began: float) -> None:
        """Forget all but client and policy: a new request begins. 0.2 us."""
        self.cells = cells
        self.began = began
        self.queued_s = self.connect_s = self.to_head_s = NOT_REACHED
        self.method = self.target = self.request_id = b""
        self.attempts = self.status = self.bytes_in = self.bytes_out = 0
        self.label = ""
        self.tried: tuple[int, int, int] = (0, 0, 0)

    def failed_at(self, row_id: int) -> None:
        """Note a backend that failed the request, if there is still room for it."""
        first, second, third = self.tried
        if not first:
            self.tried = (row_id, 0, 0)
        elif not second:
            self.tried = (first, row_id, 0)
        elif not third:
            self.tried = (first, second, row_id)


class Recorder:
    """Records what one process finished; made by `Slot.recorder`.

    It goes on with the numbers of the slot's last owner, and skips one that died
    while it wrote.
    """

    __slots__ = (
        "_cells",
        "_clock",
        "_endings",
        "_floats",
        "_mark",
        "_pack_into",
        "_ring",
        "_statuses",
    )

    def __init__(self, cells: Cells, *, statuses: int, endings: int, ring: int) -> None:
        self._cells = cells
        self._floats = cells.cast("B").cast("d")
        self._statuses = statuses
        self._endings = endings
        self._ring = ring
        self._pack_into = FACTS.pack_into
        end = ring + REQUESTS_KEPT * REQUEST_CELLS
        newest = max(cells[ring:end:REQUEST_CELLS].tolist())
        self._mark = newest + 1 & ~1
        self.set_clock(unix=time(), monotonic=monotonic())

    def set_clock(self, *, unix: float, monotonic: float) -> None:
        """Take it that these are the same moment; to be told again now and then."""
        self._clock = unix - monotonic

    def finish(self, passage: Passage, now: float) -> None:
        """Count, time and record a request that is over at `time.monotonic` `now`."""
        cells, floats = self._cells, self._floats
        block = passage.cells.block
        status = passage.status
        hundreds = status // 100
        cells[self._statuses + hundreds] += 1
        cells[block + RESPONSES + hundreds] += 1
        began = passage.began
        total_s = now - began
        cells[block + TOTAL + bisect_right(BOUNDS, total_s)] += 1
        floats[block + TOTAL_SUM] += total_s
        to_head_s = passage.to_head_s
        if to_head_s >= 0:
            cells[block + TO_HEAD + bisect_right(BOUNDS, to_head_s)] += 1
            floats[block + TO_HEAD_SUM] += to_head_s
        bytes_in, bytes_out = passage.bytes_in, passage.bytes_out
        if bytes_in:
            cells[block + BYTES_IN] += bytes_in
        if bytes_out:
            cells[block + BYTES_OUT] += bytes_out
        ending = 0
        if passage.label:
            ending = NUMBERS.get(passage.label, OTHER)
            cells[self._endings + ending] += 1
        first, second, third = passage.tried
        mark = self._mark
        self._mark = mark + 2
        at = self._ring + (mark & LAST_MARK) * HALF_REQUEST
        cells[at] = mark + 1
        self._pack_into(
            cells, (at + 1) * CELL_BYTES,
            began + self._clock, passage.cells.id, bytes_in, bytes_out,
            first, second, third,
            passage.queued_s, passage.connect_s, to_head_s, total_s,
            status, passage.attempts, ending,
            passage.policy, passage.method, passage.request_id, passage.client,
            passage.target,
        )  # fmt: skip
        cells[at] = mark + 2
