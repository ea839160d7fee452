"""Metrics are what was recorded, by Prometheus' conventions, and quickly told."""

from __future__ import annotations

import gc
import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lb.admin.collecting import Collector
from lb.admin.families import BUCKETS, Numbers, Owner, Split, Timing
from lb.admin.in_force import InForce
from lb.admin.source import Source
from lb.admin.warming import Warming
from lb.config import Settings
from lb.model import Address, Backend, Verdict, Wish
from lb.shm import (
    FigureReader,
    Histogram,
    Record,
    SharedFile,
    Standing,
    edit_table,
    publish,
)
from tests.shm.requests import begin, passage, serve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from tests.admin.conftest import Scene

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_in(families: Iterable[Metric]) -> Samples:
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"told twice: {key}"
            found[key] = sample.value
    return found


class Scrape:
    """What one scrape tells."""

    def __init__(self, scene: Scene) -> None:
        answer = scene.ask("GET", "/metrics")
        self.text = answer.get_data(as_text=True)
        self.families = list(text_string_to_metric_families(self.text))
        self._samples = samples_in(self.families)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._samples.get((f"evenhand_{name}", frozenset(labels.items())))


ONE, TWO = {"backend": "web9001"}, {"backend": "web9002"}


def test_requests_are_told_by_backend_and_class(scene: Scene) -> None:
    one, two = scene.slot.row(0, 1), scene.slot.row(1, 2)
    for status in (200, 204, 404):
        serve(scene.file, scene.recorder, one, status=status)
    serve(scene.file, scene.recorder, two, status=503)
    begin(scene.file, two)
    told = Scrape(scene)
    assert told("backend_requests_total", **ONE, code="2xx") == 2
    assert told("backend_requests_total", **ONE, code="4xx") == 1
    assert told("backend_requests_total", **TWO, code="5xx") == 1
    assert told("requests_total", code="2xx") == 2
    assert told("backend_attempts_total", **TWO) == 2
    assert told("backend_requests_in_flight", **TWO) == 1
    assert told("backend_received_bytes_total", **ONE) == 30
    assert told("backend_sent_bytes_total", **ONE) == 1500


def test_failures_and_retries_are_told_with_their_reason(scene: Scene) -> None:
    from lb.shm.labels import NUMBERS
    from lb.shm.layout import Counter

    at = scene.slot.row(0, 1)
    begin(scene.file, at)
    cells = scene.file.cells
    cells[at.block + Counter.RETRIES] += 1
    cells[at.block + Counter.FAILURES + NUMBERS["connection_refused"]] += 2
    cells[at.connect_failures] += 2
    cells[at.block + Counter.CUT] += 3
    made = passage(scene.slot.no_backend, status=503)
    made.label = "destination_unavailable"
    scene.recorder.finish(made, 1001.0)
    told = Scrape(scene)
    assert told("backend_retries_total", **ONE) == 1
    reason = "connection_refused"
    assert told("backend_cut_total", **ONE) == 3
    assert told("backend_failures_total", **ONE, reason=reason) == 2
    assert told("backend_connect_failures_total", **ONE) == 2
    assert told("request_failures_total", reason="destination_unavailable") == 1
    assert told("unrouted_requests_total", code="5xx") == 1


def test_latencies_are_classic_histograms(scene: Scene) -> None:
    at = scene.slot.row(0, 1)
    for took_s in (0.0008, 0.02, 0.02, 40.0):
        serve(scene.file, scene.recorder, at, took_s=took_s)
    told = Scrape(scene)
    name = "backend_request_duration_seconds"
    counts = [
        told(f"{name}_bucket", **ONE, le="+Inf" if b == BUCKETS[-1] else str(b))
        for b in BUCKETS
    ]
    assert counts == [1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]
    assert told(f"{name}_count", **ONE) == 4
    assert told(f"{name}_sum", **ONE) == pytest.approx(40.0408)
    assert told("backend_response_head_seconds_count", **ONE) == 4


