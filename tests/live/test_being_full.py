"""Limits and lines over several workers, measured by backends that count themselves."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from lb.model import Wish
from lb.shm import SharedFile
from tests.live.client import Client, fetch, get
from tests.live.crowd import Crowd
from tests.live.load import Load
from tests.live.scripted import RESET, answer_by_name
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import RequestRecord
    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import ScriptedBackend, Talk
    from tests.live.server import Server

pytestmark = pytest.mark.live

CLIENTS = 64
WORKERS = 4
TAKES_S = 0.02
PATIENCE_S = 5.0
"""`queue.timeout`, the default."""

FAST_HEALTH = {
    "LB_HEALTH__INTERVAL": "0.3",
    "LB_HEALTH__FAST_INTERVAL": "0.15",
    "LB_HEALTH__TIMEOUT": "0.5",
}


class StartFull(Protocol):
    """Starts a server whose backends are those tables, in TOML."""

    def __call__(
        self, lane: str, *tables: str, workers: int = 1, **env: str
    ) -> Server: ...


@pytest.fixture
def start(start_server: StartServer, tmp_path: Path) -> StartFull:
    def start_full(lane: str, *tables: str, workers: int = 1, **env: str) -> Server:
        config = tmp_path / "lb.toml"
        config.write_text(f"backends = [{', '.join(tables)}]\n")
        # The last -w counts.
        server = start_server(
            lane, "-w", str(workers), LB_CONFIG=str(config), LB_LOG__ACCESS="off", **env
        )
        server.wait_answering(workers)
        return server

    return start_full


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with Crowd() as made:
        yield made


def table(name: str, port: int, **settings: object) -> str:
    """A backend's table in TOML."""
    fields = {"name": f'"{name}"', "address": f'"127.0.0.1:{port}"'} | settings
    return "{ " + ", ".join(f"{key} = {value}" for key, value in fields.items()) + " }"


def records(server: Server, target: str) -> list[RequestRecord]:
    """What was recorded of the requests for a target."""
    with SharedFile.open(server.state) as file:
        return [record for record in file.recent() if record.target == target]


def connections(server: Server) -> int:
    """Clients' connections that are open."""
    with SharedFile.open(server.state) as file:
        return file.worker_totals().connections


def wait_idle(server: Server) -> None:
    """Return when nothing is counted as under way."""
    wait_for(lambda: server.in_flight() == 0, "all counts to be zero")


@pytest.mark.parametrize(
    ("lane", "workers"), [("fast", WORKERS), ("gevent", WORKERS), ("gthread", 2)]
)
def test_a_limit_holds_over_all_workers_and_nobody_is_lost(
    start: StartFull, crowd: Crowd, lane: str, workers: int
) -> None:
    """64 clients at 5 places: all are answered, in turn, whichever worker they met."""
    backend = crowd.backend("b", takes_s=TAKES_S)
    server = start(lane, table("b", backend.port, max_in_flight=5), workers=workers)
    backend.forget()
    # Clients of the threaded lane hold a thread each: no more than there are.
    clients = 16 if lane == "gthread" else CLIENTS
    got = crowd.ask(server.port, clients=clients, requests=600)
    assert (dict(got.statuses), got.lost) == ({200: 600}, 0)
    assert backend.most_at_once == 5, "all places were used, and never more"
    assert got.percentile(1.0) < PATIENCE_S / 2, "nobody was passed over"
    wait_idle(server)
    assert backend.connections <= 5 * workers + 10, (
        "they are used again; some are probes"
    )


def test_each_backend_has_its_own_limit(start: StartFull, crowd: Crowd) -> None:
    small, large = crowd.backend("s", takes_s=TAKES_S), crowd.backend("l", takes_s=0.03)
    server = start(
        "fast",
        table("s", small.port, max_in_flight=2),
        table("l", large.port, max_in_flight=11),
        workers=WORKERS,
    )
    for backend in (small, large):
        backend.forget()
    got = crowd.ask(server.port, clients=CLIENTS, requests=1500)
    assert (dict(got.statuses), got.lost) == ({200: 1500}, 0)
    assert (small.most_at_once, large.most_at_once) == (2, 11)


def test_a_worker_that_is_killed_leaves_no_counts_behind(
    start: StartFull, crowd: Crowd
) -> None:
    """Its places are free again within a second or so, and its line forgotten."""
    backend = crowd.backend("b", takes_s=TAKES_S)
    server = start("fast", table("b", backend.port, max_in_flight=5), workers=WORKERS)
    victim = server.worker_pids()[0]
    killed = []

    def kill() -> None:
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    crowd.later(0.5, kill)
    got = crowd.ask(server.port, clients=CLIENTS, seconds=3.0)
    assert killed
    assert set(got.statuses) == {200}
    assert 0 < got.lost <= CLIENTS * 0.6, "only its own clients"
    assert backend.most_at_once == 5
    wait_idle(server)
    assert crowd.ask(server.port, clients=5, requests=50).statuses == {200: 50}


@pytest.fixture
def gate(scripted: Scripted) -> Iterator[Gate]:
    gate = Gate(scripted("b"))
    yield gate
    gate.open.set()


