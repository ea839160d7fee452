"""Processes are killed, stopped and reloaded, and the others go on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lb.model import Wish
from lb.shm import SharedFile, leader_pid
from tests.live.client import Answer, Client, fetch, get
from tests.live.load import Load
from tests.live.server import Server
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.conftest import Scripted, StartBackend, StartServer
    from tests.live.scripted import ScriptedBackend, Talk

    Connect = Callable[[int], Client]

pytestmark = pytest.mark.live

FAST_HEALTH = {
    "LB_HEALTH__INTERVAL": "0.3",
    "LB_HEALTH__FAST_INTERVAL": "0.15",
    "LB_LOG__ACCESS": "off",
}


def leader(server: Server) -> int | None:
    """The pid of the process that checks health now."""
    with SharedFile.open(server.state) as file:
        return leader_pid(file)


def test_a_killed_worker_is_replaced_and_its_slot_reclaimed(
    start_server: StartServer, start_backend: StartBackend
) -> None:
    one, two = start_backend("one"), start_backend("two")
    server = start_server(
        "fast",
        "-w",
        "4",
        LB_BACKENDS=f"one=127.0.0.1:{one.port},two=127.0.0.1:{two.port}",
        **FAST_HEALTH,
    )
    one.wait_answering()
    two.wait_answering()
    server.wait_answering(workers=4)
    before = set(server.worker_pids())
    with Load(server.port, target="/slow?ms=5") as load:
        load.wait_served(100)
        victim = next(pid for pid in before if pid != leader(server))
        os.kill(victim, signal.SIGKILL)
        load.wait_served(200)
        wait_for(lambda: len(set(server.worker_pids()) - {victim}) == 4, "a new worker")
    # Only what the killed worker had in hand, or had accepted, can fail: at most
    # one request of each client.
    assert len(load.failures) <= 8
    assert all("Error" in f or "Disconnected" in f for f in load.failures)
    wait_for(lambda: server.in_flight() == 0, "nothing in flight")
    report = server.ask_status()
    assert len(report["workers"]) == 4
    assert victim not in {worker["pid"] for worker in report["workers"]}
    assert [b["in_flight"] for b in report["backends"]] == [0, 0]
    assert server.stop() == 0
    assert server.living() == []


def test_workers_that_all_died_leave_verdicts_and_wishes_in_force(
    start_server: StartServer, scripted: Scripted
) -> None:
    """The arbiter lives on, so this is still the same balancer."""
    one, two, three = scripted("one"), scripted("two"), scripted("three")
    server = start_server(
        "fast",
        LB_BACKENDS=f"{one.address},{two.address},{three.address}",
        **FAST_HEALTH,
    )
    server.wait_answering()
    one.close()
    server.wait_verdict("one", "DOWN")
    with SharedFile.open(server.state) as file:
        file.set_wish(1, Wish.DRAIN)
    down_since = since(server, "one")
    (worker,) = server.worker_pids()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: server.worker_pids() not in ([], [worker]), "a new worker")
    assert {fetch(server.port, get()).body for _ in range(6)} == {b"three"}
    assert since(server, "one") == down_since
    assert server.stop() == 0


def since(server: Server, name: str) -> float:
    """The unix time of a backend's verdict."""
    with SharedFile.open(server.state) as file:
        return next(s.since for s in file.backends() if s.backend.name == name)


def start_health(server: Server, folder: Path) -> Server:
    """The `health` process beside a server, with its settings."""
    folder.mkdir()
    state = {"LB_STATE__PATH": str(server.state)}
    settings = {k: v for k, v in server.env.items() if k.startswith("LB_")}
    return Server(folder, ["lb", "health"], port=0, env=settings | state)


