"""The shared file: what all processes of one balancer agree on.

    publish(path, backends)            # whoever starts the balancer
    with SharedFile.open(path) as file:
        slot = file.take_slot()        # a process that serves
        file.generation(), file.backends()

`layout` says what every byte means; read it first.  This package knows nothing
of HTTP, sockets or settings, and starts nothing.
"""

from lb.shm.arrivals import Arrivals
from lb.shm.file import SharedFile
from lb.shm.leader import Leadership, VerdictWriter, leader_pid
from lb.shm.publish import publish, retire
from lb.shm.record import ProbeRecord, verdict_in
from lb.shm.slots import Slot, SlotState
from lb.shm.snapshot import BackendState
from lb.shm.table import TableRow

__all__ = [
    "Arrivals",
    "BackendState",
    "Leadership",
    "ProbeRecord",
    "SharedFile",
    "Slot",
    "SlotState",
    "TableRow",
    "VerdictWriter",
    "leader_pid",
    "publish",
    "retire",
    "verdict_in",
]
