"""The byte format of the shared file: what every cell means, and who writes it.

Every process of one balancer maps the same file, so this page is a protocol
between programs that may be of different versions.  Nothing here does I/O; the
sums that find a cell are `lb.shm.geometry`'s, and what takes space when.

THE TWO RULES
    A *cell* is eight aligned bytes, an unsigned number in the machine's own
    byte order.  It is stored and loaded at once, through
    `memoryview.cast("Q")`; `struct.pack_into` stores byte by byte, and readers
    would see values that nobody wrote.
    A cell has *one writer at a time*: the holder of the lock in the tables'
    "writer" column.  Readers take no lock and never wait.

THE FILE
    [ header ][ row 0 | ... ][ head 0 | ... ][ events ][ body 0 | ... ]
    A process that serves has a slot: a head and a body.  All offsets below
    count cells.  Text is UTF-8, cut at its field's end, with its length in
    bytes in a cell of its own.  Times are microseconds since 1970 (0: never),
    durations microseconds, if nothing else is said.  "f" behind a number of
    cells: not a whole number but a binary64, also stored at once.

HEADER.  Cells 0-15 never change after the file got its name.
      at cells writer   name
       0     1 creator  MAGIC        the text "evenhand" as one cell
       1     1 creator  BYTE_ORDER   0x0102030405060708
       2     1 creator  MAJOR        a reader of another major must not look on
       3     1 creator  MINOR        higher: cells that were spare have a use
       4     1 creator  FILE_BYTES   size of the whole file
       5     1 creator  ROWS_AT      first cell of row 0
       6     1 creator  ROW_CELLS    distance from row to row
       7     1 creator  ROWS         how many rows there are
       8     1 creator  HEADS_AT     first cell of head 0
       9     1 creator  HEAD_CELLS   distance from head to head
      10     1 creator  SLOTS        how many slots there are
      11     1 creator  BODIES_AT    first cell of body 0
      12     1 creator  BODY_CELLS   distance from body to body
      13     1 creator  CREATED      time
      14     1 creator  CREATOR_PID
      15     1 creator  CHECKSUM     CRC-32 of cells 0-14
      16     1 builder  TABLE_GENERATION    +1 after each change of the rows
      17     1 builder  LAST_ID      the highest row id ever given
      18     1 builder  SLOTS_TAKEN  +1 whenever a process takes a slot
      19     1 builder  SETTINGS_GENERATION  +1 when settings were put in force
      20     1 builder  TABLE_EVENTS how many events of the table there were, ever
      24     1 leader   VERDICT_GENERATION  +1 after each change of a verdict
      25     1 leader   LEADER_PID   meaningful while the leader lock is held
      26     1 leader   LEADER_SINCE time
      27     1 leader   HEALTH_EVENTS  how many events of health there were, ever
      32     1 exporter SPANS_SENT   spans that a collector took, ever
      33     1 exporter SPANS_FAILED those that none took
      34     1 exporter SPANS_LOST   those that were overwritten before they were read
    The generation that a worker compares is the sum of both: neither ever
    falls, so the sum changes whenever one does.  The two lie on cache lines of
    their own.  All other cells are spare and zero.
    The settings in force lie in a file of their own beside this one, which
    `lb.shm.document` writes before SETTINGS_GENERATION is raised.  That is raised
    before the rows change, and TABLE_GENERATION after them, so who sees new rows
    can have the settings that they belong to.  0: no such file is to be believed.

ROW, one per backend.
      at cells writer   name
       0     1 builder  ID           0: no backend here; never given twice
       1     1 builder  WEIGHT
       2     1 builder  NAME_BYTES
       3     1 builder  ADDRESS_BYTES
       4     1 builder  WISH         a `Wish`
       5     1 builder  FREED        TABLE_GENERATION when its last backend left
       6     1 builder  MAX_IN_FLIGHT  over all processes; 0: no limit
       7     1 builder  BACKUP       0 or 1
       8    16 builder  NAME
      24    34 builder  ADDRESS      as `Address` prints it
      58     1 builder  GROUP        turn * 256 + bytes of the set's name
      62     1 builder  CONFIGURED   weight that the settings give it, + 1; 0: none
      63     1 builder  CUT_AT       time when what is in flight is cut; 0: never
      64     1 leader   SEQUENCE     odd: leader's cells behind 65 are being written
      65     1 leader   VERDICT      row id * 2^16 + a `Standing`
      66     1 leader   RECORD_ID    the row id that they speak of
      67     1 leader   SINCE        time of the verdict
      68     1 leader   REASON_BYTES
      69    32 leader   REASON
     101     1 leader   PROBES       how many were recorded, ever
     102   140 leader   RING         the last 10 probes: `lb.shm.record`
     242     8 builder  GROUP_EVEN   the set's name after an even turn
     250     8 builder  GROUP_ODD    and after an odd one
     258     1 leader   EJECTIONS    how often it was ejected lately
     259     1 leader   EJECTED_AT   time of the last one
     260     1 leader   EJECTED_UNTIL  time when that ends or ended
     261     1 leader   EJECT_CAUSE  a `Cause`
     262     1 leader   EJECT_BYTES
     263    12 leader   EJECT_WHY
     275     1 leader   WARM_SINCE   time when its slow start began; 0: has none
     276     1 leader   HELD_UNTIL   time until which it is held down; 0: it is not
     277     1 leader   HOLDS        how often in a row it was held down
     278     1 leader   CHANGES      of its verdict, lately
     279     1 leader   ASKED        share it asks for itself + 1; 0: asks for none
     280     1 leader   FAILED       of PROBES, those that failed
     281     1 leader   PROBE_TIME   duration of all of PROBES together
     282     1 leader   EJECTED      how often it was ejected, ever
    The identity of a backend is its name and address.  It is written while ID
    is 0, and ID is stored last; a reader loads ID, the text, and ID again, and
    has a whole row if both are the same number.  So a builder that dies in the
    middle leaves an empty row, not a wrong one.  WEIGHT, MAX_IN_FLIGHT, BACKUP and
    GROUP may change while the backend stays.  A set's name is more than a cell: it
    is written where GROUP does not point, and GROUP stored last; a reader loads
    GROUP, the text, and GROUP again.  No bytes: `default`.  Of the empty rows, a new
    backend gets the one that is empty for longest (never used counts as
    that), so that no request of the one before it is still under way there.
    CONFIGURED is 0 for a backend that was added at run time, and differs from
    WEIGHT + 1 where that was changed at run time.  In an empty row it is not 0
    if the settings name the backend whose text still stands there, which was
    removed at run time: it stays away until it is added or not named any more.
    VERDICT names the row id it is about, in the same cell.  A verdict that a
    slow leader stores for a row that has changed hands is thus no verdict.  Its
    lower 16 bits are all that serving needs to know: bits 0-1 a `Verdict`, bit 2
    ejected, bit 3 gone (the last probe could not even connect), bits 8-14 the
    share of its weight that it gets, in percent (0: it asks for no requests).
    The leader's cells behind it are under a seqlock: the leader makes SEQUENCE
    odd, writes, makes it even; a reader loads SEQUENCE, copies, and compares.
    After some tries it goes on with VERDICT alone, which is always whole.

HEAD, one per slot.
      at cells writer   name
       0     1 owner    STATE        a `Use`
       1     1 owner    PID
       2     1 owner    STARTED      time
       3     1 owner    HEARTBEAT    time
       4     1 owner    SEEN         the generation its view was built from
       5     1 owner    CONNECTIONS  of clients, open now
       6     1 owner    ACCEPTED     connections of clients, ever
       7     1 owner    ARRIVALS     window * 2^32 + those accepted in that window
       8     1 owner    SETTINGS_SEEN  the SETTINGS_GENERATION it goes by
       9     1 owner    ARBITER      pid of who forked it and reloads; 0: nobody
      10     1 owner    LEAVING      1 while it only finishes what it has
      12     1 owner    FAULTS       of all backends, the sum of its column FAULTS
      14     1 owner    QUEUED       requests that wait for a backend, at HEARTBEAT
      16    10 owner    STATUSES     requests by hundreds of the status they got
      32    40 owner    ENDINGS      requests that ended badly, by label
      72     1 owner    SPANS        1 + spans written, ever; 0: their ring is a hole
      73     1 exporter SPANS_READ   of these, those that were read
      80    32 owner    WAITING      since when the first waits, by set
    Totals only grow, also over a slot's owners.  CONNECTIONS, ARRIVALS, QUEUED,
    WAITING, and IN_FLIGHT, RETRYING, IDLE and QUEUES in the body, are set to zero by
    whoever takes the lock of a slot whose owner died.  A window is an eighth of a
    second of the monotonic clock; ARRIVALS is 0 while its owner accepts none.
    WAITING is in microseconds of that clock (0: nobody waits), at the CRC-32 of
    the set's name modulo 32.  STATUSES counts under 0 what was given no status at
    all, and both count also what the balancer answered by itself.  A label's
    number is its place in `lb.shm.labels`.

EVENTS are two rings of 512 events, the table's and health's: `lb.shm.events`.

BODY, one per slot; n is ROWS, m is 8 n rounded up to a multiple of 512.
       0     n owner    IN_FLIGHT    a column: a cell for each row
       n     n owner    OWNER        which row id the row's block speaks of
     2*n     n owner    CONNECT_FAILURES   connects to the row that failed
     3*n     n owner    RETRYING     requests that failed there, or are slow
                                     there, and go elsewhere now
     4*n     n owner    FAULTS       failures that speak against the backend
     5*n     n owner    STREAK       window * 2^32 + most of them in a row there
     6*n     n owner    IDLE         pooled connections that wait, at HEARTBEAT
     7*n     n owner    QUEUES       requests that wait for a set, at HEARTBEAT
       m 32768 owner    REQUESTS     the last 1024 requests, 32 cells each
     ...   512 owner    BLOCKS       one for each row, and two more
     ... 131072 owner   SPANS        the last 2048 spans: `lb.shm.spans`
    Columns lie together because policies and the checker read whole ones.
    RETRYING counts only what the retry budget bounds.  QUEUES tells of each set at
    the row of one of its backends; who wants a set's queue adds up its rows.
    FAULTS is stored last, in the column and then in the head, so that who sees
    the head's rise finds the rest.  STREAK's window is an eighth of a second, as
    ARRIVALS's; in a row means without a good response of this process between.
    The block behind the last row's counts requests that had no backend; the
    one behind that takes what is counted for nobody (a backend that is gone,
    a row without space), and is not read.

BLOCK, what one process counted for one backend.
       0     1 owner    ATTEMPTS     requests that it was given, retries too
       1     1 owner    RETRIES      of these, not the first of their request
       2     1 owner    BYTES_IN     bytes of bodies from clients
       3     1 owner    BYTES_OUT    bytes of bodies to clients
       4     1 owner    CUT          what was cut when its time to drain was over
       5     1 owner    REFUSED      retries after it that the budget refused
       6    10 owner    RESPONSES    by hundreds of the status, as STATUSES
      16    40 owner    FAILURES     attempts that failed, by label
      56     1 owner    SPOILED      of RESPONSES below 500, those that are faults
      64   212 owner    TO_HEAD      histogram of the time to a response head
     288   212 owner    TOTAL        histogram of the time of a whole request
     510    1f owner    TO_HEAD_SUM  seconds
     511    1f owner    TOTAL_SUM    seconds
    A block without ATTEMPTS has nothing else, but for the one of no backend.
    When the row changes hands, the owner makes OWNER 0, the block zero, and
    OWNER the new id.  A reader loads OWNER, the block, and OWNER again; it is
    the backend's if both are its id.  So no total is ever taken over from
    another backend, nor falls while there is a backend that it is about.  A
    histogram's buckets are `lb.shm.histogram`'s.

REQUEST, in the ring REQUESTS; number n of a slot is at n mod 1024.
       0     1 owner    WRITTEN      2 n + 1 while n is written, then 2 n + 2
       1    31 owner    FACTS        `FACTS`, fields of several sizes
    This is a seqlock that also tells the number; 0: never used.  Numbers go on
    from owner to owner of a slot, so a killed worker's requests stay until as
    many new ones came.  FACTS, in the machine's own order and without gaps:
    binary64: when it began (seconds since 1970); 8 bytes: row id of the last
    backend (0: none), bytes in, bytes out, the first three backends that
    failed; binary32: seconds queued, to connect, to head (negative: none) and
    in all; 2 bytes: status, attempts; 1 byte: label; text filled up with NUL,
    cut: policy (15), method (8), request id (40), client (40), target (68).

LOCKS are on bytes far beyond the end of the file, at offsets that no version
will ever change, so that even a file that cannot be read can be asked if it is
in use: LOCK_BUILDER, LOCK_LEADER, LOCK_PREFERRED (shared by all who prefer to
lead) and LOCK_SLOTS + index of the slot.  LOCK_EXPORTER is before these, as who
exports spans does not keep a file in use.
"""