class Gate:
    """A backend that answers `/` only once `open` is set."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.backend = backend
        self.open = threading.Event()
        backend.scripts[b"/"] = self._answer

    def _answer(self, talk: Talk) -> None:
        if talk.line.startswith(b"GET"):  # not the probe of who starts the server
            assert self.open.wait(DEADLINE_S)
        answer_by_name(talk)


def fill(server: Server, stack: ExitStack, count: int) -> list[Client]:
    """Clients whose requests are under way."""
    clients = [stack.enter_context(Client(server.port)) for _ in range(count)]
    for client in clients:
        client.send(get())
    wait_for(lambda: server.in_flight() == count, "all places to be taken")
    return clients


@pytest.mark.parametrize("lane", ["fast", "gthread"])
def test_who_waits_too_long_is_told_why_and_when_to_come_again(
    start: StartFull, gate: Gate, lane: str
) -> None:
    server = start(
        lane, table("b", gate.backend.port, max_in_flight=1), LB_QUEUE__TIMEOUT="0.3"
    )
    with ExitStack() as stack:
        (inside,) = fill(server, stack, 1)
        begun = time.monotonic()
        answer = fetch(server.port, get(b"/late"))
        assert 0.3 <= time.monotonic() - begun < 1.5
        assert answer.status == 503
        assert answer.value(b"Retry-After").isdigit()
        assert answer.value(b"Proxy-Status").endswith(b"error=connection_limit_reached")
        assert b"All backends are busy." in answer.body
        gate.open.set()
        assert inside.answer().status == 200
    assert not gate.backend.seen(b"/late")
    (record,) = records(server, "/late")
    assert (record.status, record.label) == (503, "connection_limit_reached")
    assert (record.backend_id, record.attempts) == (0, 0)
    assert record.queued_s
    assert 0.3 <= record.queued_s < 1.5


def test_a_full_line_turns_away_at_once(start: StartFull, gate: Gate) -> None:
    server = start(
        "fast", table("b", gate.backend.port, max_in_flight=1), LB_QUEUE__SIZE="2"
    )
    with ExitStack() as stack:
        inside = fill(server, stack, 1)
        line = [stack.enter_context(Client(server.port)) for _ in range(3)]
        for client in line:
            client.send(get())
        readable, _, _ = select.select([c.sock for c in line], [], [], DEADLINE_S)
        (refused,) = (c for c in line if c.sock in readable)
        assert refused.answer().status == 503
        gate.open.set()
        others = [c for c in (*inside, *line) if c is not refused]
        assert [c.answer().status for c in others] == [200] * 3
        assert refused.ask(get()).status == 200, "its connection is kept"


@pytest.mark.parametrize("reset", [False, True])
def test_who_leaves_the_line_is_dropped_at_once(
    start: StartFull, gate: Gate, *, reset: bool
) -> None:
    """The backend never hears of it, and who stands behind moves up."""
    server = start("fast", table("b", gate.backend.port, max_in_flight=1))
    with ExitStack() as stack:
        (inside,) = fill(server, stack, 1)
        leaving = Client(server.port)
        leaving.send(get(b"/left"))
        behind = stack.enter_context(Client(server.port))
        behind.send(get(b"/behind"))
        if reset:
            leaving.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        leaving.sock.close()
        wait_for(lambda: records(server, "/left"), "it to be dropped", timeout_s=1.0)
        gate.open.set()
        assert [c.answer().status for c in (inside, behind)] == [200, 200]
    assert not gate.backend.seen(b"/left")
    (record,) = records(server, "/left")
    assert (record.status, record.label) == (499, "client_left")
    wait_idle(server)


def test_requests_are_answered_in_the_order_in_which_they_came(
    start: StartFull, gate: Gate
) -> None:
    """And one that comes just when there is room does not go past."""
    server = start("fast", table("b", gate.backend.port, max_in_flight=1))
    with ExitStack() as stack:
        clients = fill(server, stack, 1)
        for number in range(8):
            client = stack.enter_context(Client(server.port))
            client.send(get(b"/%d" % number))
            clients.append(client)
            # A worker takes connections as they come; let it take this one first.
            wait_for(lambda: connections(server) == len(clients), "it to be accepted")
        gate.open.set()
        assert {client.answer().status for client in clients} == {200}
    seen = [talk.target for talk in gate.backend.talks if talk.target != b"/"]
    assert seen == [b"/%d" % number for number in range(8)]


@pytest.mark.parametrize("lane", ["fast", "gevent"])
def test_a_backend_that_redeploys_costs_time_not_errors(
    start: StartFull, scripted: Scripted, lane: str
) -> None:
    """The only one is gone for a second under load, twice: nobody is told."""
    backend = scripted("b")
    server = start(
        lane, table("b", backend.port), workers=2, LB_QUEUE__HOLD="10", **FAST_HEALTH
    )
    with Load(server.port) as load:
        for _ in range(2):
            load.wait_served(50)
            backend.close()
            server.wait_verdict("b", "DOWN")
            backend.open()
            load.wait_served(50)
    assert not load.failures


def test_backups_get_nothing_while_others_are_only_full(
    start: StartFull, crowd: Crowd
) -> None:
    first, backup = crowd.backend("f", takes_s=TAKES_S), crowd.backend("b")
    server = start(
        "fast",
        table("f", first.port, max_in_flight=4),
        table("b", backup.port, backup="true"),
        workers=2,
    )
    served = backup.served
    got = crowd.ask(server.port, clients=32, requests=400)
    assert (dict(got.statuses), got.lost) == ({200: 400}, 0)
    assert backup.served == served
    with SharedFile.open(server.state) as file:
        file.set_wish(0, Wish.DRAIN)
    first.forget()
    assert crowd.ask(server.port, clients=8, requests=100).statuses == {200: 100}
    assert (first.served, backup.served) == (0, served + 100)