def test_verdicts_and_wishes_are_told(scene: Scene) -> None:
    told = Scrape(scene)
    assert told("backend_up", **ONE) is None
    assert told("backend_available", **ONE) == 1
    scene.judge(0, Verdict.UP)
    scene.judge(1, Verdict.DOWN)
    with edit_table(scene.file) as table:
        table.set_wish(table.rows()[0], Wish.DRAIN)
    told = Scrape(scene)
    assert (told("backend_up", **ONE), told("backend_up", **TWO)) == (1, 0)
    assert told("backend_available", **ONE) == told("backend_available", **TWO) == 0
    assert (told("backend_taken_out", **ONE), told("backend_taken_out", **TWO)) == (
        1,
        0,
    )
    assert told("backend_verdict_timestamp_seconds", **TWO) == 1000
    assert told("backend_probes_total", **TWO, result="failed") == 1
    assert told("backend_probes_total", **ONE, result="passed") == 1
    assert told("backend_probe_seconds_total", **ONE) == 0.002
    assert told("backend_last_probe_duration_seconds", **TWO) == 0.002
    assert told("checker_up") == 1


def test_ejections_and_panic_are_told(scene: Scene) -> None:
    scene.judge(0, Verdict.UP)
    standing = Standing(Verdict.UP, is_ejected=True, share=40)
    scene.pen.judge(1, 2, Record(standing, 1.0))
    told, default = Scrape(scene), {"set": "default"}
    assert (told("backend_ejected", **ONE), told("backend_ejected", **TWO)) == (0, 1)
    assert told("backend_ejections_total", **TWO) == 1
    assert told("backend_available", **TWO) == 0
    assert told("backend_share_ratio", **TWO) == 0.4
    assert told("set_available_backends", **default) == 1
    assert told("set_in_panic", **default) == 0
    scene.pen.judge(0, 1, Record(Standing(Verdict.DOWN), 1.0))
    assert Scrape(scene)("set_in_panic", **default) == 1


def test_workers_are_told_by_slot(scene: Scene) -> None:
    scene.slot.tell_resting(queued=2, idle={1: 5}, queues={0: 2})
    scene.slot.arrivals().open()
    scene.slot.see_settings(scene.file.settings_generation())
    serve(scene.file, scene.recorder, scene.slot.row(0, 1))
    told, slot = Scrape(scene), {"slot": "0"}
    assert told("workers") == told("worker_up", **slot) == 1
    assert told("worker_queued_requests", **slot) == 2
    assert told("set_queued_requests", set="default") == 2
    assert told("worker_settings_behind", **slot) == 0
    assert told("worker_idle_connections", **slot) == 5
    assert told("backend_idle_connections", **TWO) == 5
    assert told("worker_requests_total", **slot) == 1
    heartbeat = told("worker_heartbeat_timestamp_seconds", **slot)
    assert heartbeat == pytest.approx(time.time(), abs=60)


def test_totals_stay_when_a_worker_goes(scene: Scene) -> None:
    serve(scene.file, scene.recorder, scene.slot.row(0, 1))
    scene.slot.release()
    told = Scrape(scene)
    assert told("backend_requests_total", **ONE, code="2xx") == 1
    assert told("requests_total", code="2xx") == 1
    assert told("worker_requests_total", slot="0") == 1
    assert told("workers") == told("worker_up", slot="0") == 0
    assert told("worker_connections", slot="0") is None


def test_without_a_balancer_that_is_told(scene: Scene) -> None:
    scene.path.unlink()
    told = Scrape(scene)
    assert told("balancer_up") == 0
    assert told("workers") is None
    assert "evenhand_build_info" in {family.name for family in told.families}


def test_labels_are_followed_when_the_table_changes(scene: Scene) -> None:
    Scrape(scene)
    body = {"backend": 'x"y\\z%s=127.0.0.1:1'}
    assert scene.ask("POST", "/api/v1/backends", json=body).status_code == 201
    told = Scrape(scene)
    name = 'x"y\\z%s'
    assert told("backend_weight", backend=name) == 1
    info = {"backend": name, "address": "127.0.0.1:1", "set": "default"}
    assert told("backend_info", **info) == 1
    assert told("backend_response_head_seconds_count", backend=name) == 0


UNITS = ("seconds", "bytes")


def test_names_and_types_follow_the_conventions(scene: Scene) -> None:
    """https://prometheus.io/docs/practices/naming, as far as a program can say it."""
    serve(scene.file, scene.recorder, scene.slot.row(0, 1))
    for family in Scrape(scene).families:
        name = family.name
        assert re.fullmatch(r"evenhand_[a-z][a-z0-9_]*", name), name
        assert family.documentation.endswith("."), name
        assert not re.search(r"_(milliseconds|ms|minutes|kb|count|sum|bucket)$", name)
        for sample in family.samples:
            counts = sample.name.endswith("_total")
            assert counts == (family.type == "counter"), sample.name
            assert not set(sample.labels) & {"job", "instance"}
            for label in sample.labels:
                assert re.fullmatch(r"[a-z]+", label), label
        if any(unit in name.split("_") for unit in UNITS):
            assert name.endswith(UNITS) or name.endswith("_bytes"), name


