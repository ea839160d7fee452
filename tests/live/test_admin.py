"""The admin process beside a real balancer: true figures, prompt news, a guarded door."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from lb.admin.serving import THREADS
from lb.admin.streaming import ALIVE_S, MOST_STREAMS
from tests.live.client import fetch, get
from tests.live.server import Server
from tests.processes import ROOT, free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer

pytestmark = pytest.mark.live

COMMAND = ("gunicorn", "-c", "admin.conf.py", "lb.admin.serving:app()")
HOUR_S = "3600"


class Admin(Server):
    """A running admin process, asked by `requests`."""

    def __init__(self, folder: Path, *options: str, **env: str) -> None:
        folder.mkdir()
        port = free_port()
        env = {"LB_ADMIN__BIND": f"127.0.0.1:{port}"} | env
        super().__init__(folder, (*COMMAND, *options), port=port, env=env)
        self.url = f"http://127.0.0.1:{port}"

    def wait_serving(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.errors()
            with suppress(requests.ConnectionError):
                return self.ask("GET", "/healthz").ok
            return False

        wait_for(answers, "the admin process")

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=DEADLINE_S, **more)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.ok, answer.text
        return answer.json()

    def metrics(self) -> dict[str, float]:
        """The samples by name and labels, as they are written."""
        text = self.ask("GET", "/metrics").text
        return {
            sample.name + "".join(f" {v}" for _, v in sorted(sample.labels.items())):
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }  # fmt: skip


class StartAdmin:
    """Starts admin processes beside servers; they end with the test."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._count = 0

    def __call__(
        self, server: Server | None = None, *options: str, **env: str
    ) -> Admin:
        state = {"LB_STATE__PATH": str(self._folder / "state")}
        if server is not None:
            own = ("LB_BACKENDS", "LB_BIND", "LB_STATE__PATH")
            state |= {name: server.env[name] for name in own if name in server.env}
        self._count += 1
        admin = Admin(self._folder / f"admin{self._count}", *options, **state | env)
        self._stack.callback(admin.kill)
        return admin


@pytest.fixture
def start_admin(tmp_path: Path) -> Iterator[StartAdmin]:
    with ExitStack() as stack:
        yield StartAdmin(tmp_path, stack)


def test_a_verdict_is_heard_within_3_seconds(
    start_server: StartServer, start_admin: StartAdmin, scripted: Scripted
) -> None:
    """A killed backend is told by both streams while nobody reloads anything."""
    one, two = scripted("one"), scripted("two")
    server = start_server(
        "fast",
        LB_BACKENDS=f"{one.address},{two.address}",
        LB_HEALTH__INTERVAL="1", LB_HEALTH__FAST_INTERVAL="0.3",
    )  # fmt: skip
    server.wait_answering()
    server.wait_verdict("two", "UP")
    admin = start_admin(server)
    admin.wait_serving()
    heard: dict[str, float] = {}
    ready = threading.Barrier(3)

    def listen(path: str, until: Any) -> None:
        answer = admin.ask("GET", path, stream=True)
        is_first = True
        for line in answer.iter_lines():
            if not line.startswith(b"data: "):
                continue
            if is_first:
                ready.wait(DEADLINE_S)
                is_first = False
            if until(json.loads(line[6:])):
                heard[path] = time.monotonic()
                break
        answer.close()

    def is_down(told: dict[str, Any]) -> bool:
        return told.get("backend") == "two" and told["after"] == "down"

    def shows_down(told: dict[str, Any]) -> bool:
        return any(
            b["name"] == "two" and b["verdict"] == "down" for b in told["backends"]
        )

    threads = [
        threading.Thread(target=listen, args=args, daemon=True)
        for args in (("/api/v1/events/stream", is_down), ("/api/v1/stream", shows_down))
    ]
    for thread in threads:
        thread.start()
    ready.wait(DEADLINE_S)
    two.close()
    died = time.monotonic()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(heard) == 2
    assert max(heard.values()) - died < 3.0


