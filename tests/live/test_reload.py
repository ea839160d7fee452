"""Settings are put in force while requests and tunnels go on."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile
from tests.live.client import Client, fetch, get
from tests.live.load import Load
from tests.live.server import Server, run_cli
from tests.live.test_processes import FAST_HEALTH, Asking, since, start_health
from tests.processes import free_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import ScriptedBackend, Talk

pytestmark = pytest.mark.live

UPGRADE = get(b"/tunnel", b"Connection: Upgrade", b"Upgrade: echo")


def echo(talk: Talk) -> None:
    """Switch protocols, then send back what comes."""
    talk.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        b"Upgrade: echo\r\n\r\n"
    )
    while True:
        talk.send(talk.read())


class Bundle:
    """A server with a settings file, and two scripted backends."""

    def __init__(
        self, server: Server, file: Path, one: ScriptedBackend, two: ScriptedBackend
    ) -> None:
        self.server = server
        self.file = file
        self.one = one
        self.two = two

    def write(self, *backends: ScriptedBackend, more: str = "") -> None:
        """Edit the settings file."""
        listed = ", ".join(f'"{b.address}"' for b in backends)
        self.file.write_text(f"backends = [{listed}]\n{more}\n")

    def hang_up(self) -> None:
        """Send SIGHUP, and wait until all workers go by what it brought."""
        with SharedFile.open(self.server.state) as file:
            before = file.settings_generation()
            self.server.process.send_signal(signal.SIGHUP)

            def is_seen() -> bool:
                seen = [s.settings_seen for s in file.slots() if s.alive]
                return bool(seen) and min(seen) > before

            wait_for(is_seen, "the settings to be in force")


def started(
    start_server: StartServer, scripted: Scripted, folder: Path, *options: str
) -> Bundle:
    lane = options[0]
    one, two = scripted("one"), scripted("two")
    for backend in (one, two):
        backend.scripts[b"/tunnel"] = echo
    file = folder / "lb.toml"
    file.write_text(f'backends = ["{one.address}"]\n')
    server = start_server(lane, *options[1:], LB_CONFIG=str(file), **FAST_HEALTH)
    server.wait_answering()
    return Bundle(server, file, one, two)


@pytest.fixture
def bundle(
    start_server: StartServer, scripted: Scripted, tmp_path: Path
) -> Iterator[Bundle]:
    bundle = started(start_server, scripted, tmp_path, "fast", "-w", "2")
    bundle.server.wait_answering(workers=2)
    yield bundle
    if bundle.server.process.poll() is None:
        assert bundle.server.stop() == 0
    assert bundle.server.living() == []
    assert "Traceback" not in bundle.server.errors()


def test_a_reload_ends_no_worker_connection_or_tunnel(bundle: Bundle) -> None:
    """Under load; what stays keeps its verdict, counts and pooled connections."""
    server = bundle.server
    server.wait_verdict("one", "UP")
    pids, known_since = server.worker_pids(), since(server, "one")
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.port)) for _ in range(8)]
        tunnel = stack.enter_context(Client(server.port))
        tunnel.send(UPGRADE)
        assert b"101" in tunnel.sock.recv(1000)
        load = stack.enter_context(Load(server.port, clients=4, keeps_alive=True))
        load.wait_served(50)
        for client in clients:
            assert client.ask(get()).body == b"one"
        opened = bundle.one.connections
        for more in ("", "[timeouts]\nidle = 40", "[pool]\nidle_timeout = 20"):
            bundle.write(bundle.two, bundle.one, more=more)
            bundle.hang_up()
            load.wait_served(20, by="two")
            load.wait_served(20, by="one")
        for client in clients:
            assert client.ask(get()).status == 200
        tunnel.send(b"still there?")
        assert tunnel.sock.recv(100) == b"still there?"
        load.stop()
        assert load.failures == []
        assert load.partings == 0
    assert server.worker_pids() == pids
    assert since(server, "one") == known_since
    # Probes connect, too: requests alone made none that was not made before.
    probes = 20
    assert bundle.one.connections <= opened + probes


def test_what_is_changed_is_in_force_on_connections_that_live(bundle: Bundle) -> None:
    server, one = bundle.server, bundle.one
    one.scripts[b"/never"] = lambda talk: talk.await_close()
    with Client(server.port) as client:
        assert client.ask(get()).value(b"via") == b"1.1 evenhand"
        bundle.write(
            one,
            more="[timeouts]\nresponse = 0.2\n[headers]\nvia = 'other'\n"
            "[limits]\nhead_bytes = '1KiB'\nbody_bytes = 10\n"
            "[balance]\npolicy = 'random'",
        )
        bundle.hang_up()
        assert client.ask(get()).value(b"via") == b"1.1 other"
        assert client.ask(get(b"/never")).status == 504
    long_field = get(b"/", b"X: " + b"x" * 2000)
    assert fetch(server.port, long_field).status == 431
    long = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890"
    assert fetch(server.port, long).status == 413


def test_sets_and_routes_come_change_and_go(bundle: Bundle) -> None:
    """Under load, on connections that live; who waits in a set that goes is served."""
    server, one, two = bundle.server, bundle.one, bundle.two
    may_end = threading.Event()

    def slow(talk: Talk) -> None:
        may_end.wait(10.0)
        talk.reply(b"slow")

    one.scripts[b"/api/slow"] = slow
    full = (
        f'[sets.api]\nbackends = [{{ address = "127.0.0.1:{one.port}",'
        ' name = "api1", max_in_flight = 1 }]\n[[routes]]\npath = "/api"\nset = "api"'
    )
    other = full.replace("sets.api", "sets.new").replace('"api"', '"new"')
    with Client(server.port) as client, Load(server.port, clients=4) as load:
        assert client.ask(get(b"/api/x")).body == b"one"
        bundle.write(two, more=full)
        bundle.hang_up()
        assert client.ask(get(b"/api/x")).body == b"one"
        assert client.ask(get(b"/else")).body == b"two"
        asking = [Asking(server.port, b"/api/slow") for _ in range(3)]
        wait_for(lambda: one.seen(b"/api/slow"), "one at the backend, and two in line")
        bundle.write(two, more=other.replace("= 1", "= 0"))
        bundle.hang_up()
        may_end.set()
        assert [each.answer().body for each in asking] == [b"slow"] * 3
        assert client.ask(get(b"/api/x")).body == b"one"
        bundle.write(two)
        bundle.hang_up()
        assert client.ask(get(b"/api/x")).body == b"two"
        load.wait_served(20)
    assert load.failures == []


def test_what_operators_changed_outlasts_a_reload(bundle: Bundle) -> None:
    server = bundle.server
    bundle.write(bundle.one, bundle.two)
    bundle.hang_up()
    assert server.run_cli("drain", "one").returncode == 0
    bundle.write(bundle.two, bundle.one, more="[retries]\nattempts = 2")
    told = server.run_cli("reload")
    assert told.returncode == 0
    assert "= one: drained at run time" in told.stdout.splitlines()
    assert {fetch(server.port, get()).body for _ in range(6)} == {b"two"}


def test_bad_settings_are_refused_and_change_nothing(bundle: Bundle) -> None:
    """By the command before anybody is asked; SIGHUP is in test_processes."""
    bundle.file.write_text("backends = [")
    ended = bundle.server.run_cli("reload")
    assert ended.returncode == 2
    assert "not TOML" in ended.stderr
    assert bundle.server.run_cli("plan").returncode == 2
    assert "Handling signal: hup" not in bundle.server.errors()
    assert fetch(bundle.server.port, get()).body == b"one"


def test_plan_tells_what_reload_then_does(bundle: Bundle) -> None:
    server = bundle.server
    ended = server.run_cli("plan")
    assert (ended.returncode, ended.stdout) == (0, "Nothing would change.\n")
    bundle.write(bundle.two, more="bind = ':1'\n[retries]\nattempts = 2")
    told = server.run_cli("plan")
    assert told.returncode == 1
    assert f"+ {bundle.two.address}" in told.stdout.splitlines()
    assert "~ retries.attempts: 3 -> 2" in told.stdout.splitlines()
    report = json.loads(server.run_cli("plan", "--json").stdout)
    assert [b["name"] for b in report["removed"]] == ["one"]
    assert report["state_path"] == str(server.state)
    assert fetch(server.port, get()).body == b"one"  # nothing has happened yet
    ended = server.run_cli("reload")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(told.stdout)
    assert "In force in 2 workers" in ended.stdout
    assert fetch(server.port, get()).body == b"two"
    left = server.run_cli("plan")
    assert left.returncode == 1  # bind waits for a restart
    assert left.stdout.startswith("! bind: ")
    assert len(left.stdout.splitlines()) == 1


def test_reload_tells_which_worker_does_not_follow(bundle: Bundle) -> None:
    server = bundle.server
    stopped = server.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        bundle.write(bundle.two)
        ended = server.run_cli("reload", "--wait", "1.5")
        assert ended.returncode == 1
        assert f"not in force in process {stopped}" in ended.stderr
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert server.run_cli("reload").returncode == 0


def test_without_a_balancer_both_say_so(tmp_path: Path) -> None:
    env = {"LB_STATE__PATH": str(tmp_path / "none")}
    for command in ("plan", "reload"):
        ended = run_cli(command, env=env)
        assert ended.returncode == 2
        assert str(tmp_path / "none") in ended.stderr


def test_health_settings_reach_the_checker(bundle: Bundle, tmp_path: Path) -> None:
    """A worker that leads, and the `health` process."""
    server, one = bundle.server, bundle.one
    one.scripts[b"/sick"] = lambda talk: talk.reply(status=b"500 No")
    server.wait_verdict("one", "UP")
    sick = "[health]\nkind = 'http'\npath = '/sick'\nfall = 1"
    bundle.write(one, more=sick)
    bundle.hang_up()
    server.wait_verdict("one", "DOWN")
    checker = start_health(server, tmp_path / "health")
    try:
        wait_for(lambda: "checks the health" in checker.errors(), "it to lead")
        bundle.write(one)
        bundle.hang_up()
        server.wait_verdict("one", "UP")
        assert checker.stop() == 0
        assert "Traceback" not in checker.errors()
    finally:
        checker.kill()


def test_a_moved_access_log_is_opened_anew(
    start_server: StartServer, scripted: Scripted, tmp_path: Path
) -> None:
    one = scripted("one")
    log, config = tmp_path / "access.log", tmp_path / "lb.toml"
    config.write_text(f'backends = ["{one.address}"]\n[log]\naccess = "{log}"\n')
    server = start_server("fast", LB_CONFIG=str(config))
    server.wait_answering()
    bundle = Bundle(server, config, one, one)
    assert fetch(server.port, get(b"/before")).status == 200
    wait_for(lambda: "/before" in log.read_text(), "the first line")
    log.rename(tmp_path / "old.log")
    bundle.hang_up()
    wait_for(log.exists, "a new file")
    assert fetch(server.port, get(b"/after")).status == 200
    wait_for(lambda: "/after" in log.read_text(), "the next line")
    assert "/after" not in (tmp_path / "old.log").read_text()
    bundle.write(one, more=f"[log]\naccess = '{tmp_path / 'other.log'}'")
    bundle.hang_up()
    assert fetch(server.port, get(b"/other")).status == 200
    wait_for(lambda: "/other" in (tmp_path / "other.log").read_text(), "its line")
    assert server.stop() == 0


def test_the_number_of_workers_follows_the_settings(
    scripted: Scripted, tmp_path: Path
) -> None:
    """Where gunicorn's own options do not say it."""
    one = scripted("one")
    config, port = tmp_path / "lb.toml", free_port()
    config.write_text(f'backends = ["{one.address}"]\nworkers = 1\n')
    command = ["gunicorn", "lb.wsgi:app", "-b", f"127.0.0.1:{port}"]
    env = {"LB_CONFIG": str(config), **FAST_HEALTH}
    server = Server(tmp_path, command, port=port, env=env)
    bundle = Bundle(server, config, one, one)
    try:
        server.wait_answering()
        (first,) = server.worker_pids()
        bundle.write(one, more="workers = 3")
        bundle.hang_up()
        wait_for(lambda: len(server.worker_pids()) == 3, "three workers")
        assert first in server.worker_pids()
        bundle.write(one, more="workers = 2")
        bundle.hang_up()
        wait_for(lambda: len(server.worker_pids()) == 2, "two workers")
        assert server.stop() == 0
        assert "Traceback" not in server.errors()
    finally:
        server.kill()


