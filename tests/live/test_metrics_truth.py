"""`/metrics` is what the test's own clients and backends counted, equal to the request.

Also after workers were killed and replaced, became more and fewer, and after reloads,
in both lanes; and no total ever falls, in any of the scrapes made all the while.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lb.shm import SharedFile
from tests.live.client import Client, get
from tests.live.counted import CLIENTS, Backend, Clients
from tests.live.test_admin import Admin
from tests.processes import free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import Talk
    from tests.live.server import Server

pytestmark = pytest.mark.live

LANES = ["fast", "gthread"]
NOBODY = "nobody"
"""A backend at whose address nobody listens."""

EXACT = 300
"""Requests between two looks, at least."""

Told = dict[str, float]


class Scraper:
    """Scrapes again and again; what it has against any scrape is in `faults`."""

    def __init__(self, admin: Admin) -> None:
        self.count = 0
        self.faults: list[str] = []
        self._admin = admin
        self._before: Told = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self._look()
            self.count += 1

    def _look(self) -> None:
        text = self._admin.ask("GET", "/metrics").text
        now: Told = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = key_of(sample)
                if sample.value < 0 or sample.value > 2**62:
                    self.faults.append(f"{key} is {sample.value}")
                if family.type in ("counter", "histogram"):
                    now[key] = sample.value
            if family.type == "histogram":
                self.faults += odd_buckets(family)
        for key, value in self._before.items():
            if now.get(key, -1.0) < value:
                self.faults.append(f"{key} fell from {value} to {now.get(key)}")
        self._before = now


def odd_buckets(family: Any) -> list[str]:
    """What is wrong in a family's histograms by themselves."""
    found, last = [], 0.0
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            if sample.value < last:
                found.append(f"{key_of(sample)} is less than the bucket below it")
            last = sample.value
        elif sample.name.endswith("_count"):
            if sample.value != last:
                found.append(f"{key_of(sample)} is not its last bucket")
            last = 0.0
    return found


def key_of(sample: Any) -> str:
    labels = [v for _, v in sorted(sample.labels.items())]
    return " ".join([sample.name.removeprefix("evenhand_"), *labels])


class Scene:
    """A balancer of two workers, its admin process, and all that is counted."""

    def __init__(
        self, server: Server, admin: Admin, backends: list[Backend], clients: Clients
    ) -> None:
        self.server = server
        self.admin = admin
        self.backends = backends
        self.clients = clients
        self._base: Told = {}
        self._base = self.told()

    def told(self) -> Told:
        """The samples, counted from the beginning of the test on."""
        text = self.admin.ask("GET", "/metrics").text
        return {
            key_of(sample): sample.value - (
                self._base.get(key_of(sample), 0.0)
                if family.type in ("counter", "histogram")
                else 0.0
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }  # fmt: skip

    def run(self, requests: int = EXACT) -> None:
        """So many requests more, then quiet."""
        self.clients.start()
        self.wait_answered(requests)
        self.clients.stop()

    def wait_answered(self, more: int) -> None:
        start = self.clients.answered
        wait_for(lambda: self.clients.answered >= start + more, "answers")

    def settled(self) -> Told:
        """What is told when all that was answered is also counted.

        The portable lane counts a request after its last byte was sent.
        """
        counted = 0.0

        def is_all() -> bool:
            nonlocal counted
            told = self.told()
            counted = total(told, "requests_total")
            busy = sum(
                told[f"backend_requests_in_flight {b.name}"] for b in self.backends
            )
            return counted >= self.clients.answered and not busy

        wait_for(is_all, f"{self.clients.answered} requests, told: {counted}")
        return self.told()

    def workers(self) -> int:
        with SharedFile.open(self.server.state) as file:
            return sum(slot.alive and not slot.is_leaving for slot in file.slots())

    def wait_workers(self, count: int) -> None:
        wait_for(lambda: self.workers() == count, f"{count} workers")

    def kill_one(self) -> None:
        """kill -9 a worker, and wait for its successor."""
        pids = self.server.worker_pids()
        os.kill(pids[0], signal.SIGKILL)
        wait_for(
            lambda: (
                len(now := self.server.worker_pids()) == len(pids)
                and pids[0] not in now
            ),
            "the killed worker's successor",
        )


def total(told: Told, name: str) -> float:
    return sum(value for key, value in told.items() if key.split(" ")[0] == name)


@pytest.fixture(params=LANES)
def scene(
    request: pytest.FixtureRequest, tmp_path: Path, start_server: StartServer
) -> Iterator[Scene]:
    dropped: set[str] = set()
    with ExitStack() as stack:
        backends = [
            stack.enter_context(Backend(name, dropped)) for name in ("one", "two")
        ]
        addresses = [b.address for b in backends]
        env = {
            "LB_BACKENDS": ",".join([*addresses, f"{NOBODY}=127.0.0.1:{free_port()}"]),
            # Nothing but the requests may reach the backends, or judge them.
            "LB_HEALTH__INTERVAL": "3600", "LB_HEALTH__FAST_INTERVAL": "3600",
            "LB_HEALTH__FALL": "10", "LB_HEALTH__EJECT__FAILURES": "0",
            "LB_RETRIES__BUDGET": "100", "LB_RETRIES__ATTEMPTS": "8",
            "LB_LOG__ACCESS": "off",
        }  # fmt: skip
        lane: str = request.param
        server = start_server(lane, "-w", "2", **env)
        wait_for(server.state.exists, "the shared file")
        wait_for(lambda: len(server.worker_pids()) == 2, "two workers")
        own = {"LB_STATE__PATH": str(server.state), "LB_BACKENDS": env["LB_BACKENDS"]}
        admin = Admin(tmp_path / "admin", **own)
        stack.callback(admin.kill)
        admin.wait_serving()
        for backend in backends:  # without the probes that connect only
            backend.counts.clear()
        clients = Clients(server.port, keeps_alive=lane == "fast")
        stack.callback(clients.stop)
        yield Scene(server, admin, backends, clients)
        assert "Traceback" not in server.errors()


def test_metrics_are_the_truth_through_kills_scaling_and_reloads(scene: Scene) -> None:
    """Equal to the request as long as nobody is killed amid one, then within those."""
    with Scraper(scene.admin) as scraper:
        scene.run()
        check(scene)
        scene.kill_one()
        scene.run()
        check(scene)
        scene.clients.start()
        scene.wait_answered(50)
        scene.server.process.send_signal(signal.SIGTTIN)
        scene.wait_workers(3)
        scene.wait_answered(100)
        scene.server.process.send_signal(signal.SIGTTOU)
        scene.wait_workers(2)
        scene.wait_answered(50)
        reload(scene.server)
        scene.wait_answered(50)
        scene.clients.stop()
        check(scene)
        scene.clients.start()
        scene.wait_answered(50)
        scene.kill_one()
        scene.wait_answered(100)
        scene.clients.stop()
        check_nearly(scene)
    print(f"{scraper.count} scrapes, {scene.clients.answered} answers,", end=" ")
    print(f"{scene.clients.lost} lost, {scene.clients.counts}")
    assert scraper.faults == []
    assert scraper.count > 20


def reload(server: Server) -> None:
    def generation() -> int:
        with SharedFile.open(server.state) as file:
            return min(slot.settings_seen for slot in file.slots() if slot.alive)

    before = generation()
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: generation() > before, "the reload")