def test_a_killed_checker_is_followed_by_a_worker_and_leads_again_when_back(
    start_server: StartServer, scripted: Scripted, tmp_path: Path
) -> None:
    one, two = scripted("one"), scripted("two")
    server = start_server(
        "fast",
        "-w",
        "2",
        LB_BACKENDS=f"{one.address},{two.address}",
        **FAST_HEALTH,
    )
    server.wait_answering(workers=2)
    checkers = [start_health(server, tmp_path / "first")]
    try:
        first = checkers[0].process.pid
        wait_for(lambda: leader(server) == first, "the health process to lead")
        one.close()
        server.wait_verdict("one", "DOWN")
        checkers[0].kill()
        # In force meanwhile: nothing forgets what was known.
        assert server.verdicts() == {"one": "DOWN", "two": "UP"}
        took_s = wait_for(
            lambda: leader(server) in server.worker_pids(), "a worker to lead"
        )
        assert took_s < 2.0
        assert server.verdicts() == {"one": "DOWN", "two": "UP"}
        two.close()
        server.wait_verdict("two", "DOWN")
        one.open()
        server.wait_verdict("one", "UP")
        checkers.append(start_health(server, tmp_path / "second"))
        second = checkers[1].process.pid
        wait_for(lambda: leader(server) == second, "the health process to lead")
        assert server.verdicts() == {"one": "UP", "two": "DOWN"}
        two.open()
        server.wait_verdict("two", "UP")
        assert checkers[1].stop() == 0
        wait_for(lambda: leader(server) in server.worker_pids(), "a worker to lead")
    finally:
        for checker in checkers:
            checker.kill()
    assert "Traceback" not in server.errors()
    assert server.stop() == 0


@pytest.fixture
def backend(scripted: Scripted) -> ScriptedBackend:
    return scripted("one")


@pytest.fixture
def clients() -> Iterator[Connect]:
    """Makes connections to a port, which are closed after the test."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(Client(port))


class Asking:
    """A request under way in a thread of its own."""

    def __init__(self, port: int, target: bytes) -> None:
        self._answers: list[Answer] = []
        self._thread = threading.Thread(
            target=lambda: self._answers.append(fetch(port, get(target))), daemon=True
        )
        self._thread.start()

    def answer(self) -> Answer:
        self._thread.join(10.0)
        (answer,) = self._answers
        return answer


@pytest.mark.parametrize("lane", ["fast", "gevent", "gthread", "sync"])
def test_sigterm_finishes_a_request_under_way(
    start_server: StartServer, backend: ScriptedBackend, clients: Connect, lane: str
) -> None:
    """And idle connections, which nobody waits for, do not hold up the stop."""
    may_answer = threading.Event()

    def slow(talk: Talk) -> None:
        may_answer.wait(10.0)
        talk.reply(b"finished")

    backend.scripts[b"/slow"] = slow
    server = start_server(lane, LB_BACKENDS=backend.address)
    server.wait_answering()
    idle = [
        clients(server.port) for _ in range(5 if lane in ("fast", "gthread") else 0)
    ]
    for client in idle:
        assert client.ask(get()).status == 200
    asking = Asking(server.port, b"/slow")
    wait_for(lambda: backend.seen(b"/slow"), "the request at the backend")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "Handling signal: term" in server.errors(), "word of it")
    if lane == "fast":  # other workers keep the socket while they are busy
        wait_for(lambda: is_refusing(server.port), "the port to be closed")
    may_answer.set()
    assert asking.answer().body == b"finished"
    begun = time.monotonic()
    assert server.process.wait(8.0) == 0
    # gunicorn's own workers let idle connections have their 2 s of keepalive.
    assert time.monotonic() - begun < (2.0 if lane == "fast" else 5.0)
    assert server.living() == []
    assert "Traceback" not in server.errors()


def is_refusing(port: int) -> bool:
    try:
        Client(port).sock.close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_idle_connections_do_not_delay_a_stop(
    start_server: StartServer, backend: ScriptedBackend, clients: Connect
) -> None:
    server = start_server("fast", "-w", "2", LB_BACKENDS=backend.address)
    server.wait_answering(workers=2)
    idle = [clients(server.port) for _ in range(20)]
    for client in idle[:10]:  # the others never said a word
        assert client.ask(get()).status == 200
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 2.0
    assert all(client.is_closed() for client in idle)


def test_a_request_that_does_not_end_is_cut_at_the_graceful_timeout(
    start_server: StartServer, backend: ScriptedBackend
) -> None:
    backend.scripts[b"/never"] = lambda talk: talk.await_close()
    server = start_server(
        "fast", "--graceful-timeout", "1", LB_BACKENDS=backend.address
    )
    server.wait_answering()
    with Client(server.port) as client:
        client.send(get(b"/never"))
        wait_for(lambda: backend.seen(b"/never"), "the request at the backend")
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 4.0
    assert server.living() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_leaves_nothing(
    start_server: StartServer, backend: ScriptedBackend, number: int
) -> None:
    server = start_server("fast", "-w", "2", LB_BACKENDS=backend.address)
    server.wait_answering(workers=2)
    assert server.stop(number) == 0
    assert server.living() == []


def test_the_next_start_finds_the_old_file_usable(
    start_server: StartServer, backend: ScriptedBackend
) -> None:
    """Killed with everything, a server leaves a file that hinders nobody."""
    for _ in range(2):
        server = start_server("fast", LB_BACKENDS=backend.address)
        server.wait_answering()
        assert fetch(server.port, get()).status == 200
        server.kill()
    files = [path.name for path in server.state.parent.iterdir()]
    assert sorted(files) == ["err.log", "out.log", "state", "state.settings"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_descriptors_do_not_leak(start_server: StartServer, scripted: Scripted) -> None:
    """Over many requests, connections and failures a worker's count stays."""
    one, two = scripted("one"), scripted("two")
    for backend in (one, two):
        backend.scripts[b"/close"] = lambda talk: talk.close()
    server = start_server(
        "fast", LB_BACKENDS=f"{one.address},{two.address}", LB_LOG__ACCESS="off"
    )
    server.wait_answering()
    (pid,) = server.worker_pids()

    def work() -> int:
        for _ in range(50):
            assert fetch(server.port, get()).status == 200
            assert fetch(server.port, get(b"/close")).status == 502
            assert fetch(server.port, b"GET nonsense\r\n\r\n").status == 400
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())

    first = work()
    assert work() <= first + 2