@pytest.mark.parametrize("lane", ["gthread", "sync"])
def test_the_portable_lane_reloads_in_place_too(
    start_server: StartServer, scripted: Scripted, tmp_path: Path, lane: str
) -> None:
    bundle = started(start_server, scripted, tmp_path, lane)
    server = bundle.server
    pids = server.worker_pids()
    assert fetch(server.port, get()).body == b"one"
    bundle.write(bundle.two, more="[headers]\nvia = 'other'")
    bundle.hang_up()
    answer = fetch(server.port, get())
    assert answer.body == b"two"
    assert answer.value(b"via") == b"1.1 other"
    assert server.worker_pids() == pids
    assert server.stop() == 0
    assert "Traceback" not in server.errors()


def test_a_worker_that_starts_later_goes_by_the_settings_in_force(
    bundle: Bundle,
) -> None:
    """And not by an edit that nobody has put in force."""
    server = bundle.server
    bundle.write(bundle.two)
    bundle.hang_up()
    bundle.write(bundle.one)
    old = server.worker_pids()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not set(old) & set(server.worker_pids()), "the old ones to end")
    wait_for(lambda: len(server.worker_pids()) == 2, "new workers")
    assert {fetch(server.port, get()).body for _ in range(4)} == {b"two"}


def test_workers_cut_off_from_the_file_are_replaced(bundle: Bundle) -> None:
    """Somebody removed it: a reload makes all well again."""
    server, old = bundle.server, bundle.server.worker_pids()
    server.state.unlink()
    bundle.write(bundle.two)
    server.process.send_signal(signal.SIGHUP)
    wait_for(server.state.exists, "a new file")
    wait_for(lambda: len(set(server.worker_pids()) - set(old)) == 2, "new workers")
    assert fetch(server.port, get()).body == b"two"
    bundle.write(bundle.one)
    bundle.hang_up()
    assert fetch(server.port, get()).body == b"one"


def test_settings_do_not_outlast_the_balancer(bundle: Bundle) -> None:
    """They may hold secrets."""
    settings = bundle.server.state.with_name("state.settings")
    assert settings.stat().st_mode & 0o777 == 0o600
    assert bundle.server.stop() == 0
    assert not settings.exists()