def check(scene: Scene) -> None:
    """Hold everything against what was counted outside."""
    told, clients, lost = scene.settled(), scene.clients.counts, scene.clients.lost

    def hold(key: str, truth: float, least: float | None = None) -> None:
        """Requests that were lost may have been counted or not; none: equal."""
        found = told.get(key, 0.0)
        low = truth if least is None else least
        assert low <= found <= truth + (lost if least is None else 0), (
            f"{key}: told {found}, counted {truth}, lost {lost}"
        )

    for code in ("2xx", "3xx", "4xx", "5xx"):
        hold(f"requests_total {code}", clients[code])
    check_failures(scene, told)
    for backend in scene.backends:
        check_backend(scene, told, backend)
    refused = told[f"backend_attempts_total {NOBODY}"]
    assert refused == told[f"backend_connect_failures_total {NOBODY}"] > 0
    assert refused == told[f"backend_failures_total {NOBODY} connection_refused"]
    check_attempts(scene, told)
    uploaded = total(told, "backend_received_bytes_total")
    if not lost:
        assert uploaded == clients["uploaded"]
    assert total(told, "worker_requests_in_flight") == 0
    assert total(told, "worker_requests_total") == total(told, "requests_total")
    assert told["workers"] == scene.workers() == 2
    assert total(told, "worker_generations_behind") == 0
    assert total(told, "worker_settings_behind") == 0
    assert total(told, "set_queued_requests") == 0


def check_nearly(scene: Scene) -> None:
    """The same after a kill amid requests: each client's last one may not be counted.

    A request is counted behind the last byte of its answer, so that its time is whole.
    """

    def is_quiet() -> bool:
        return not total(scene.told(), "backend_requests_in_flight")

    wait_for(is_quiet, "nothing to be in flight")
    told, clients, lost = scene.told(), scene.clients.counts, scene.clients.lost
    for code in ("2xx", "3xx", "4xx", "5xx"):
        found = told[f"requests_total {code}"]
        assert clients[code] - CLIENTS <= found <= clients[code] + lost, code
    counted = total(told, "requests_total")
    assert clients["requests"] - CLIENTS <= counted <= clients["requests"] + lost
    assert total(told, "worker_requests_total") == counted
    for backend in scene.backends:
        check_nearly_of(told, backend, lost)
    assert told["workers"] == scene.workers() == 2
    assert total(told, "worker_generations_behind") == 0
    assert total(told, "worker_settings_behind") == 0
    assert total(told, "set_queued_requests") == 0


