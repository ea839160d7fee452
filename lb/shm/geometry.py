"""The sums that find a cell in the shared file, and the header that they come from.

`lb.shm.layout` says what lies where; here it is computed for one file's numbers of
rows and slots, which its header tells.  Nothing here does I/O.

A FILE IS VALID if
    1. it is a regular file, owned by who opens it;
    2. it is as long as the header, at least;
    3. MAGIC is right;
    4. BYTE_ORDER is right: it was made on a machine of the same kind;
    5. MAJOR is ours;
    6. CHECKSUM is right;
    7. the areas follow each other, with strides of this version or larger;
    8. FILE_BYTES is what the areas need, and what the file has.
    `lb.shm.file` decides 1, `lb.shm.geometry.read_geometry` the others.

SPACE
    Header, rows, heads and events have theirs from the start: 724 KiB for 64 rows.
    Bodies are far larger (a gigabyte for 4,096 rows and 64 slots) and are holes
    until somebody is to write there; then that part gets its space *first*, by
    `posix_fallocate`, so that a full file system is an error that can be told
    and not a SIGBUS.  Reading a hole of a memory file system through a map fills
    it, too, so nobody reads a part of a body without having seen that it has
    its space: STATE is not NEVER for columns and ring, OWNER is not 0 for a
    block, the cell SPANS is not 0 for the ring of spans.  Bodies, rings and blocks
    begin at multiples of 512 cells, a page: a block is one page.  2 backends take 740
    KB, and 270 KB more in each worker; 2,000 take 10 MB, and 8.7 MB more in each.
    Tracing takes 1 MB in each.  A block that would leave no space for 16 more slots
    is not given any; OWNER stays 0, and the row's figures are counted away, not its
    requests in flight.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from lb.errors import StateFileError
from lb.shm.events import EVENT_CELLS, EVENTS_KEPT
from lb.shm.layout import (
    BLOCK_CELLS,
    BYTE_ORDER_CELL,
    CELL_BYTES,
    DEFAULT_SLOTS,
    HEAD_CELLS,
    HEADER_CELLS,
    MAGIC_CELL,
    MAJOR_VERSION,
    MAX_ROWS,
    MINOR_VERSION,
    PAGE_CELLS,
    REQUEST_CELLS,
    REQUESTS_KEPT,
    ROW_CELLS,
    Cells,
    Column,
    Head,
    SlotCell,
)
from lb.shm.spans import SPAN_CELLS, SPANS_KEPT

RING_CELLS: Final = REQUEST_CELLS * REQUESTS_KEPT
SPAN_RING_CELLS: Final = SPAN_CELLS * SPANS_KEPT
EXTRA_BLOCKS: Final = 2
EVENT_RINGS: Final = 2


def _whole_pages(cells: int) -> int:
    return -(-cells // PAGE_CELLS) * PAGE_CELLS


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where everything is in one file; all results are indices into its cells."""

    rows: int
    slots: int
    row_cells: int = ROW_CELLS
    head_cells: int = HEAD_CELLS
    body_cells: int = 0
    """0: what this version needs for so many rows."""

    def __post_init__(self) -> None:
        if not self.body_cells:
            object.__setattr__(self, "body_cells", self.body_cells_needed)

    @classmethod
    def for_backends(cls, count: int, slots: int = DEFAULT_SLOTS) -> Geometry:
        """The geometry of a new file: room for twice as many backends as now.

        Rows are a power of two, at least 64 and at most 4096.

        Raises:
            StateFileError: for more than 4096 backends.
        """
        if count > MAX_ROWS:
            raise StateFileError(
                f"{count} backends are too many: at most {MAX_ROWS} are possible"
            )
        wanted = max(64, 2 * count)
        return cls(rows=min(MAX_ROWS, 1 << (wanted - 1).bit_length()), slots=slots)

    @property
    def heads_at(self) -> int:
        """The first cell of head 0."""
        return HEADER_CELLS + self.rows * self.row_cells

    @property
    def bodies_at(self) -> int:
        """The first cell of body 0; all before it has its space from the start."""
        return _whole_pages(self.events(EVENT_RINGS))

    @property
    def columns_cells(self) -> int:
        """How many cells a body's columns take, and what fills their last page."""
        return _whole_pages(len(Column) * self.rows)

    @property
    def body_cells_needed(self) -> int:
        """How many cells a body of this version has."""
        return self.furnished_cells + BLOCK_CELLS * self.rows + SPAN_RING_CELLS

    @property
    def furnished_cells(self) -> int:
        """How many cells of a body a process needs to serve at all."""
        return self.columns_cells + RING_CELLS + EXTRA_BLOCKS * BLOCK_CELLS

    @property
    def file_bytes(self) -> int:
        """The size of the whole file, most of which are holes."""
        return CELL_BYTES * (self.bodies_at + self.slots * self.body_cells)

    def row(self, row: int) -> int:
        """The first cell of a row."""
        return HEADER_CELLS + row * self.row_cells

    def head(self, slot: int) -> int:
        """The first cell of a slot's head."""
        return self.heads_at + slot * self.head_cells

    def events(self, ring: int) -> int:
        """The first cell of a ring of events."""
        at = self.head(self.slots)
        return at + ring * EVENT_CELLS * EVENTS_KEPT

    def heads(self, cell: SlotCell) -> slice:
        """One cell of every slot's head, in the slots' order."""
        return slice(self.heads_at + int(cell), self.head(self.slots), self.head_cells)

    def body(self, slot: int) -> int:
        """The first cell of a slot's body."""
        return self.bodies_at + slot * self.body_cells

    def column(self, slot: int, column: Column) -> int:
        """The first cell of a column: row 0's."""
        return self.body(slot) + int(column) * self.rows

    def column_cells(self, slot: int, column: Column) -> slice:
        """All cells of a column, in the rows' order."""
        first = self.column(slot, column)
        return slice(first, first + self.rows)

    def requests(self, slot: int) -> int:
        """The first cell of a slot's ring of requests."""
        return self.body(slot) + self.columns_cells

    def block(self, slot: int, row: int) -> int:
        """The first cell of a row's block in a slot."""
        return self.requests(slot) + RING_CELLS + row * BLOCK_CELLS

    def no_backend(self, slot: int) -> int:
        """The block of requests that had no backend."""
        return self.block(slot, self.rows)

    def nobody(self, slot: int) -> int:
        """The block of what is counted for nobody."""
        return self.block(slot, self.rows + 1)

    def spans(self, slot: int) -> int:
        """The first cell of a slot's ring of spans."""
        return self.block(slot, self.rows + EXTRA_BLOCKS)


