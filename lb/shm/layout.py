"""The byte format of the shared file, and the sums that find a cell in it.

Every process of one balancer maps the same file, so this page is a protocol
between programs that may be of different versions.  Nothing here does I/O.

THE TWO RULES
    A *cell* is eight aligned bytes, an unsigned number in the machine's own
    byte order.  It is stored and loaded at once, through
    `memoryview.cast("Q")`; `struct.pack_into` stores byte by byte, and readers
    would see values that nobody wrote.
    A cell has *one writer at a time*: the holder of the lock in the tables'
    "writer" column.  Readers take no lock and never wait.

THE FILE
    [ header, 64 cells ][ row 0 | row 1 | ... ][ slot 0 | slot 1 | ... ]
    All offsets below count cells.  Text is UTF-8, cut at its field's end,
    with its length in bytes in a cell of its own.  Times are microseconds
    since 1970 (0: never), durations microseconds.

HEADER.  Cells 0-13 never change after the file got its name.
      at cells writer   name
       0     1 creator  MAGIC        the text "evenhand" as one cell
       1     1 creator  BYTE_ORDER   0x0102030405060708
       2     1 creator  MAJOR        a reader of another major must not look on
       3     1 creator  MINOR        higher: cells that were spare have a use
       4     1 creator  FILE_BYTES   size of the whole file
       5     1 creator  ROWS_AT      first cell of row 0
       6     1 creator  ROW_CELLS    distance from row to row
       7     1 creator  ROWS         how many rows there are
       8     1 creator  SLOTS_AT     first cell of slot 0
       9     1 creator  SLOT_CELLS   distance from slot to slot
      10     1 creator  SLOTS        how many slots there are
      11     1 creator  CREATED      time
      12     1 creator  CREATOR_PID
      13     1 creator  CHECKSUM     CRC-32 of cells 0-12
      16     1 builder  TABLE_GENERATION    +1 after each change of the rows
      17     1 builder  LAST_ID      the highest row id ever given
      24     1 leader   VERDICT_GENERATION  +1 after each change of a verdict
      25     1 leader   LEADER_PID   meaningful while the leader lock is held
      26     1 leader   LEADER_SINCE time
    The generation that a worker compares is the sum of both: neither ever
    falls, so the sum changes whenever one does.  The two lie on cache lines of
    their own.  All other cells are spare and zero.

ROW, one per backend.
      at cells writer   name
       0     1 builder  ID           0: no backend here; never given twice
       1     1 builder  WEIGHT
       2     1 builder  NAME_BYTES
       3     1 builder  ADDRESS_BYTES
       4     1 builder  WISH         a `Wish`
       5     1 builder  REQUESTS_BASE   what the slots' totals of this row said
       6     1 builder  FAILURES_BASE   when the present backend moved in
       8    16 builder  NAME
      24    34 builder  ADDRESS      as `Address` prints it
      64     1 leader   SEQUENCE     odd: cells 66-223 are being written
      65     1 leader   VERDICT      row id * 4 + `Verdict`
      66     1 leader   RECORD_ID    the row id that cells 67-223 speak of
      67     1 leader   SINCE        time of the verdict
      68     1 leader   REASON_BYTES
      69    32 leader   REASON
     101     1 leader   PROBES       how many were recorded, ever
     102   120 leader   RING         the last 10 probes, 12 cells each
    The identity of a backend is its name and address.  It is written while ID
    is 0, and ID is stored last; a reader loads ID, the text, and ID again, and
    has a whole row if both are the same number.  So a builder that dies in the
    middle leaves an empty row, not a wrong one.
    VERDICT names the row id it is about, in the same cell.  A verdict that a
    slow leader stores for a row that has changed hands is thus no verdict.
    Cells 66-223 are under a seqlock: the leader makes SEQUENCE odd, writes,
    makes it even; a reader loads SEQUENCE, copies, and compares.  After some
    tries it goes on with VERDICT alone, which is always whole.

PROBE, in a row's RING; probe n of PROBES is at n mod 10.
       0     1 leader   AT           time of its end
       1     1 leader   DURATION
       2     1 leader   OK           0 or 1
       3     1 leader   DETAIL_BYTES
       4     8 leader   DETAIL

SLOT, one per process that serves requests.
      at cells writer   name
       0     1 owner    STATE        a `SlotState` number
       1     1 owner    PID
       2     1 owner    STARTED      time
       3     1 owner    HEARTBEAT    time
       4     1 owner    SEEN         the generation its view was built from
       5     1 owner    CONNECTIONS  of clients, open now
       6     1 owner    ACCEPTED     connections of clients, ever
       7     1 owner    ARRIVALS     window * 2^32 + those accepted in that window
      64   4*n owner    COUNTERS     four cells for each of the n rows
    The four are IN_FLIGHT, REQUESTS, FAILURES and one spare.  Totals only
    grow, also over a slot's owners; IN_FLIGHT, CONNECTIONS and ARRIVALS are set
    to zero by whoever takes the lock of a slot whose owner died.  A window is an
    eighth of a second of the monotonic clock; ARRIVALS is 0 while its owner
    accepts none.

LOCKS are on bytes far beyond the end of the file, at offsets that no version
will ever change, so that even a file that cannot be read can be asked if it is
in use: LOCK_BUILDER, LOCK_LEADER, LOCK_PREFERRED (shared by all who prefer to
lead) and LOCK_SLOTS + index of the slot.

A FILE IS VALID if
    1. it is a regular file, owned by who opens it;
    2. it is as long as the header, at least;
    3. MAGIC is right;
    4. BYTE_ORDER is right: it was made on a machine of the same kind;
    5. MAJOR is ours;
    6. CHECKSUM is right;
    7. the areas follow each other, with strides of this version or larger;
    8. FILE_BYTES is what the areas need, and what the file has.
    `lb.shm.file` decides 1, `read_geometry` the others.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from lb.errors import StateFileError

Cells = memoryview
"""The file as a sequence of numbers: a `memoryview` cast to "Q"."""

CELL_BYTES: Final = 8
HEADER_CELLS: Final = 64
ROW_CELLS: Final = 256
SLOT_HEAD_CELLS: Final = 64
COUNTERS_PER_ROW: Final = 4
RING_SIZE: Final = 10
PROBE_CELLS: Final = 12
NAME_CELLS: Final = 16
ADDRESS_CELLS: Final = 34
REASON_CELLS: Final = 32
DETAIL_CELLS: Final = 8
DEFAULT_SLOTS: Final = 64
MAX_ROWS: Final = 4096

MAGIC_CELL: Final = int.from_bytes(b"evenhand", sys.byteorder)
BYTE_ORDER_CELL: Final = 0x0102030405060708
MAJOR_VERSION: Final = 1
MINOR_VERSION: Final = 1

LOCK_BUILDER: Final = 1 << 40
LOCK_LEADER: Final = LOCK_BUILDER + 1
LOCK_PREFERRED: Final = LOCK_BUILDER + 2
LOCK_SLOTS: Final = LOCK_BUILDER + 1024


class Head(IntEnum):
    """Cells of the header."""

    MAGIC = 0
    BYTE_ORDER = 1
    MAJOR = 2
    MINOR = 3
    FILE_BYTES = 4
    ROWS_AT = 5
    ROW_CELLS = 6
    ROWS = 7
    SLOTS_AT = 8
    SLOT_CELLS = 9
    SLOTS = 10
    CREATED = 11
    CREATOR_PID = 12
    CHECKSUM = 13
    TABLE_GENERATION = 16
    LAST_ID = 17
    VERDICT_GENERATION = 24
    LEADER_PID = 25
    LEADER_SINCE = 26


class Row(IntEnum):
    """Cells of a backend's row, from the row's first."""

    ID = 0
    WEIGHT = 1
    NAME_BYTES = 2
    ADDRESS_BYTES = 3
    WISH = 4
    REQUESTS_BASE = 5
    FAILURES_BASE = 6
    NAME = 8
    ADDRESS = 24
    SEQUENCE = 64
    VERDICT = 65
    RECORD_ID = 66
    SINCE = 67
    REASON_BYTES = 68
    REASON = 69
    PROBES = 101
    RING = 102


class Probe(IntEnum):
    """Cells of one probe in a row's ring, from the probe's first."""

    AT = 0
    DURATION = 1
    OK = 2
    DETAIL_BYTES = 3
    DETAIL = 4


class SlotCell(IntEnum):
    """Cells of a process's slot, from the slot's first."""

    STATE = 0
    PID = 1
    STARTED = 2
    HEARTBEAT = 3
    SEEN = 4
    CONNECTIONS = 5
    ACCEPTED = 6
    ARRIVALS = 7
    COUNTERS = 64


class Counter(IntEnum):
    """Cells of one row's counters in a slot."""

    IN_FLIGHT = 0
    REQUESTS = 1
    FAILURES = 2


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where everything is in one file; all results are indices into its cells."""

    rows: int
    slots: int
    row_cells: int = ROW_CELLS
    slot_cells: int = 0
    """0: what this version needs for so many rows."""

    def __post_init__(self) -> None:
        if not self.slot_cells:
            cells = SLOT_HEAD_CELLS + COUNTERS_PER_ROW * self.rows
            object.__setattr__(self, "slot_cells", cells)

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
    def slots_at(self) -> int:
        """The first cell of slot 0."""
        return HEADER_CELLS + self.rows * self.row_cells

    @property
    def file_bytes(self) -> int:
        """The size of the whole file."""
        return CELL_BYTES * (self.slots_at + self.slots * self.slot_cells)

    def row(self, row: int) -> int:
        """The first cell of a row."""
        return HEADER_CELLS + row * self.row_cells

    def slot(self, slot: int) -> int:
        """The first cell of a slot."""
        return self.slots_at + slot * self.slot_cells

    def counter(self, slot: int, row: int, counter: Counter) -> int:
        """The cell of one counter."""
        at = self.slot(slot) + SlotCell.COUNTERS + COUNTERS_PER_ROW * row
        return at + int(counter)

    def counters(self, slot: int, counter: Counter) -> slice:
        """The cells of one counter for all rows, in the rows' order."""
        first = self.counter(slot, 0, counter)
        end = self.slot(slot) + SlotCell.COUNTERS + COUNTERS_PER_ROW * self.rows
        return slice(first, end, COUNTERS_PER_ROW)


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
        Head.SLOTS_AT: geometry.slots_at,
        Head.SLOT_CELLS: geometry.slot_cells,
        Head.SLOTS: geometry.slots,
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
        slot_cells=head[Head.SLOT_CELLS],
    )
    needed = SLOT_HEAD_CELLS + COUNTERS_PER_ROW * geometry.rows
    fits = (
        geometry.row_cells >= ROW_CELLS
        and geometry.slot_cells >= needed
        and head[Head.ROWS_AT] == HEADER_CELLS
        and head[Head.SLOTS_AT] == geometry.slots_at
        and head[Head.FILE_BYTES] == geometry.file_bytes
    )
    if not fits:
        raise StateFileError("has areas that do not fit together")
    if file_bytes != geometry.file_bytes:
        raise StateFileError(
            f"has {file_bytes} bytes where its header says {geometry.file_bytes}"
        )
    return geometry