def settings_file(folder: Path, *backends: ScriptedBackend) -> Path:
    path = folder / "lb.toml"
    listed = ", ".join(f'"{b.address}"' for b in backends)
    path.write_text(f"backends = [{listed}]\n")
    return path


@pytest.fixture
def reloadable(
    start_server: StartServer, scripted: Scripted, tmp_path: Path
) -> Iterator[tuple[Server, Path, ScriptedBackend, ScriptedBackend]]:
    one, two = scripted("one"), scripted("two")
    path = settings_file(tmp_path, one)
    server = start_server("fast", "-w", "2", LB_CONFIG=str(path), **FAST_HEALTH)
    server.wait_answering(workers=2)
    assert fetch(server.port, get()).body == b"one"
    yield server, path, one, two
    assert server.stop() == 0
    assert server.living() == []


def test_sighup_takes_a_changed_list_of_backends_into_use(
    reloadable: tuple[Server, Path, ScriptedBackend, ScriptedBackend],
) -> None:
    """Under load, without a failed request; what stays keeps its verdict."""
    server, path, one, two = reloadable
    server.wait_verdict("one", "UP")
    known_since = since(server, "one")
    with Load(server.port, clients=4) as load:
        load.wait_served(20)
        settings_file(path.parent, two, one)
        server.process.send_signal(signal.SIGHUP)
        load.wait_served(20, by="two")
        assert since(server, "one") == known_since
        server.wait_verdict("two", "UP")
        load.wait_served(20)
    assert load.failures == []
    bodies = {fetch(server.port, get()).body for _ in range(8)}
    assert bodies == {b"one", b"two"}


def has_said(server: Server, text: str, times: int) -> bool:
    return server.errors().count(text) >= times


def test_sighup_with_a_broken_file_changes_nothing(
    reloadable: tuple[Server, Path, ScriptedBackend, ScriptedBackend],
) -> None:
    server, path, _one, two = reloadable
    mistakes = (
        "backends = [",
        'bakends = ["x:1"]',
        'backends = ["nowhere"]',
        '[balance]\npolicy = "best"',
        '[state]\npaht = "x"',
    )
    for text in mistakes:
        path.write_text(text)
        said = server.errors().count("reload refused")
        server.process.send_signal(signal.SIGHUP)
        wait_for(partial(has_said, server, "reload refused", said + 1), "a refusal")
        assert fetch(server.port, get()).body == b"one"
    assert server.process.poll() is None
    assert "Traceback" not in server.errors()
    wait_for(lambda: len(server.worker_pids()) == 2, "two workers")
    settings_file(path.parent, two)
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: fetch(server.port, get()).body == b"two", "the new backend")
    wait_for(lambda: len(server.worker_pids()) == 2, "two workers")