from __future__ import annotations

import struct
import sys
from enum import IntEnum
from typing import Final

Cells = memoryview
"""The file as a sequence of numbers: a `memoryview` cast to "Q"."""

CELL_BYTES: Final = 8
HEADER_CELLS: Final = 64
ROW_CELLS: Final = 288
HEAD_CELLS: Final = 128
PAGE_CELLS: Final = 512
BLOCK_CELLS: Final = PAGE_CELLS
REQUEST_CELLS: Final = 32
REQUESTS_KEPT: Final = 1024
RING_SIZE: Final = 10
PROBE_CELLS: Final = 14
NAME_CELLS: Final = 16
GROUP_CELLS: Final = 8
ADDRESS_CELLS: Final = 34
REASON_CELLS: Final = 32
DETAIL_CELLS: Final = 8
EJECT_WHY_CELLS: Final = 12
STATUS_CELLS: Final = 10
LABEL_CELLS: Final = 40
WAITING_CELLS: Final = 32
DEFAULT_SLOTS: Final = 64
MAX_ROWS: Final = 4096

FACTS: Final = struct.Struct("@dQQQQQQffffHHB15s8s40s40s68s")
"""A request's facts; 248 bytes, and every field aligned."""

MAGIC_CELL: Final = int.from_bytes(b"evenhand", sys.byteorder)
BYTE_ORDER_CELL: Final = 0x0102030405060708
MAJOR_VERSION: Final = 5
MINOR_VERSION: Final = 0

