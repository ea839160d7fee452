"""Any history of processes, requests and backends: the counts are right throughout.

Writers open the file and take slots, count and record, leave, or die in the middle
of anything (their locks fall, nothing is tidied up).  Backends come and go.  After
each step the readers must tell exactly what a plain model of the history says.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from lb.shm import RowCells, SharedFile, publish
from lb.shm.layout import LOCK_SLOTS
from tests.shm.children import backends
from tests.shm.requests import begin, end, passage


class Writer:
    """A process: its open file, its slot, and its requests under way."""

    def __init__(self, path: Path) -> None:
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        self.recorder = self.slot.recorder()
        self.under_way: list[tuple[int, RowCells]] = []


class SlotMachine(RuleBasedStateMachine):
    """See the module."""

    writers = Bundle("writers")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "state")
        self.ports = [1, 2]
        publish(self.path, backends(1, 2), slots=4)
        self.file = SharedFile.open(self.path)
        self.keeper = self.file.take_slot()
        self.reader = self.file.in_flight_reader()
        self.living: list[Writer] = []
        self.attempts: Counter[int] = Counter()
        self.responses: Counter[tuple[int, int]] = Counter()
        self.recorded: Counter[tuple[int, int]] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for writer in self.living:
                writer.file.close()
            self.file.close()
            self.folder.cleanup()

    @rule(target=writers)
    def come(self):  # type: ignore[no-untyped-def]
        if len(self.living) == 3:
            return multiple()
        writer = Writer(self.path)
        self.living.append(writer)
        return writer

    @rule(writer=writers, which=st.integers(0, 9))
    def begin(self, writer: Writer, which: int) -> None:
        states = self.file.backends()
        state = states[which % len(states)]
        at = writer.slot.row(state.row, state.id)
        begin(writer.file, at)
        writer.under_way.append((state.row, at))
        self.attempts[state.id] += 1

    @rule(writer=writers, status=st.sampled_from([101, 200, 404, 502]))
    def finish(self, writer: Writer, status: int) -> None:
        if writer.under_way:
            row, at = writer.under_way.pop(0)
            if at.id not in {state.id for state in self.file.backends()}:
                # As the engine must do for a backend that is gone.
                end(writer.file, at)
                return
            writer.recorder.finish(
                passage(writer.slot.row(row, at.id), status=status), 1001.0
            )
            end(writer.file, at)
            self.responses[at.id, status // 100] += 1
            self.recorded[at.id, status] += 1

    @rule(writer=consumes(writers))
    def leave(self, writer: Writer) -> None:
        writer.slot.release()
        self._gone(writer)

    @rule(writer=consumes(writers))
    def die(self, writer: Writer) -> None:
        self._gone(writer)

    @rule(writer=consumes(writers))
    def die_writing(self, writer: Writer) -> None:
        """Between the two marks of a request that never becomes whole."""
        cells, mark = writer.file.cells, writer.recorder._mark
        ring = writer.file.geometry.requests(writer.slot.index)
        cells[ring + mark // 2 % 1024 * 32] = mark + 1
        self._gone(writer)

    def _gone(self, writer: Writer) -> None:
        self.living.remove(writer)
        writer.file.close()

    @rule()
    def sweep(self) -> None:
        self.file.sweep()
        geometry = self.file.geometry
        for slot in self.file.slots():
            if not self.file.locks.is_held(LOCK_SLOTS + slot.index):
                column = self.file.cells[geometry.column_cells(slot.index, 0)]  # type: ignore[arg-type]
                assert not any(column.tolist())

    @rule(port=st.integers(1, 5))
    def change_backends(self, port: int) -> None:
        """Add a backend, or take it away unless it is the last."""
        ports = set(self.ports) ^ {port}
        if ports:
            self.ports = sorted(ports)
            publish(self.path, backends(*self.ports), replace=True)

    @invariant()
    def totals_are_the_models(self) -> None:
        if not hasattr(self, "file"):
            return
        totals = self.file.totals()
        latencies = self.file.latencies()
        for state in self.file.backends():
            found = totals[state.id]
            wanted = tuple(self.responses[state.id, n] for n in range(10))
            assert found.attempts == self.attempts[state.id]
            assert found.responses == wanted
            assert latencies[state.id].total.count == sum(wanted)
        assert self.file.worker_totals().requests == sum(self.responses.values())

    @invariant()
    def in_flight_is_what_the_living_have(self) -> None:
        if not hasattr(self, "file"):
            return
        wanted: Counter[int] = Counter()
        for writer in self.living:
            wanted.update(row for row, _ in writer.under_way)
        self.reader.refresh()
        everything = self.reader.all()
        for row in range(8):
            assert self.reader.of(row) == everything[row] == wanted[row]
            assert self.file.in_flight(row) == wanted[row]

    @invariant()
    def all_whole_requests_are_read_and_no_other(self) -> None:
        if not hasattr(self, "file"):
            return
        records = list(self.file.recent())
        assert Counter((r.backend_id, r.status) for r in records) == self.recorded
        places = {(record.slot, record.number) for record in records}
        assert len(places) == len(records)


TestSlotMachine = SlotMachine.TestCase
TestSlotMachine.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None
)
TestSlotMachine = pytest.mark.timeout(120)(TestSlotMachine)
