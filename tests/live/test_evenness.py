"""Connections spread over the workers, however they come.

What is tested is what the workers decide. How many requests of a closed loop each
then serves also depends on the cores that they get.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile
from lb.shm.arrivals import WINDOWS_PER_S
from tests.live.client import Client, fetch, get
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm import SlotState
    from tests.live.conftest import Scripted, StartServer
    from tests.live.server import Server

pytestmark = pytest.mark.live

CONNECTIONS = 64
MOST = 0.6
"""The greatest share that one of two workers may get."""

TRIES = 3
"""The middle one counts: a worker that gets no core for 0.1 s takes its share later."""


@pytest.fixture
def server(start_server: StartServer, scripted: Scripted) -> Server:
    server = start_server("fast", "-w", "2", LB_BACKENDS=scripted("b").address)
    server.wait_answering(workers=2)
    wait_for(lambda: share(server, in_a_burst) <= MOST, "both to know each other")
    return server


def living(server: Server) -> list[SlotState]:
    with SharedFile.open(server.state) as file:
        return [slot for slot in file.slots() if slot.alive]


def share(server: Server, connect: Callable[[Server], None]) -> float:
    """The greater worker's share of the connections that `connect` makes.

    Without those before them: who had more would get less now, to make up for it.
    """
    begun = time.monotonic()
    wait_for(
        lambda: (
            time.monotonic() > begun + 2 / WINDOWS_PER_S
            and not any(slot.connections for slot in living(server))
        ),
        "earlier connections to be gone and forgotten",
    )
    before = {slot.pid: slot.accepted for slot in living(server)}
    connect(server)
    counts = [slot.accepted - before[slot.pid] for slot in living(server)]
    return max(counts) / sum(counts)


def in_a_burst(server: Server) -> None:
    """All are there before any asks."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.port)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.send(get())
        assert {client.answer().status for client in clients} == {200}


def one_by_one(server: Server) -> None:
    """Each asks and stays before the next one comes."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = stack.enter_context(Client(server.port))
            assert client.ask(get()).status == 200


def each_on_its_own(server: Server) -> None:
    """Each has gone before the next one comes."""
    for _ in range(CONNECTIONS):
        fetch(server.port, get(b"/", b"Connection: close"))


@pytest.mark.parametrize("connect", [in_a_burst, one_by_one, each_on_its_own])
def test_neither_of_two_workers_gets_more_than_three_fifths(
    server: Server, connect: Callable[[Server], None]
) -> None:
    shares = sorted(share(server, connect) for _ in range(TRIES))
    assert shares[TRIES // 2] <= MOST, shares


def test_a_worker_that_hangs_does_not_hold_up_the_others_clients(
    server: Server,
) -> None:
    """They wait for it once, 0.1 s in all, though it has the fewest connections."""
    stopped = living(server)[0].pid
    os.kill(stopped, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        one_by_one(server)
        assert time.monotonic() - begun < 3
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_status_tells_each_workers_connections(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(Client(server.port)).ask(get())
        workers = server.ask_status()["workers"]
        assert sum(worker["connections"] for worker in workers) == 4
    wait_for(
        lambda: not any(w["connections"] for w in server.ask_status()["workers"]),
        "all connections to be gone",
    )