LOCK_EXPORTER: Final = (1 << 40) - 1
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
    HEADS_AT = 8
    HEAD_CELLS = 9
    SLOTS = 10
    BODIES_AT = 11
    BODY_CELLS = 12
    CREATED = 13
    CREATOR_PID = 14
    CHECKSUM = 15
    TABLE_GENERATION = 16
    LAST_ID = 17
    SLOTS_TAKEN = 18
    SETTINGS_GENERATION = 19
    TABLE_EVENTS = 20
    VERDICT_GENERATION = 24
    LEADER_PID = 25
    LEADER_SINCE = 26
    HEALTH_EVENTS = 27
    SPANS_SENT = 32
    SPANS_FAILED = 33
    SPANS_LOST = 34


class Row(IntEnum):
    """Cells of a backend's row, from the row's first."""

    ID = 0
    WEIGHT = 1
    NAME_BYTES = 2
    ADDRESS_BYTES = 3
    WISH = 4
    FREED = 5
    MAX_IN_FLIGHT = 6
    BACKUP = 7
    NAME = 8
    ADDRESS = 24
    GROUP = 58
    CONFIGURED = 62
    CUT_AT = 63
    SEQUENCE = 64
    VERDICT = 65
    RECORD_ID = 66
    SINCE = 67
    REASON_BYTES = 68
    REASON = 69
    PROBES = 101
    RING = 102
    GROUP_EVEN = 242
    GROUP_ODD = 250
    EJECTIONS = 258
    EJECTED_AT = 259
    EJECTED_UNTIL = 260
    EJECT_CAUSE = 261
    EJECT_BYTES = 262
    EJECT_WHY = 263
    WARM_SINCE = 275
    HELD_UNTIL = 276
    HOLDS = 277
    CHANGES = 278
    ASKED = 279
    FAILED = 280
    PROBE_TIME = 281
    EJECTED = 282


