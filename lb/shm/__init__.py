"""The shared file: what all processes of one balancer agree on.

    publish(path, backends)            # whoever starts the balancer
    with SharedFile.open(path) as file:
        slot = file.take_slot()        # a process that serves
        file.generation(), file.backends()

`layout` says what every byte means; read it first.  This package knows nothing
of HTTP, sockets or settings, and starts nothing.
"""

from lb.shm.arrivals import Arrivals
from lb.shm.blocks import RowCells
from lb.shm.edit import TableEditor, edit_table
from lb.shm.events import Cursor, Event, EventKind, Events, Happening, Ring
from lb.shm.fault_counts import FaultCounts
from lb.shm.faults import FaultNotes
from lb.shm.figures import FigureReader
from lb.shm.file import SharedFile
from lb.shm.gauges import Gauges
from lb.shm.histogram import Histogram
from lb.shm.inflight import InFlight
from lb.shm.leader import Leadership, VerdictWriter, leader_pid
from lb.shm.publish import publish, retire
from lb.shm.recent import RequestRecord
from lb.shm.record import (
    FULL_SHARE,
    NOT_REACHED,
    Cause,
    Memory,
    ProbeRecord,
    Record,
    Standing,
    standing_in,
    verdict_in,
)
from lb.shm.recorder import Passage, Recorder
from lb.shm.slots import Slot, SlotState
from lb.shm.snapshot import BackendState
from lb.shm.span_reader import Span, SpanCounts, SpanReader, span_counts
from lb.shm.spans import IS_1_1, IS_HTTPS, SpanWriter
from lb.shm.table import TableRow, identity
from lb.shm.totals import BackendTotals, Latencies, WorkerTotals
from lb.shm.turns import Turns

__all__ = [
    "FULL_SHARE",
    "IS_1_1",
    "IS_HTTPS",
    "NOT_REACHED",
    "Arrivals",
    "BackendState",
    "BackendTotals",
    "Cause",
    "Cursor",
    "Event",
    "EventKind",
    "Events",
    "FaultCounts",
    "FaultNotes",
    "FigureReader",
    "Gauges",
    "Happening",
    "Histogram",
    "InFlight",
    "Latencies",
    "Leadership",
    "Memory",
    "Passage",
    "ProbeRecord",
    "Record",
    "Recorder",
    "RequestRecord",
    "Ring",
    "RowCells",
    "SharedFile",
    "Slot",
    "SlotState",
    "Span",
    "SpanCounts",
    "SpanReader",
    "SpanWriter",
    "Standing",
    "TableEditor",
    "TableRow",
    "Turns",
    "VerdictWriter",
    "WorkerTotals",
    "edit_table",
    "identity",
    "leader_pid",
    "publish",
    "retire",
    "span_counts",
    "standing_in",
    "verdict_in",
]
