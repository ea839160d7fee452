"""A balancer of two workers is operated under load: nobody's request fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile
from lb.shm.layout import Column
from tests.live.client import Client, fetch, get, request
from tests.live.load import Load
from tests.processes import ROOT
from tests.rfc.tables.tunnels import WISH, echo, read_until
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import Scripted, StartBackend, StartServer
    from tests.live.scripted import ScriptedBackend, Talk
    from tests.live.server import Server

pytestmark = pytest.mark.live

QUIET = {"LB_LOG__ACCESS": "off", "LB_HEALTH__INTERVAL": "0.3"}

SEEN_BY_ALL = r"1 in flight, \d+ s left"


class Held:
    """A script that answers when it is let go."""

    def __init__(self, *first: bytes) -> None:
        self._first = first
        self._go = threading.Event()
        self.begun = threading.Event()

    def __call__(self, talk: Talk) -> None:
        talk.send(*self._first)
        self.begun.set()
        self._go.wait(DEADLINE_S * 2)
        talk.reply(talk.backend.name.encode())

    def let_go(self) -> None:
        self._go.set()


HEEDS_CTRL_C = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("lb", run_name="__main__", alter_sys=True)
"""
"""`python -m lb` as a terminal starts it: who runs the tests in the background of a
shell has SIGINT ignored, and so would all that they start."""


