"""Traces: passed on untouched by default; with `tracing.endpoint` a span per request.

The collector is a real one by OTLP over HTTP. What a backend is told and what the
collector gets must fit together: the span that the backend is a child of is there.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lb.shm import SharedFile, span_counts
from tests.live.client import Client, fetch, get, request
from tests.live.collector import Collector
from tests.live.load import Load
from tests.live.test_admin import Admin
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.collector import Taken
    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import ScriptedBackend, Talk
    from tests.live.server import Server

pytestmark = pytest.mark.live

LANES = ["fast", "gthread"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
RECORDED = f"traceparent: 00-{TRACE}-{PARENT}-01".encode()
UNRECORDED = f"traceparent: 00-{TRACE}-{PARENT}-00".encode()
STATE = b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


class Traced:
    """A balancer with its admin process, one backend and a collector."""

    def __init__(self, folder: Path, start: StartServer, one: ScriptedBackend) -> None:
        self.one = one
        self.collector = Collector()
        self._folder = folder
        self._start = start
        self.server: Server
        self.admin: Admin

    def start(self, lane: str, **env: str) -> None:
        env = {
            "LB_BACKENDS": self.one.address,
            "LB_TRACING__ENDPOINT": self.collector.endpoint,
            "LB_TRACING__TIMEOUT": "1",
            "LB_LOG__ACCESS": "off",
        } | env
        self.server = self._start(lane, **env)
        self.server.wait_answering()
        own = {key: value for key, value in env.items() if key.startswith("LB_")}
        own["LB_STATE__PATH"] = str(self.server.state)
        self.admin = Admin(self._folder / "admin", **own)
        self.admin.wait_serving()

    def spans(self, path: str) -> list[Taken]:
        found = list(self.collector.spans)
        return [span for span in found if span.attributes["url.path"] == path]

    def span(self, path: str) -> Taken:
        """The one span of that path, when it has come."""
        wait_for(lambda: self.spans(path), f"the span of {path}")
        (found,) = self.spans(path)
        return found

    def told(self, target: bytes) -> list[str]:
        """What the backend was told about its trace by the last request for that."""
        return told_by(self.one.seen(target)[-1])

    def counts(self) -> dict[str, int]:
        with SharedFile.open(self.server.state) as file:
            return span_counts(file)._asdict()


def told_by(talk: Talk) -> list[str]:
    (value,) = talk.values(b"traceparent")
    return value.decode().split("-")


@pytest.fixture
def traced(
    tmp_path: Path, start_server: StartServer, scripted: Scripted
) -> Iterator[Traced]:
    with ExitStack() as stack:
        made = Traced(tmp_path, start_server, scripted("one"))
        stack.enter_context(made.collector)
        yield made
        made.admin.kill()
        for process in (made.server, made.admin):
            assert "Traceback" not in process.errors()


@pytest.mark.parametrize("lane", LANES)
def test_without_tracing_both_fields_pass_untouched(
    start_server: StartServer, scripted: Scripted, lane: str
) -> None:
    """Whatever is in them, and whatever their spelling; and nothing is added."""
    one = scripted("one")
    server = start_server(lane, LB_BACKENDS=one.address)
    server.wait_answering()
    lines = (b"Traceparent: nonsense", b"tracestate: " + STATE)
    assert fetch(server.port, get(b"/traced", *lines)).status == 200
    assert fetch(server.port, get(b"/plain")).status == 200
    (talk,), (bare,) = one.seen(b"/traced"), one.seen(b"/plain")
    assert talk.values(b"traceparent") == [b"nonsense"]
    assert talk.values(b"tracestate") == [STATE]
    assert bare.values(b"traceparent") == bare.values(b"tracestate") == []


@pytest.mark.parametrize("lane", LANES)
def test_a_span_stands_between_the_clients_and_the_backends(
    traced: Traced, lane: str
) -> None:
    """In the client's trace, as a child of its span and the parent of the backend's."""
    traced.start(lane, LB_TRACING__SERVICE="shop")
    before = time.time()
    data = request(
        b"POST", b"/cart?item=7", RECORDED, b"tracestate: " + STATE, body=b"x" * 10
    )
    assert fetch(traced.server.port, data).status == 200
    span = traced.span("/cart")
    version, trace, parent, flags = traced.told(b"/cart?item=7")
    assert (version, flags, trace) == ("00", "01", TRACE)
    assert (span.trace, span.parent, span.span) == (TRACE, PARENT, parent)
    assert parent != PARENT
    (talk,) = traced.one.seen(b"/cart?item=7")
    assert talk.values(b"tracestate") == [STATE]
    assert (span.service, span.name, span.kind, span.status) == ("shop", "POST", 2, 0)
    assert before - 1 < span.began < time.time()
    assert 0 < span.took_s < 5
    facts: dict[str, Any] = {
        "http.request.method": "POST",
        "url.path": "/cart",
        "url.query": "item=7",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "server.address": "lb.test",
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "http.request.body.size": 10,
        "http.response.body.size": 3,
        "evenhand.backend": "one",
        "evenhand.set": "default",
        "evenhand.policy": "round_robin",
        "evenhand.attempts": 1,
    }
    assert {key: span.attributes[key] for key in facts} == facts
    assert "error.type" not in span.attributes


@pytest.mark.parametrize("lane", LANES)
def test_a_request_without_a_trace_begins_one(traced: Traced, lane: str) -> None:
    """Also one whose own is not valid; what it says of its state is dropped then."""
    traced.start(lane)
    for target, lines in (
        (b"/bare", ()),
        (b"/zero", (b"traceparent: 00-%b-%b-01" % (b"0" * 32, b"1" * 16),)),
        (b"/odd", (b"traceparent: 00-xyz", b"tracestate: " + STATE)),
        (b"/twice", (RECORDED, RECORDED)),
    ):
        assert fetch(traced.server.port, get(target, *lines)).status == 200
        span = traced.span(target.decode())
        _, trace, parent, flags = traced.told(target)
        assert (span.trace, span.span, span.parent, flags) == (trace, parent, "", "01")
        assert trace != TRACE
        assert traced.one.seen(target)[0].values(b"tracestate") == []


def test_what_is_not_recorded_is_nobodys_parent(traced: Traced) -> None:
    """A trace that its beginner does not record passes untouched; so chance says no."""
    traced.start("fast", LB_TRACING__RATIO="0")
    lines = (UNRECORDED, b"tracestate: " + STATE)
    assert fetch(traced.server.port, get(b"/theirs", *lines)).status == 200
    assert traced.told(b"/theirs") == ["00", TRACE, PARENT, "00"]
    assert traced.one.seen(b"/theirs")[0].values(b"tracestate") == [STATE]
    assert fetch(traced.server.port, get(b"/ours")).status == 200
    assert traced.told(b"/ours")[3] == "00"
    assert fetch(traced.server.port, get(b"/last", RECORDED)).status == 200
    traced.span("/last")
    assert traced.spans("/theirs") == traced.spans("/ours") == []


def test_each_request_of_a_connection_has_a_span_of_its_own(traced: Traced) -> None:
    """The same bytes again and again, which are otherwise remembered as a whole."""
    traced.start("fast")
    with Client(traced.server.port) as client:
        for _ in range(5):
            assert client.ask(get(b"/same")).status == 200
        for _ in range(5):
            assert client.ask(get(b"/same", RECORDED)).status == 200
    wait_for(lambda: len(traced.spans("/same")) == 10, "ten spans")
    told = [told_by(talk)[2] for talk in traced.one.seen(b"/same")]
    assert len(set(told)) == 10
    assert {span.span for span in traced.spans("/same")} == set(told)
    assert sum(span.trace == TRACE for span in traced.spans("/same")) == 5


def test_a_request_that_fails_says_so(traced: Traced) -> None:
    traced.start("fast", LB_RETRIES__ATTEMPTS="2")

    def fail(talk: Talk) -> None:
        talk.read_body()
        talk.close()

    traced.one.scripts[b"/gone"] = fail
    assert fetch(traced.server.port, request(b"PURGE", b"/gone")).status == 502
    span = traced.span("/gone")
    assert (span.name, span.status) == ("HTTP", 2)
    assert span.attributes["error.type"] == "connection_terminated"
    assert span.attributes["http.request.method_original"] == "PURGE"
    assert span.attributes["http.response.status_code"] == 502


def test_a_collector_that_fails_or_hangs_is_felt_by_nobody(traced: Traced) -> None:
    """What it did not take is counted, and told once in the log; later ones arrive."""
    traced.start("fast")
    traced.collector.close()
    with Load(traced.server.port, clients=2, pause_s=0.01) as load:
        load.wait_served(50)
        wait_for(lambda: traced.counts()["failed"] > 0, "spans that failed")
        traced.collector.hangs.set()
        traced.collector.open()
        wait_for(lambda: traced.collector.requests > 0, "a span that hangs")
        load.wait_served(50)
    assert load.failures == []
    traced.collector.hangs.clear()
    assert fetch(traced.server.port, get(b"/after")).status == 200
    traced.span("/after")
    told = traced.admin.metrics()
    assert told["evenhand_spans_total failed"] == traced.counts()["failed"] > 0
    assert told["evenhand_spans_total sent"] > 0
    assert traced.admin.errors().count("spans are not taken by") == 1
    assert traced.admin.errors().count("spans are taken again by") == 1


def test_the_last_spans_are_sent_when_the_admin_process_ends(traced: Traced) -> None:
    """And those of while there was none, when another starts; each once."""
    traced.start("fast")
    for number in range(20):
        assert fetch(traced.server.port, get(b"/n%d" % number)).status == 200
    assert traced.admin.stop(signal.SIGTERM) == 0
    assert len({span.span for span in traced.collector.spans}) >= 20
    assert fetch(traced.server.port, get(b"/alone")).status == 200
    again = Admin(traced.server.state.parent / "again", **dict(own_of(traced)))
    try:
        traced.span("/alone")
        wait_for(
            lambda: traced.counts()["sent"] == len(traced.collector.spans), "the count"
        )
    finally:
        again.kill()
    ids = [span.span for span in traced.collector.spans]
    assert len(ids) == len(set(ids))


def own_of(traced: Traced) -> Iterator[tuple[str, str]]:
    for name in ("LB_STATE__PATH", "LB_BACKENDS", "LB_TRACING__ENDPOINT"):
        yield name, traced.server.env[name]


def test_an_end_does_not_wait_for_a_collector_that_hangs(traced: Traced) -> None:
    traced.start("fast", LB_TRACING__TIMEOUT="30")
    traced.collector.hangs.set()
    assert fetch(traced.server.port, get()).status == 200
    wait_for(lambda: traced.collector.requests, "the span that hangs")
    begun = time.monotonic()
    assert traced.admin.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 4.0


def test_tracing_is_switched_by_a_reload(
    tmp_path: Path, traced: Traced, start_server: StartServer
) -> None:
    """On and off, on a connection that stays."""
    toml = tmp_path / "lb.toml"
    plain = f'backends = ["{traced.one.address}"]\nlog.access = "off"\n'
    toml.write_text(plain)
    traced.server = server = start_server("fast", LB_CONFIG=str(toml))
    server.wait_answering()
    own = {"LB_CONFIG": str(toml), "LB_STATE__PATH": str(server.state)}
    traced.admin = Admin(tmp_path / "admin", **own)
    traced.admin.wait_serving()
    with Client(server.port) as client:
        assert client.ask(get(b"/off")).status == 200
        assert traced.one.seen(b"/off")[0].values(b"traceparent") == []
        toml.write_text(f'{plain}tracing.endpoint = "{traced.collector.endpoint}"\n')
        assert traced.admin.ask("POST", "/api/v1/reload").json()["in_force"] is True
        assert client.ask(get(b"/on")).status == 200
        traced.span("/on")
        toml.write_text(plain)
        assert traced.admin.ask("POST", "/api/v1/reload").json()["in_force"] is True
        assert client.ask(get(b"/off-again")).status == 200
        assert traced.one.seen(b"/off-again")[0].values(b"traceparent") == []


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9/v1/traces"])
def test_no_worker_ever_loads_the_library(
    tmp_path: Path, start_server: StartServer, scripted: Scripted, endpoint: str
) -> None:
    """Nor does the admin process without the setting; with it only that does."""
    one = scripted("one")
    own = {"LB_BACKENDS": one.address, "LB_TRACING__ENDPOINT": endpoint}
    server = start_server("fast", **own)
    server.wait_answering()
    assert fetch(server.port, get()).status == 200
    state = {"LB_STATE__PATH": str(server.state)}
    admin = Admin(tmp_path / "admin", **own, **state)
    try:
        admin.wait_serving()
        assert not any(has_loaded(pid) for pid in server.living())
        if endpoint:
            wait_for(lambda: any(map(has_loaded, admin.living())), "the library")
        else:
            assert not any(has_loaded(pid) for pid in admin.living())
    finally:
        admin.kill()


def has_loaded(pid: int) -> bool:
    """Whether the process has the library's protobuf in its memory, or a module of it."""
    return "google/_upb" in Path(f"/proc/{pid}/maps").read_text()