def write_header(cells: Cells, geometry: Geometry, *, now_us: int, pid: int) -> None:
    """Make `cells`, all zero, the header of an empty file."""
    fixed = {
        Head.MAGIC: MAGIC_CELL,
        Head.BYTE_ORDER: BYTE_ORDER_CELL,
        Head.MAJOR: MAJOR_VERSION,
        Head.MINOR: MINOR_VERSION,
        Head.FILE_BYTES: geometry.file_bytes,
        Head.ROWS_AT: HEADER_CELLS,
        Head.ROW_CELLS: geometry.row_cells,
        Head.ROWS: geometry.rows,
        Head.HEADS_AT: geometry.heads_at,
        Head.HEAD_CELLS: geometry.head_cells,
        Head.SLOTS: geometry.slots,
        Head.BODIES_AT: geometry.bodies_at,
        Head.BODY_CELLS: geometry.body_cells,
        Head.CREATED: now_us,
        Head.CREATOR_PID: pid,
    }
    for cell, value in fixed.items():
        cells[cell] = value
    cells[Head.CHECKSUM] = zlib.crc32(cells[: Head.CHECKSUM])


def read_geometry(start: bytes, file_bytes: int) -> Geometry:
    """The geometry that a file's first bytes tell, if the file is valid.

    `start` is the header, or the whole file if that is shorter; `file_bytes` is
    the size that the file has.

    Raises:
        StateFileError: which of the conditions 2-8 does not hold.
    """
    if len(start) < HEADER_CELLS * CELL_BYTES:
        raise StateFileError(f"is too short ({file_bytes} bytes) to be a state file")
    head = memoryview(start).cast("Q")
    if head[Head.MAGIC] != MAGIC_CELL:
        raise StateFileError("is not a state file of Evenhand")
    if head[Head.BYTE_ORDER] != BYTE_ORDER_CELL:
        raise StateFileError("was made on a machine of another byte order")
    if head[Head.MAJOR] != MAJOR_VERSION:
        raise StateFileError(
            f"is of format version {head[Head.MAJOR]}, this is {MAJOR_VERSION}"
        )
    if head[Head.CHECKSUM] != zlib.crc32(head[: Head.CHECKSUM]):
        raise StateFileError("has a damaged header")
    return _areas(head, file_bytes)


def _areas(head: Cells, file_bytes: int) -> Geometry:
    """Conditions 7 and 8: later minor versions may only have longer strides."""
    geometry = Geometry(
        rows=head[Head.ROWS],
        slots=head[Head.SLOTS],
        row_cells=head[Head.ROW_CELLS],
        head_cells=head[Head.HEAD_CELLS],
        body_cells=head[Head.BODY_CELLS],
    )
    fits = (
        geometry.row_cells >= ROW_CELLS
        and geometry.head_cells >= HEAD_CELLS
        and geometry.body_cells >= geometry.body_cells_needed
        and head[Head.ROWS_AT] == HEADER_CELLS
        and head[Head.HEADS_AT] == geometry.heads_at
        and head[Head.BODIES_AT] == geometry.bodies_at
        and head[Head.FILE_BYTES] == geometry.file_bytes
    )
    if not fits:
        raise StateFileError("has areas that do not fit together")
    if file_bytes != geometry.file_bytes:
        raise StateFileError(
            f"has {file_bytes} bytes where its header says {geometry.file_bytes}"
        )
    return geometry
