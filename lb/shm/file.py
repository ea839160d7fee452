"""One process's open shared file: checked once, then read and written as cells.

`SharedFile.open` never misreads: what is not a whole, valid file of this version
that belongs to us is a `StateFileError`.  A file is never cut or grown in place
(a mapped file that shrinks kills its readers with SIGBUS); a new one takes its
name instead, which is `lb.shm.publish`'s business, and `is_current` tells.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lb.errors import StateFileError
from lb.shm import slots, table
from lb.shm.document import read_document
from lb.shm.edit import edit_table
from lb.shm.events import Cursor, Events, end_of, read_events
from lb.shm.fault_counts import (
    FaultCounts,
    faults_by_row,
    read_bells,
    read_faults,
    requests_over,
)
from lb.shm.gauges import Gauges, read_gauges
from lb.shm.geometry import Geometry, read_geometry
from lb.shm.inflight import InFlight
from lb.shm.layout import (
    CELL_BYTES,
    HEADER_CELLS,
    LOCK_BUILDER,
    LOCK_LEADER,
    Cells,
    Column,
    Head,
    Row,
)
from lb.shm.locks import ByteLocks, held
from lb.shm.place import is_named, open_checked, translated
from lb.shm.recent import RequestRecord, read_recent
from lb.shm.snapshot import BackendState, read_backends
from lb.shm.totals import (
    BackendTotals,
    Latencies,
    WorkerTotals,
    read_latencies,
    read_totals,
    read_workers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lb.model import Wish


def geometry_of(fd: int) -> Geometry:
    """The geometry of an open file.

    Raises:
        StateFileError: why it is not valid, without its name.
    """
    start = os.pread(fd, HEADER_CELLS * CELL_BYTES, 0)
    return read_geometry(start, os.fstat(fd).st_size)


class SharedFile:
    """The shared file, open and mapped; a context manager that closes it.

    Do not use it in a process forked after the open: its locks would be shared.
    """

    def __init__(self, path: Path, fd: int, geometry: Geometry) -> None:
        self.path = path
        self.geometry = geometry
        self.locks = ByteLocks(fd)
        self.generation_cells = (
            int(Head.TABLE_GENERATION),
            int(Head.VERDICT_GENERATION),
        )
        self._fd = fd
        self._map = mmap.mmap(fd, geometry.file_bytes)
        self.cells: Cells = memoryview(self._map).cast("Q")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The file at `path`, made by `publish` before.

        Raises:
            StateFileError: when it is missing or not valid; the message says why.
        """
        path = Path(path)
        try:
            fd = open_checked(path)
        except FileNotFoundError as error:
            raise translated(path, error) from error
        return cls.adopt(path, fd)

    @classmethod
    def adopt(cls, path: Path, fd: int) -> Self:
        """The valid file behind a descriptor, which is now its own (or closed).

        Raises:
            StateFileError: when it is not valid.
        """
        try:
            return cls(path, fd, geometry_of(fd))
        except StateFileError as error:
            os.close(fd)
            raise StateFileError(
                f"cannot use the state file {path}: it {error}"
            ) from error
        except OSError as error:
            os.close(fd)
            raise translated(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._fd < 0 else f"generation {self.generation()}"
        return f"<SharedFile {self.path} {state}>"

    def close(self) -> None:
        """Give up the mapping and all locks; `cells` cannot be used any more."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            # By hand: the map has a duplicate of `fd`, which would keep them.
            self.locks.free_all()
            self.cells.release()
            # Somebody kept a slice of `cells`: the map goes when that does.
            with contextlib.suppress(BufferError):
                self._map.close()
            os.close(fd)

    def is_in_use(self) -> bool:
        """Whether another open of the file serves, checks or waits to check."""
        return self.locks.is_others(LOCK_LEADER, 0)

    def is_current(self) -> bool:
        """Whether the path still names this file: a rebuild makes a new one."""
        return is_named(self.path, self._fd)

    def generation(self) -> int:
        """A number that rises with each change of rows, wishes and verdicts.

        Costs about 120 ns; a hot loop that reads both `generation_cells` inline
        pays 50 ns.
        """
        table_cell, verdict_cell = self.generation_cells
        return int(self.cells[table_cell] + self.cells[verdict_cell])

    def settings_generation(self) -> int:
        """How often settings were put in force; 0 while nobody has done it."""
        return int(self.cells[Head.SETTINGS_GENERATION])

    def document(self) -> bytes:
        """The settings in force, as `publish` was given them, or newer ones.

        Raises:
            StateFileError: there are none, or they cannot be read.
        """
        if not self.settings_generation():
            raise StateFileError(f"no settings were put in force by {self.path}")
        return read_document(self.path)

    def backends(self) -> list[BackendState]:
        """Every backend with all that is known of it, by row."""
        return read_backends(self.cells, self.geometry)

    def rows(self) -> list[table.TableRow]:
        """Which backends there are, without what the checker knows of them.

        Costs about 10 us a backend, a quarter of `backends`.
        """
        return list(table.read_rows(self.cells, self.geometry))

    def labels(self) -> Iterator[tuple[int, str, str, str]]:
        """The id, name, address and set of each backend; 6 us each."""
        return table.read_labels(self.cells, self.geometry)

    def now(self, row: table.TableRow) -> table.TableRow | None:
        """The same backend as it is now; None if it has left the table. 10 us."""
        found = table.read_row(self.cells, self.geometry, row.row)
        return found if found is not None and found.id == row.id else None

    def removed(self) -> list[table.TableRow]:
        """The backends that the settings name and that were removed at run time."""
        return list(table.read_removed(self.cells, self.geometry))

    def cuts(self) -> dict[int, float]:
        """When what is in flight is cut, by backend id, in unix seconds; most never.

        2 us for 64 rows.
        """
        return table.read_cuts(self.cells, self.geometry)

    def verdict_cells(self) -> list[int]:
        """Every row's VERDICT cell, for `verdict_in`; 0.1 ms for 4,096 rows."""
        geometry = self.geometry
        first = geometry.row(0) + Row.VERDICT
        return self.cells[
            first : geometry.row(geometry.rows) : geometry.row_cells
        ].tolist()

    def set_wish(self, row: int, wish: Wish, *, row_id: int | None = None) -> None:
        """Store what the operator wants of a backend.

        `row_id`, if given, is the backend's id: a row that changed hands is left
        alone.

        Raises:
            StateFileError: when the row is empty or another's, or the file stays
                locked for 5 s.
        """
        with edit_table(self) as editor:
            found = table.read_row(self.cells, self.geometry, row)
            if found is None or row_id not in (None, found.id):
                raise StateFileError(f"row {row} of {self.path} has no such backend")
            editor.set_wish(found, wish)

    def take_slot(self) -> slots.Slot:
        """A slot for this process until it releases it, closes the file or dies.

        Raises:
            StateFileError: when all slots are taken, the file was replaced since
                it was opened (open it again), there is no space for the slot, or
                the file stays locked for 5 s.
        """
        # Under the builder lock, so that no publisher finds the file unused and
        # replaces it at the moment when we begin to use it.
        with held(self.locks, LOCK_BUILDER):
            self.require_current()
            try:
                return slots.take_slot(
                    self.cells,
                    self.geometry,
                    self.locks,
                    reserve=self._reserve,
                    pid=os.getpid(),
                    now=time.time(),
                )
            except OSError as error:
                raise translated(self.path, error) from error

    def _reserve(self, first: int, count: int, spare: int) -> None:
        """Give cells their space, if so many stay free; what is in them stays."""
        system = os.fstatvfs(self._fd)
        free = system.f_bavail * system.f_frsize
        # A memory file system without a limit says that it has no blocks at all.
        if system.f_blocks and free < (count + spare) * CELL_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.posix_fallocate(self._fd, first * CELL_BYTES, count * CELL_BYTES)

    def require_current(self) -> None:
        """Nothing, if `is_current`.

        Raises:
            StateFileError: if the path names another file, or none, by now.
        """
        if not self.is_current():
            raise StateFileError(
                f"the state file {self.path} was replaced since it was opened;"
                " open it again"
            )

    def sweep(self) -> list[int]:
        """Empty the slots of dead processes, and say those processes' pids."""
        return slots.sweep(self.cells, self.geometry, self.locks)

    def present(self) -> dict[int, int]:
        """The pids of processes that serve, by slot, right after a `sweep`. 10 us."""
        return slots.present(self.cells, self.geometry)

    def slots(self) -> list[slots.SlotState]:
        """The slots that were ever used."""
        return slots.read_slots(self.cells, self.geometry, self.locks)

    def in_flight(self, row: int) -> int:
        """Requests under way at a backend, over all living processes."""
        return self.in_flight_reader().of(row)

    def in_flight_reader(self) -> InFlight:
        """The same for a policy that asks for each request."""
        return InFlight(self.cells, self.geometry, self.locks)

    def requests(self, row: int) -> int:
        """Attempts that the backend in a row was given since it has the row."""
        return self._of(row).attempts

    def failures(self, row: int) -> int:
        """Connects to the backend in a row that failed since it has the row."""
        return self._of(row).connect_failures

    def _of(self, row: int) -> BackendTotals:
        row_id = self.cells[self.geometry.row(row) + Row.ID]
        found = read_totals(self.cells, self.geometry, {row: row_id})
        return found[row_id] if row_id else BackendTotals()

    def bells(self) -> list[int]:
        """Differs from the last answer if any process noted a fault. 5 us."""
        return read_bells(self.cells, self.geometry)

    def requests_over(self) -> int:
        """Rises while requests flow; 10 us."""
        return requests_over(self.cells, self.geometry)

    def faults_by_row(self) -> list[int]:
        """For each row a number that rises with faults there; cheap."""
        return faults_by_row(self.cells, self.geometry)

    def faults(self, row: int, row_id: int) -> FaultCounts:
        """What all processes counted for the backend `row_id` in `row`."""
        return read_faults(self.cells, self.geometry, row, row_id)

    def totals(self) -> dict[int, BackendTotals]:
        """What was counted for each backend, by its id; 0: requests without one.

        Never falls while the backend is in the table. 23 ms for 2,000 backends and
        8 processes.
        """
        return read_totals(self.cells, self.geometry, self._ids())

    def latencies(self, rows: Iterable[int] | None = None) -> dict[int, Latencies]:
        """How long each backend took, by its id; 0: requests without one.

        Of some rows, or of all: 95 ms for 2,000 backends and 8 processes.
        """
        ids = self._ids()
        if rows is not None:
            ids = {row: ids[row] for row in rows if row in ids}
        return read_latencies(self.cells, self.geometry, ids)

    def gauges(self) -> list[Gauges]:
        """What stands in the rows as numbers; 3 ms for 2,000 backends."""
        return read_gauges(self.cells, self.geometry)

    def _ids(self) -> dict[int, int]:
        """The ids of the backends, by row."""
        ids = table.read_ids(self.cells, self.geometry)
        return {row: row_id for row, row_id in enumerate(ids) if row_id}

    def worker_totals(self) -> WorkerTotals:
        """What all processes together counted that is not any one backend's."""
        living = slots.living_slots(self.cells, self.geometry, self.locks)
        return read_workers(self.cells, self.geometry, living)

    def idle(self) -> dict[int, list[int]]:
        """Connections to backends that wait to be used again, as of the heartbeats.

        For each living process, by its slot, a list with a number for each row.
        """
        return self._columns(Column.IDLE)

    def queues(self) -> dict[int, list[int]]:
        """Requests that wait, as of the heartbeats, each set's at one of its rows."""
        return self._columns(Column.QUEUES)

    def _columns(self, column: Column) -> dict[int, list[int]]:
        living = slots.living_slots(self.cells, self.geometry, self.locks)
        return slots.read_columns(self.cells, self.geometry, living, column)

    def events(self, since: Cursor | None = None) -> Events:
        """What happened after `since`, or all that is kept; 10 us each."""
        return read_events(self.cells, self.geometry, since)

    def events_end(self) -> Cursor:
        """The cursor of who knows all events by now; 0.3 us."""
        return end_of(self.cells)

    def recent(self) -> Iterator[RequestRecord]:
        """The last 1,024 requests of each slot, dead processes' too, newest first.

        They are read as they are asked for, 14 us each.
        """
        return read_recent(self.cells, self.geometry)