def test_a_drain_by_the_api_is_in_force_at_the_next_request(
    start_server: StartServer, start_admin: StartAdmin, scripted: Scripted
) -> None:
    one, two = scripted("one"), scripted("two")
    server = start_server(
        "fast", "-w", "2",
        LB_BACKENDS=f"{one.address},{two.address}",
    )  # fmt: skip
    server.wait_answering(2)
    admin = start_admin(server)
    admin.wait_serving()
    pools = {p["backend"]: p["idle"] for p in admin.get("/api/v1/pools")["pools"]}
    assert set(pools) == {"one", "two"}
    answer = admin.ask("POST", "/api/v1/backends/one/drain?wait=10").json()
    assert answer["outcome"]["in_time"] is True
    bodies = {fetch(server.port, get()).body for _ in range(8)}
    assert bodies == {b"two"}
    assert "one (127.0.0.1:" in admin.errors()
    assert "wanted by api, from 127.0.0.1" in admin.errors()
    recent = admin.get("/api/v1/requests?limit=1")["requests"][0]
    explained = admin.get(f"/api/v1/requests/{recent['request_id']}")
    assert explained["requests"][0]["backend"] == recent["backend"]


def test_idle_connections_are_told(
    start_server: StartServer, start_admin: StartAdmin, scripted: Scripted
) -> None:
    one = scripted("one")
    server = start_server("fast", LB_BACKENDS=one.address)
    server.wait_answering()
    admin = start_admin(server)
    admin.wait_serving()
    fetch(server.port, get())

    def idle() -> int:
        (pool,) = admin.get("/api/v1/pools")["pools"]
        count: int = pool["idle"]
        return count

    wait_for(lambda: idle() == 1, "a heartbeat that tells of the idle connection")


def test_it_starts_before_the_balancer_and_outlives_it(
    start_server: StartServer, start_admin: StartAdmin, scripted: Scripted
) -> None:
    one = scripted("one")
    admin = start_admin(LB_BACKENDS=one.address)
    admin.wait_serving()
    assert admin.ask("GET", "/readyz").status_code == 503
    server = start_server("fast", LB_BACKENDS=one.address)
    server.wait_answering()
    wait_for(lambda: admin.ask("GET", "/readyz").ok, "the balancer to be seen")
    server.stop()
    told = admin.ask("GET", "/readyz").json()
    assert told["workers"] == 0


def test_it_says_at_the_start_who_may_change_something(start_admin: StartAdmin) -> None:
    admin = start_admin()
    admin.wait_serving()
    assert "there is no admin.token" in admin.errors()
    guarded = start_admin(LB_ADMIN__TOKEN="hush")
    guarded.wait_serving()
    assert "changes need the token" in guarded.errors()
    assert "hush" not in guarded.errors() + guarded.output()


@pytest.mark.parametrize(
    ("options", "env"),
    [
        ((), {"LB_ADMIN__BIND": "0.0.0.0:19900"}),
        (("-b", "0.0.0.0:19900"), {}),
        (("-b", ":19900"), {}),
        ((), {"LB_ADMIN__HOSTS": "a b"}),
    ],
)
def test_without_a_token_it_does_not_listen_beyond_loopback(
    start_admin: StartAdmin, options: tuple[str, ...], env: dict[str, str]
) -> None:
    """Not even when gunicorn's own option asks for it; bad settings end the start."""
    admin = start_admin(None, *options, **env)
    assert admin.process.wait(DEADLINE_S) == 1
    (line,) = [x for x in admin.errors().splitlines() if x.startswith("evenhand: ")]
    assert "token" in line or "admin.hosts" in line


def test_a_socket_that_is_handed_down_is_looked_at_too(tmp_path: Path) -> None:
    """Its descriptor does not say who can reach it."""
    with socket.create_server(("0.0.0.0", 0)) as sock:
        ended = subprocess.run(
            [sys.executable, "-m", *COMMAND, "-b", f"fd://{sock.fileno()}"],
            env=os.environ | {"LB_STATE__PATH": str(tmp_path / "state")},
            cwd=ROOT,
            pass_fds=[sock.fileno()],
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE_S,
            check=False,
        )
    assert ended.returncode == 1
    assert "beyond loopback: set admin.token" in ended.stderr
    assert "Booting worker" not in ended.stderr


