"""gunicorn's signals under load: no request fails, on kept-alive connections neither.

A worker that ends says `Connection: close` in the last answer on each connection, so
no client finds its connection closed under its next request.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile
from tests.live.client import Client, fetch, get
from tests.live.load import Load
from tests.live.test_processes import FAST_HEALTH
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import ScriptedBackend
    from tests.live.server import Server

pytestmark = pytest.mark.live

THINK_S = 0.4
"""Longer than a worker that stops alone would wait for a client."""


@pytest.fixture
def backend(scripted: Scripted) -> ScriptedBackend:
    return scripted("one")


@pytest.fixture
def server(
    start_server: StartServer, backend: ScriptedBackend
) -> Iterator[tuple[Server, Load, Load]]:
    """Two workers, clients that ask at once and clients that think; all end well."""
    server = start_server("fast", "-w", "2", LB_BACKENDS=backend.address, **FAST_HEALTH)
    server.wait_answering(workers=2)
    busy = Load(server.port, clients=6)
    thinking = Load(server.port, clients=6, keeps_alive=True, pause_s=THINK_S)
    with busy, thinking:
        busy.wait_served(50)
        thinking.wait_served(6)
        yield server, busy, thinking
        busy.wait_served(50)
        thinking.wait_served(6)
    assert busy.failures == []
    assert thinking.failures == []
    assert "Traceback" not in server.errors()
    for pid in arbiters(server):
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: server.living() == [], "all to end")


def arbiters(server: Server) -> set[int]:
    """The arbiters of the living workers."""
    with SharedFile.open(server.state) as file:
        return {slot.arbiter for slot in file.slots() if slot.alive} - {0}


def test_more_and_fewer_workers(server: tuple[Server, Load, Load]) -> None:
    """SIGTTIN and SIGTTOU."""
    running, busy, thinking = server
    first = set(running.worker_pids())
    running.process.send_signal(signal.SIGTTIN)
    wait_for(lambda: len(running.worker_pids()) == 3, "three workers")
    busy.wait_served(50)
    for count in (2, 1):
        running.process.send_signal(signal.SIGTTOU)
        wait_for(lambda n=count: len(running.worker_pids()) == n, "fewer workers")
    assert not first & set(running.worker_pids())
    # Nobody's connection was closed but by an answer that said so.
    assert busy.partings > 0
    assert thinking.partings >= 6


def test_reloads_part_nobody(server: tuple[Server, Load, Load]) -> None:
    """SIGHUP, again and again."""
    running, busy, thinking = server
    pids = running.worker_pids()
    for generation in range(2, 6):
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda n=generation: settings_seen(running) == n, "the reload")
        busy.wait_served(20)
    assert running.worker_pids() == pids
    assert busy.partings == thinking.partings == 0


def settings_seen(server: Server) -> int:
    with SharedFile.open(server.state) as file:
        return min(slot.settings_seen for slot in file.slots() if slot.alive)


def test_a_new_arbiter_takes_over(server: tuple[Server, Load, Load]) -> None:
    """SIGUSR2, then SIGTERM to the old one: the whole program is another."""
    running, busy, thinking = server
    old = upgrade(running)
    busy.wait_served(50)
    running.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not old & set(running.worker_pids()), "the old workers to go")
    assert running.process.wait(8.0) == 0
    assert len(running.worker_pids()) == 2
    assert thinking.partings > 0
    (new,) = arbiters(running)
    os.kill(new, signal.SIGHUP)
    wait_for(lambda: settings_seen(running) == 3, "the new one to reload")


def test_an_upgrade_is_taken_back(server: tuple[Server, Load, Load]) -> None:
    """SIGUSR2, then SIGTERM to the new one; the old one still reloads."""
    running, busy, _ = server
    old = upgrade(running)
    (new,) = arbiters(running) - {running.process.pid}
    busy.wait_served(50)
    os.kill(new, signal.SIGTERM)
    wait_for(lambda: set(running.worker_pids()) == old, "the new workers to go")
    assert running.run_cli("reload").returncode == 0
    assert running.process.poll() is None


def upgrade(server: Server) -> set[int]:
    """Start a second arbiter beside the first; the workers there were."""
    old = set(server.worker_pids())
    server.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: len(set(server.worker_pids()) - old) == 2, "new workers")
    return old


def test_a_client_that_thinks_for_long_holds_up_no_stop_of_all(
    start_server: StartServer, backend: ScriptedBackend
) -> None:
    """But a worker that goes alone has some patience with it."""
    server = start_server("fast", "-w", "2", LB_BACKENDS=backend.address, **FAST_HEALTH)
    server.wait_answering(workers=2)
    with Client(server.port) as one, Client(server.port) as two:
        for client in (one, two):
            assert client.ask(get()).status == 200
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 2.0
        assert one.is_closed()
        assert two.is_closed()


def test_a_worker_that_goes_alone_ends_in_the_graceful_time(
    start_server: StartServer, backend: ScriptedBackend
) -> None:
    """Idle connections do not keep it for ever."""
    server = start_server(
        "fast",
        "-w",
        "2",
        "--graceful-timeout",
        "2",
        LB_BACKENDS=backend.address,
        **FAST_HEALTH,
    )
    server.wait_answering(workers=2)
    clients = [Client(server.port) for _ in range(8)]
    for client in clients:
        assert client.ask(get()).status == 200
    server.process.send_signal(signal.SIGTTOU)
    wait_for(lambda: len(server.worker_pids()) == 1, "one worker", timeout_s=4.0)
    assert "connections are cut" not in server.errors()
    for client in clients:
        client.sock.close()
    assert fetch(server.port, get()).status == 200
    assert server.stop() == 0