class SlotCell(IntEnum):
    """Cells of a slot's head, from the head's first."""

    STATE = 0
    PID = 1
    STARTED = 2
    HEARTBEAT = 3
    SEEN = 4
    CONNECTIONS = 5
    ACCEPTED = 6
    ARRIVALS = 7
    SETTINGS_SEEN = 8
    ARBITER = 9
    LEAVING = 10
    FAULTS = 12
    QUEUED = 14
    STATUSES = 16
    ENDINGS = 32
    SPANS = 72
    SPANS_READ = 73
    WAITING = 80


class Column(IntEnum):
    """Columns at the start of a slot's body, by their order."""

    IN_FLIGHT = 0
    OWNER = 1
    CONNECT_FAILURES = 2
    RETRYING = 3
    FAULTS = 4
    STREAK = 5
    IDLE = 6
    QUEUES = 7


class Counter(IntEnum):
    """Cells of a block, from the block's first."""

    ATTEMPTS = 0
    RETRIES = 1
    BYTES_IN = 2
    BYTES_OUT = 3
    CUT = 4
    REFUSED = 5
    RESPONSES = 6
    FAILURES = 16
    SPOILED = 56
    TO_HEAD = 64
    TOTAL = 288
    TO_HEAD_SUM = 510
    TOTAL_SUM = 511


class RequestCell(IntEnum):
    """Cells of a request in the ring, from the request's first."""

    WRITTEN = 0
    FACTS = 1