class Command:
    """`python -m lb ARGUMENTS` while it runs; its output as it comes."""

    def __init__(self, server: Server, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HEEDS_CTRL_C, *arguments],
            cwd=ROOT,
            env=server.env | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            self.lines += (line.rstrip("\n") for line in iter(stdout.readline, ""))

    def wait_line(self, pattern: str) -> None:
        wait_for(
            lambda: any(re.match(pattern, line) for line in self.lines),
            f"a line like {pattern!r}",
        )

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Its exit status."""
        status = self._process.wait(2 * DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return status

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)


@contextmanager
def running(server: Server, *arguments: str) -> Iterator[Command]:
    command = Command(server, *arguments)
    try:
        yield command
    finally:
        command.kill()


@pytest.fixture
def pair(
    start_server: StartServer, scripted: Scripted
) -> tuple[Server, ScriptedBackend, ScriptedBackend]:
    """Two workers before two scripted backends that are UP."""
    one, two = scripted("one"), scripted("two")
    backends = f"{one.address},{two.address}"
    server = start_server("fast", "-w", "2", LB_BACKENDS=backends, **QUIET)
    server.wait_answering(workers=2)
    for name in ("one", "two"):
        server.wait_verdict(name, "UP")
    return server, one, two


def begin(server: Server, data: bytes, held: Held) -> Client:
    """A client whose request has reached the backend that runs `held`."""
    client = Client(server.port)
    client.send(data)
    if not held.begun.wait(DEADLINE_S):
        client.sock.close()
        raise AssertionError("the request did not reach a backend")
    return client


def only(server: Server, name: str, other: str) -> None:
    """Let only the backend `name` get requests."""
    assert server.run_cli("drain", other, "--wait", "9").returncode == 0
    assert server.run_cli("ready", name).returncode == 0


def test_a_drain_under_load_fails_nothing_and_ends_with_0(
    start_server: StartServer, start_backend: StartBackend
) -> None:
    one, two = start_backend("one"), start_backend("two")
    backends = f"one=127.0.0.1:{one.port},two=127.0.0.1:{two.port}"
    server = start_server("fast", "-w", "2", LB_BACKENDS=backends, **QUIET)
    one.wait_answering()
    two.wait_answering()
    server.wait_answering(workers=2)
    with Load(server.port, target="/slow?ms=20") as load:
        load.wait_served(50, by="one")
        done = server.run_cli("drain", "one", "--wait", "15")
        at_the_end = load.served["one"]
        load.wait_served(200)
        assert load.served["one"] == at_the_end, "nothing after it was drained"
        assert server.run_cli("ready", "one").returncode == 0
        load.wait_served(50, by="one")
    assert load.failures == []
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("Drained in ")


def test_what_is_in_flight_is_shown_while_it_is_waited_for(pair) -> None:  # type: ignore[no-untyped-def]
    server, one, two = pair
    held = Held()
    one.scripts[b"/held"] = two.scripts[b"/held"] = held
    closed = threading.Event()

    def then_watch(talk: Talk) -> None:
        talk.reply(b"kept")
        talk.await_close()
        closed.set()

    only(server, "one", "two")
    one.scripts[b"/kept"] = then_watch
    with begin(server, get(b"/held"), held) as client:
        assert fetch(server.port, get(b"/kept")).body == b"kept"
        server.run_cli("ready", "two")
        with running(server, "drain", "one", "--wait", "30") as drain:
            drain.wait_line(SEEN_BY_ALL)
            assert closed.wait(DEADLINE_S), "idle connections are closed at once"
            assert fetch(server.port, get()).body == b"two"
            held.let_go()
            assert client.answer().body == b"one"
            assert drain.end() == 0
    assert drain.lines[0].endswith("drain; was ready, weight 1")
    assert drain.lines[-2].startswith("0 in flight")


def test_a_tunnel_is_left_until_the_deadline_and_then_cut(pair) -> None:  # type: ignore[no-untyped-def]
    server, one, two = pair
    one.scripts[b"/ws"] = two.scripts[b"/ws"] = echo
    with Client(server.port) as client:
        client.send(get(b"/ws", *WISH))
        read_until(client, b"\r\n\r\n")
        name = "one" if one.seen(b"/ws") else "two"
        with running(server, "drain", name, "--wait", "4") as drain:
            drain.wait_line(SEEN_BY_ALL)
            client.send(b"still here")
            assert read_until(client, b"still here") == b"still here"
            with SharedFile.open(server.state) as file:
                (cut_at,) = file.cuts().values()
            assert client.is_closed()
            # Within milliseconds; its client at the next look at the deadlines.
            assert -0.01 < time.time() - cut_at < 3
            assert drain.end() == 1
    assert "1 in flight were cut at the deadline" in drain.lines[-1]
    assert "1 in flight are cut, its time to drain is over" in server.errors()
    wait_for(lambda: server.in_flight() == 0, "nothing in flight")


def test_a_tunnel_whose_client_takes_nothing_is_cut_too(pair) -> None:  # type: ignore[no-untyped-def]
    server, one, two = pair
    filled = threading.Event()

    def flood(talk: Talk) -> None:
        from tests.rfc.tables.tunnels import SWITCHED

        talk.send(SWITCHED)
        talk.sock.settimeout(0.5)
        try:
            while True:
                talk.sock.sendall(bytes(1 << 16))
        except TimeoutError:
            filled.set()
            talk.sock.settimeout(DEADLINE_S)
            talk.await_close()

    one.scripts[b"/ws"] = two.scripts[b"/ws"] = flood
    with Client(server.port) as client:
        client.send(get(b"/ws", *WISH))
        assert filled.wait(DEADLINE_S)
        drained = server.run_cli("drain", "--all", "--wait", "1", "--json")
    assert drained.returncode == 1
    outcome = json.loads(drained.stdout)["outcome"]
    assert (outcome["cut"], outcome["left"]) == (1, 0)


@pytest.mark.parametrize("lane", ["fast", "gthread"])
@pytest.mark.parametrize(("method", "status"), [(b"GET", 200), (b"POST", 502)])
def test_a_request_that_is_cut_goes_elsewhere_if_it_may(
    start_server: StartServer,
    scripted: Scripted,
    lane: str,
    method: bytes,
    status: int,
) -> None:
    one, two = scripted("one"), scripted("two")
    held = one.scripts[b"/held"] = Held()
    server = start_server(lane, LB_BACKENDS=f"{one.address},{two.address}", **QUIET)
    server.wait_answering()
    only(server, "one", "two")
    with begin(server, request(method, b"/held", body=b"x"), held) as client:
        server.run_cli("ready", "two")
        drained = server.run_cli("maint", "one", "--wait", "0.5")
        answer = client.answer(method)
        held.let_go()
    assert answer.status == status
    assert answer.body == b"two" or status == 502
    assert drained.returncode == 1, drained.stdout
    assert "1 in flight were cut at the deadline" in drained.stdout


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ],
    ids=["of known length", "until close"],
)
def test_a_body_that_is_cut_does_not_look_whole(pair, head: bytes) -> None:  # type: ignore[no-untyped-def]
    server, one, two = pair
    held = Held(head, b"the beginning")
    one.scripts[b"/held"] = two.scripts[b"/held"] = held
    with begin(server, get(b"/held"), held) as client:
        drained = server.run_cli("drain", "--all", "--wait", "0.5")
        answer = client.answer()
        held.let_go()
    assert (answer.status, answer.body) == (200, b"the beginning")
    assert not answer.is_whole
    assert drained.returncode == 1
    assert "no backend of the set default is up and ready" in drained.stderr


def test_ctrl_c_while_waiting_leaves_the_drain_in_force(pair) -> None:  # type: ignore[no-untyped-def]
    server, one, two = pair
    held = Held()
    one.scripts[b"/held"] = two.scripts[b"/held"] = held
    with begin(server, get(b"/held"), held) as client:
        with running(server, "drain", "--all", "--wait", "60") as drain:
            drain.wait_line("1 in flight")
            drain.interrupt()
            assert drain.end() == 130
        assert "still drains" in drain.lines[-1]
        assert "lb ready one, two" in drain.lines[-1]
        report = server.ask_status()
        assert [b["wish"] for b in report["backends"]] == ["drain", "drain"]
        assert all(b["cut_at"] for b in report["backends"])
        server.run_cli("ready", "--all")
        held.let_go()
        assert client.answer().status == 200
    assert not any(b["cut_at"] for b in server.ask_status()["backends"])


def counted_by_worker(server: Server, name: str) -> list[int]:
    """How many requests each living worker gave to a backend."""
    with SharedFile.open(server.state) as file:
        (row,) = (r for r in file.rows() if r.backend.name == name)
        counts = []
        for slot in (s.index for s in file.slots() if s.alive):
            owner = file.geometry.column(slot, Column.OWNER) + row.row
            has_it = file.cells[owner] == row.id
            counts.append(
                file.cells[file.geometry.block(slot, row.row)] if has_it else 0
            )
        return counts


def test_backends_come_and_go_under_load(
    start_server: StartServer, start_backend: StartBackend
) -> None:
    """Added: it has traffic in each worker. Removed: it has none, and stays away."""
    one, two, three = (start_backend(name) for name in ("one", "two", "three"))
    backends = f"one=127.0.0.1:{one.port},two=127.0.0.1:{two.port}"
    server = start_server("fast", "-w", "2", LB_BACKENDS=backends, **QUIET)
    for backend in (one, two, three):
        backend.wait_answering()
    server.wait_answering(workers=2)
    with Load(server.port, target="/slow?ms=5") as load:
        load.wait_served(50)
        added = server.run_cli("add", f"three=127.0.0.1:{three.port}", "--wait", "15")
        assert added.returncode == 0, added.stderr
        load.wait_served(100, by="three")
        assert min(counted_by_worker(server, "three")) > 0
        with SharedFile.open(server.state) as file:
            before = file.worker_totals().requests
            removed = server.run_cli("remove", "one", "--wait", "15")
            assert removed.returncode == 0, removed.stdout
            at_the_end = load.served["one"]
            load.wait_served(200)
            assert load.served["one"] == at_the_end
            server.process.send_signal(signal.SIGHUP)  # a reload undoes none of it
            load.wait_served(500)
            assert load.served["one"] == at_the_end
            assert file.worker_totals().requests > before
        names = [b["name"] for b in server.ask_status()["backends"]]
        assert sorted(names) == ["three", "two"]
        assert server.run_cli("add", "one").returncode == 0
        load.wait_served(50, by="one")
        last = json.loads(server.run_cli("remove", "three", "--json").stdout)
        assert last["change"] == "removed"
    assert load.failures == []


def test_a_weight_changes_the_shares_at_the_next_request(pair) -> None:  # type: ignore[no-untyped-def]
    server, _, _ = pair
    with Client(server.port) as client:
        client.ask(get())
        assert server.run_cli("weight", "one", "9").returncode == 0
        shares = Counter(client.ask(get()).body for _ in range(20))
        assert shares == {b"one": 18, b"two": 2}
        seen = server.run_cli("weight", "--all", "1", "--wait", "9")
        assert seen.returncode == 0, seen.stdout
        shares = Counter(client.ask(get()).body for _ in range(20))
    assert shares == {b"one": 10, b"two": 10}


def test_a_health_process_joins_whatever_was_changed_at_run_time(pair) -> None:  # type: ignore[no-untyped-def]
    server, _, _ = pair
    server.run_cli("weight", "one", "9")
    server.run_cli("remove", "two")
    with running(server, "health") as health:
        health.wait_line("")
        wait_for(
            lambda: any("checks the health of 1 backends" in x for x in health.lines),
            f"it to lead: {health.lines}",
        )


def test_names_that_are_not_there_end_with_2(pair) -> None:  # type: ignore[no-untyped-def]
    server, _, _ = pair
    for command in ("drain", "maint", "ready", "remove"):
        ended = server.run_cli(command, "oen")
        assert ended.returncode == 2
        assert "no backend is called 'oen'; did you mean one" in ended.stderr


def test_requests_of_a_killed_worker_can_be_read(pair) -> None:  # type: ignore[no-untyped-def]
    server, _, _ = pair
    asked = get(b"/before", b"X-Request-Id: the-last-one")
    assert fetch(server.port, asked).status == 200

    def is_recorded() -> bool:
        with SharedFile.open(server.state) as file:
            return any(r.request_id == "the-last-one" for r in file.recent())

    # The client may have its answer a moment before that.
    wait_for(is_recorded, "the record")
    for pid in server.worker_pids():
        os.kill(pid, signal.SIGKILL)
    explained = server.run_cli("explain", "the-last-one")
    assert explained.returncode == 0, explained.stderr
    assert "GET /before" in explained.stdout
    listed = server.run_cli("recent", "--json").stdout
    assert "the-last-one" in {record["request_id"] for record in json.loads(listed)}