def test_a_token_is_not_taken_away_while_it_listens(
    tmp_path: Path, start_admin: StartAdmin
) -> None:
    """A reload by SIGHUP keeps the sockets, wherever they can be reached from."""
    toml = tmp_path / "lb.toml"
    toml.write_text("admin.token = 'secret'\n")
    admin = start_admin(LB_CONFIG=str(toml))
    admin.wait_serving()
    toml.write_text("")
    os.kill(admin.process.pid, signal.SIGHUP)
    wait_for(lambda: admin.errors().count("Booting worker") == 2, "a new worker")
    wait_for(lambda: admin.errors().count("Worker exiting") == 1, "the old one's end")
    assert "keeps its settings: admin.token is not taken away" in admin.errors()
    assert admin.ask("POST", "/api/v1/reload").status_code == 401


def test_a_taken_port_ends_the_start(start_admin: StartAdmin) -> None:
    first = start_admin()
    first.wait_serving()
    second = start_admin(None, LB_ADMIN__BIND=f"127.0.0.1:{first.port}")
    assert second.process.wait(DEADLINE_S) == 1
    assert "cannot listen on" in second.errors()


def test_it_stops_at_once_while_somebody_listens(start_admin: StartAdmin) -> None:
    admin = start_admin()
    admin.wait_serving()
    answer = admin.ask("GET", "/api/v1/events/stream", stream=True)
    assert answer.ok
    begun = time.monotonic()
    assert admin.stop() == 0
    assert time.monotonic() - begun < 4.0
    answer.close()
    assert admin.living() == []


def test_streams_that_nobody_listens_to_make_room_at_once(
    start_admin: StartAdmin,
) -> None:
    """Also quiet ones, which say nothing for `ALIVE_S`."""
    admin = start_admin()
    admin.wait_serving()

    def listen() -> requests.Response:
        return admin.ask("GET", "/api/v1/events/stream", stream=True)

    def has_room() -> bool:
        with listen() as answer:
            return answer.ok

    listeners = [listen() for _ in range(MOST_STREAMS)]
    assert listen().status_code == 503
    for answer in listeners:
        answer.close()
    wait_for(has_room, "room", timeout_s=ALIVE_S / 2)


def test_a_reload_is_planned_and_asked_for(
    tmp_path: Path,
    start_server: StartServer,
    start_admin: StartAdmin,
    scripted: Scripted,
) -> None:
    """By the arbiter's settings, whatever those of the admin process are."""
    one, two = scripted("one"), scripted("two")
    toml = tmp_path / "lb.toml"
    toml.write_text(f'backends = ["{one.address}"]\n')
    server = start_server("fast", LB_CONFIG=str(toml))
    server.wait_answering()
    admin = start_admin(LB_CONFIG=str(toml))
    admin.wait_serving()
    assert admin.get("/api/v1/plan")["is_empty"] is True
    toml.write_text(f'backends = ["{one.address}", "{two.address}"]\nhealth.rise = 7\n')
    plan = admin.get("/api/v1/plan")
    assert plan.pop("state_path") == str(server.state)
    assert [backend["name"] for backend in plan["added"]] == ["two"]
    assert [change["key"] for change in plan["keys"]] == ["health.rise"]
    told = admin.ask("POST", "/api/v1/reload").json()
    assert (told["in_force"], told["plan"]) == (True, plan)
    assert {b["name"] for b in admin.get("/api/v1/backends")["backends"]} == {
        "one",
        "two",
    }
    rows = {
        row["key"]: row["value"] for row in admin.get("/api/v1/settings")["settings"]
    }
    assert rows["health.rise"] == "7"
    kinds = {event["kind"] for event in admin.get("/api/v1/events")["events"]}
    assert {"settings", "added"} <= kinds
    toml.write_text("nonsense = 1\n")
    refused = admin.ask("POST", "/api/v1/reload")
    assert refused.status_code == 422
    assert "nonsense" in refused.json()["detail"]


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"G",
        b"PUT /api/v1/backends/one/weight HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["nothing", "part of a head", "a refused request without its body"],
)
def test_clients_that_stand_still_lock_nobody_out(
    start_admin: StartAdmin, begun: bytes
) -> None:
    """More of them than there are threads, and none of them knows the token."""
    admin = start_admin(LB_ADMIN__TOKEN="secret")
    admin.wait_serving()
    with ExitStack() as stack:
        for _ in range(THREADS + 4):
            sock = stack.enter_context(
                socket.create_connection(("127.0.0.1", admin.port))
            )
            sock.sendall(begun)
        assert admin.ask("GET", "/healthz").ok
    assert admin.ask("POST", "/api/v1/reload").status_code == 401
    assert "Traceback" not in admin.errors()