TEXTS = st.text(max_size=12)
COUNTS = st.integers(0, 2**53)
"""What a binary64 holds exactly; the library writes no other numbers."""
OWNERS = st.builds(lambda a, b: Owner(backend=a, set=b), TEXTS, TEXTS)
TIMES = st.lists(st.floats(0.00001, 200.0), max_size=8).map(Histogram.of)


@profile(max_examples=60)
@given(
    st.lists(st.tuples(OWNERS, COUNTS), max_size=5, unique_by=lambda r: repr(r[0])),
    st.lists(
        st.tuples(OWNERS, st.dictionaries(st.sampled_from(["a", "b"]), COUNTS)),
        max_size=5,
        unique_by=lambda r: repr(r[0]),
    ),
    st.lists(st.tuples(OWNERS, TIMES), max_size=3, unique_by=lambda r: repr(r[0])),
)
def test_the_fast_text_says_what_the_library_would(numbers, splits, timings) -> None:  # type: ignore[no-untyped-def]
    """Whatever stands in labels."""
    families = [
        Numbers("evenhand_a_total", "counter", "Things\nthat\\were.", numbers),
        Split("evenhand_b", "gauge", "Others.", "code", splits),
        Timing("evenhand_c_seconds", "Times.", timings),
    ]

    class Given:
        def collect(self) -> list[Metric]:
            return [family.metric() for family in families]

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given())
    ours = "".join(family.text() for family in families)
    theirs = generate_latest(registry).decode()
    assert ours.splitlines()[:2] == theirs.splitlines()[:2]
    parse = text_string_to_metric_families
    assert samples_in(parse(ours)) == samples_in(parse(theirs))
    assert [(f.name, f.type) for f in parse(ours)] == [
        (f.name, f.type) for f in parse(theirs)
    ]


def test_a_registry_of_the_library_can_hold_the_collector(scene: Scene) -> None:
    """And tells the same."""
    serve(scene.file, scene.recorder, scene.slot.row(0, 1))
    registry = CollectorRegistry()
    source = scene.app.extensions["source"]
    registry.register(Collector(source, InForce(scene.settings), FigureReader()))
    theirs = samples_in(
        text_string_to_metric_families(generate_latest(registry).decode())
    )
    ours = samples_in(Scrape(scene).families)
    assert theirs
    for key, value in theirs.items():
        assert ours[key] == value, key


MANY, PROCESSES = 2000, 8
BUDGET_S = 0.2


@pytest.fixture
def crowd(tmp_path: Path) -> Iterable[Path]:
    """A file with 2,000 backends that 8 processes have served."""
    path = tmp_path / "state"
    made = [
        Backend(f"backend{i}", Address(host=f"10.0.{i // 250}.{i % 250 + 1}", port=80))
        for i in range(MANY)
    ]
    publish(path, made)
    with ExitStack() as stack:
        for process in range(PROCESSES):
            file = stack.enter_context(SharedFile.open(path))
            slot = file.take_slot()
            recorder = slot.recorder()
            for row in range(MANY):
                at = slot.row(row, row + 1)
                serve(file, recorder, at, took_s=0.001 * (1 + (row + process) % 997))
        yield path


def test_a_scrape_of_2000_backends_and_8_workers_is_quick(crowd: Path) -> None:
    """In CPU time, as this machine has others to serve; the first one, too.

    The admin process reads through a file when it is new (`lb.admin.warming`).
    """
    source = Source(crowd)
    collector = Collector(source, InForce(Settings()), FigureReader())
    warming = Warming(source, collector)
    assert (warming.look(), warming.look()) == (True, False)
    took_s, text = [], ""
    gc.freeze()  # as the admin process does; pytest's own things are not measured
    for _ in range(4):
        began = time.process_time()
        text = "".join(family.text() for family in collector.families())
        took_s.append(time.process_time() - began)
    gc.unfreeze()
    source.close()
    first, *others = (f"{s * 1000:.0f} ms" for s in took_s)
    print(f"{text.count(chr(10))} lines: the first {first}, then {', '.join(others)}")
    assert max(took_s) < BUDGET_S
    assert text.count("evenhand_backend_requests_total{") == MANY * 6
