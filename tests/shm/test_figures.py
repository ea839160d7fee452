"""Figures read again and again are those read at once; what rests is not read anew."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from lb.shm import FigureReader, SharedFile, publish
from tests.shm.children import backends
from tests.shm.requests import serve

STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 1),
        st.floats(0.0001, 100.0),
        st.sampled_from([200, 404, 500]),
    ),
    max_size=20,
)


@profile(max_examples=30)
@given(STEPS)
def test_they_are_totals_and_latencies(
    steps: list[tuple[int, int, float, int]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        publish(path, backends(9001, 9002))
        reader = FigureReader()
        with SharedFile.open(path) as one, SharedFile.open(path) as two:
            slots = [(f, f.take_slot()) for f in (one, two)]
            recorders = [slot.recorder() for _, slot in slots]
            for process, row, took_s, status in steps:
                file, slot = slots[process]
                at = slot.row(row, row + 1)
                serve(file, recorders[process], at, took_s=took_s, status=status)
                found = reader.read(one)
                assert found.totals == one.totals()
                for key, wanted in one.latencies().items():
                    got = found.latencies[key]
                    assert tuple(got.total.counts) == tuple(wanted.total.counts)
                    assert tuple(got.to_head.counts) == tuple(wanted.to_head.counts)
                    assert got.total.sum_s == wanted.total.sum_s


def test_what_rests_is_the_same_object(file: SharedFile) -> None:
    slot = file.take_slot()
    recorder, reader = slot.recorder(), FigureReader()
    for row in (0, 1):
        serve(file, recorder, slot.row(row, row + 1))
    before = reader.read(file)
    serve(file, recorder, slot.row(1, 2))
    after = reader.read(file)
    assert after.latencies[1] is before.latencies[1]
    assert after.latencies[2] is not before.latencies[2]
    assert after.totals[2].attempts == 2


def test_failed_connects_alone_are_seen(file: SharedFile) -> None:
    slot = file.take_slot()
    reader = FigureReader()
    at = slot.row(0, 1)
    assert reader.read(file).totals[1].connect_failures == 0
    file.cells[at.connect_failures] += 1
    assert reader.read(file).totals[1].connect_failures == 1


def test_another_file_begins_anew(path: Path, file: SharedFile) -> None:
    slot = file.take_slot()
    reader = FigureReader()
    serve(file, slot.recorder(), slot.row(0, 1))
    assert reader.read(file).totals[1].requests == 1
    slot.release()
    publish(path, backends(9001))
    with SharedFile.open(path) as other:
        assert reader.read(other).totals[1].requests == 0


def test_gauges_are_what_the_rows_say(file: SharedFile) -> None:
    """The cheap reading agrees with the whole one."""
    from lb.model import Verdict, Wish
    from lb.shm import Leadership, ProbeRecord, VerdictWriter

    leadership = Leadership(file)
    leadership.try_acquire()
    pen = VerdictWriter(file, leadership)
    for number in range(13):
        pen.record_probe(1, 2, ProbeRecord(1000.0 + number, 0.25, False, "refused"))
    pen.set_verdict(1, 2, Verdict.DOWN, reason="", at=1012.0)
    file.set_wish(0, Wish.DRAIN)
    for state, gauges in zip(file.backends(), file.gauges(), strict=True):
        assert (state.row, state.id) == gauges[:2]
        assert (state.standing, state.since) == (gauges.standing, gauges.since)
        assert state.tally == gauges.tally
        assert gauges.weight == state.backend.weight
        assert gauges.is_ready == (state.wish is Wish.READY)
        probe = state.last_probe
        wanted = (probe.at, probe.duration_s) if probe else (0.0, 0.0)
        assert (gauges.probed_at, gauges.probe_s) == wanted