def check_nearly_of(told: Told, backend: Backend, lost: int) -> None:
    """An attempt is counted before anything is sent, so none of these is missing."""
    name, counts = backend.name, backend.counts
    attempts = told[f"backend_attempts_total {name}"]
    assert counts["requests"] <= attempts <= counts["requests"] + lost
    ended = sum(
        value
        for key, value in told.items()
        if key.startswith(f"backend_requests_total {name} ")
    )
    duration = "backend_request_duration_seconds"
    assert abs(told[f"{duration}_count {name}"] - ended) <= CLIENTS
    assert told[f"{duration}_bucket {name} +Inf"] == told[f"{duration}_count {name}"]


def check_failures(scene: Scene, told: Told) -> None:
    """Requests that ended badly, by reason."""
    clients, lost = scene.clients.counts, scene.clients.lost
    for key, count in clients.items():
        if key.startswith("own "):
            reason = key.removeprefix("own ")
            found = told[f"request_failures_total {reason}"]
            assert count <= found <= count + lost, reason
    others = total(told, "request_failures_total")
    mine = sum(n for key, n in clients.items() if key.startswith("own "))
    assert mine <= others <= mine + lost


def check_backend(scene: Scene, told: Told, backend: Backend) -> None:
    """One backend, from both its sides."""
    name, counts, lost = backend.name, backend.counts, scene.clients.lost
    clients = scene.clients.counts
    for code in ("2xx", "3xx", "4xx"):
        found = told[f"backend_requests_total {name} {code}"]
        answered = sum(n for k, n in counts.items() if k[0] == code[0] and k.isdigit())
        assert clients[f"{name} {code}"] <= found <= answered, (name, code)
        if not lost:
            assert found == answered == clients[f"{name} {code}"]
    attempts = told[f"backend_attempts_total {name}"]
    assert counts["requests"] <= attempts <= counts["requests"] + lost
    failures = {
        key.split(" ")[2]: value
        for key, value in told.items()
        if key.startswith(f"backend_failures_total {name} ")
    }
    assert sum(failures.values()) <= counts["dropped"]
    assert sum(failures.values()) >= counts["dropped"] - lost
    ended = sum(
        value
        for key, value in told.items()
        if key.startswith(f"backend_requests_total {name} ")
    )
    duration = "backend_request_duration_seconds"
    assert told[f"{duration}_count {name}"] == ended
    assert told[f"{duration}_bucket {name} +Inf"] == ended
    assert told[f"backend_requests_in_flight {name}"] == 0
    heads = sum(n for key, n in counts.items() if key.isdigit())
    found_heads = told[f"backend_response_head_seconds_count {name}"]
    assert heads - lost <= found_heads <= heads
    if not lost:
        assert told[f"backend_sent_bytes_total {name}"] == counts["sent"]
        assert counts["sent"] == clients[f"{name} downloaded"]
        assert told[f"backend_received_bytes_total {name}"] == counts["received"]


def check_attempts(scene: Scene, told: Told) -> None:
    """Each request has a first attempt, and all others are retries."""
    attempts = total(told, "backend_attempts_total")
    retries = total(told, "backend_retries_total")
    ended = total(told, "requests_total")
    assert ended <= attempts - retries <= ended + scene.clients.lost
    assert total(told, "unrouted_requests_total") == 0


@pytest.mark.parametrize("lane", LANES)
def test_who_waits_and_who_is_served_is_told(
    tmp_path: Path, start_server: StartServer, scripted: Scripted, lane: str
) -> None:
    """By set, by worker and by backend, while a full backend answers nobody."""
    one, other = scripted("one"), scripted("other")
    go = threading.Event()

    def hold(talk: Talk) -> None:
        go.wait(DEADLINE_S)
        talk.reply(b"at last")

    one.scripts[b"/"] = hold
    toml = tmp_path / "lb.toml"
    toml.write_text(
        f"""
        backends = [{{ name = "one", address = "127.0.0.1:{one.port}", max_in_flight = 1 }}]
        sets.idle.backends = ["{other.address}"]
        log.access = "off"
        health.interval = 3600
        """
    )
    server = start_server(lane, LB_CONFIG=str(toml))
    wait_for(server.state.exists, "the shared file")
    own = {"LB_STATE__PATH": str(server.state), "LB_CONFIG": str(toml)}
    admin = Admin(tmp_path / "admin", **own)
    with ExitStack() as stack:
        stack.callback(admin.kill)
        stack.callback(go.set)
        admin.wait_serving()
        clients = [stack.enter_context(Client(server.port)) for _ in range(5)]
        for client in clients:
            client.send(get())
        wanted = {
            "evenhand_set_queued_requests default": 4,
            "evenhand_set_queued_requests idle": 0,
            "evenhand_worker_queued_requests 0": 4,
            "evenhand_backend_requests_in_flight one": 1,
            "evenhand_worker_requests_in_flight 0": 1,
        }
        wait_for(lambda: wanted.items() <= admin.metrics().items(), f"{wanted}")
        go.set()
        assert [client.answer().body for client in clients] == [b"at last"] * 5
        nobody = dict.fromkeys(wanted, 0)
        wait_for(lambda: nobody.items() <= admin.metrics().items(), "nobody to wait")
