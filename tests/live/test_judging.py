"""Backends judged by live traffic and by their own wish, with the times it takes.

Run with `-s` to see the times. The limits here leave room for a busy machine.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile
from tests.live.client import fetch, get
from tests.live.load import Load
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from lb.shm import BackendState
    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import ScriptedBackend, Talk
    from tests.live.server import Server

pytestmark = pytest.mark.live

FEW_CHECKS = {"LB_HEALTH__INTERVAL": "60", "LB_LOG__ACCESS": "off"}
FAST_CHECKS = {
    "LB_HEALTH__INTERVAL": "0.3",
    "LB_HEALTH__FAST_INTERVAL": "0.15",
    "LB_HEALTH__TIMEOUT": "0.5",
    "LB_LOG__ACCESS": "off",
}
BY_PAGE = FAST_CHECKS | {
    "LB_HEALTH__KIND": "http",
    "LB_HEALTH__PATH": "/healthz",
    "LB_HEALTH__HEADER": "LB-Weight",
}


def names(backends: list[ScriptedBackend]) -> str:
    return ",".join(backend.address for backend in backends)


def start(
    start_server: StartServer, backends: list[ScriptedBackend], **env: str
) -> Server:
    server = start_server("fast", "-w", "2", LB_BACKENDS=names(backends), **env)
    server.wait_answering(workers=2)
    for backend in backends:
        server.wait_verdict(backend.name, "UP")
    return server


def state_of(file: SharedFile, name: str) -> BackendState:
    (state,) = (s for s in file.backends() if s.backend.name == name)
    return state


def until(condition: object, what: str) -> float:
    """As `wait_for`, but looks each 0.5 ms; when it came true."""
    assert callable(condition)
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.0005)
    return time.monotonic()


def half(talk: Talk) -> None:
    """Promise ten bytes, give five, and close."""
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.")
    talk.close()


def test_half_bodies_eject_under_load(
    start_server: StartServer, scripted: Scripted
) -> None:
    """Few clients see any: the checks go on passing, as connects do."""
    backends = [scripted(name) for name in ("one", "two", "three")]
    server = start(start_server, backends, **FEW_CHECKS)
    with SharedFile.open(server.state) as file, Load(server.port) as load:
        load.wait_served(200)
        before = load.total
        backends[0].scripts[b"/"] = half
        began = time.monotonic()
        out = until(lambda: state_of(file, "one").standing.is_ejected, "the ejection")
        load.wait_served(500)
        state = state_of(file, "one")
    failed, asked = len(load.failures), load.total - before
    print(f"\nejected {out - began:.3f} s after the first half body; failed: {failed}")
    assert 5 <= failed < 50, f"of {asked}"
    assert state.memory.why.endswith("bodies end too early")
    assert 25 < state.memory.ejected_until - state.memory.ejected_at < 31
    assert server.errors().count("is EJECTED for 30 s, the 1st time lately") == 1


def test_a_connect_that_fails_ejects_until_a_probe_passes(
    start_server: StartServer, scripted: Scripted
) -> None:
    """It returns before it was ever DOWN: a passing probe shows that it is well."""
    backends = [scripted("one"), scripted("two")]
    server = start(start_server, backends, **FAST_CHECKS | {"LB_HEALTH__FALL": "100"})
    with SharedFile.open(server.state) as file, Load(server.port) as load:
        load.wait_served(100)
        backends[0].close()
        wait_for(lambda: state_of(file, "one").standing.is_ejected, "the ejection")
        backends[0].open()
        wait_for(lambda: state_of(file, "one").standing.is_good, "the return")
        load.wait_served(20, by="one")
    assert load.failures == []
    assert "is readmitted after" in server.errors()


def test_when_all_fail_their_checks_all_get_requests_and_say_so(
    start_server: StartServer, scripted: Scripted
) -> None:
    """A health page that is broken everywhere is no reason to refuse everybody."""
    backends = [scripted("one"), scripted("two")]
    server = start(start_server, backends, **BY_PAGE)
    assert fetch(server.port, get()).values(b"lb-panic") == []
    for backend in backends:
        backend.scripts[b"/healthz"] = lambda talk: talk.reply(status=b"500 No")
    for backend in backends:
        server.wait_verdict(backend.name, "DOWN")
    answers = [fetch(server.port, get()) for _ in range(8)]
    assert [answer.status for answer in answers] == [200] * 8
    assert [answer.value(b"lb-panic") for answer in answers] == [b"1"] * 8
    assert {answer.body for answer in answers} == {b"one", b"two"}
    wait_for(lambda: "set default is in PANIC: 0 of 2" in server.errors(), "the log")
    del backends[0].scripts[b"/healthz"]
    server.wait_verdict("one", "UP")
    answer = fetch(server.port, get())
    assert (answer.body, answer.values(b"lb-panic")) == (b"one", [])
    wait_for(lambda: "not in panic any more" in server.errors(), "the log")
    # Where nobody listens there is nothing to doubt: 503, and at once.
    for backend in backends:
        backend.close()
    for backend in backends:
        server.wait_verdict(backend.name, "DOWN")
    wait_for(lambda: fetch(server.port, get()).status == 503, "a plain answer")


def test_a_backend_may_ask_for_less_or_for_nothing(
    start_server: StartServer, scripted: Scripted
) -> None:
    """By a field of its health page: `LB-Weight: 25%`, `LB-Weight: drain`."""
    backends = [scripted("one"), scripted("two")]
    server = start(start_server, backends, **BY_PAGE)

    def say(wish: bytes) -> None:
        field = b"LB-Weight: " + wish
        backends[0].scripts[b"/healthz"] = lambda talk: talk.reply(b"ok", field)

    def share() -> int:
        with SharedFile.open(server.state) as file:
            return state_of(file, "one").standing.share

    def served() -> Counter[bytes]:
        return Counter(fetch(server.port, get()).body for _ in range(50))

    say(b"25%")
    wait_for(lambda: share() == 25, "the share")
    # Each of the two workers goes round by itself: 1 in 5, give or take a turn each.
    assert abs(served()[b"one"] - 10) <= 2
    say(b"drain")
    wait_for(lambda: share() == 0, "the drain")
    assert served() == {b"two": 50}
    assert server.verdicts()["one"] == "UP"
    say(b"100%")
    wait_for(lambda: share() == 100, "the return")
    assert abs(served()[b"one"] - 25) <= 2


def test_status_of_one_backend_says_why_and_what_next(
    start_server: StartServer, scripted: Scripted
) -> None:
    """Its last probes with their phases, what traffic saw, and when it is back."""
    backends = [scripted("one"), scripted("two")]
    server = start(start_server, backends, **BY_PAGE)
    backends[0].scripts[b"/"] = half
    with SharedFile.open(server.state) as file, Load(server.port):
        wait_for(lambda: state_of(file, "one").standing.is_ejected, "the ejection")
    backends[1].scripts[b"/healthz"] = lambda talk: talk.reply(status=b"503 No")
    server.wait_verdict("two", "DOWN")
    ended = server.run_cli("status", "one", "two", "--json")
    one, two = json.loads(ended.stdout)["backends"]
    assert one["ejected"]["why"].endswith("bodies end too early")
    assert one["ejected"]["times"] == 1
    assert [one["available"], two["available"]] == [False, False]
    assert [one["is_served"], two["is_served"]] == [True, True]  # it is panic
    assert ended.returncode == 0
    assert 0 < len(one["health"]["probes"]) <= 10
    probe = one["health"]["probes"][0]
    assert 0 < probe["connect_s"] + probe["head_s"] <= probe["duration_s"]
    traffic = one["health"]["traffic"]
    assert traffic["failures"]["connection_terminated"] >= 5
    assert traffic["recent_failed"] >= 5
    assert "1 passing check" in two["health"]["outlook"][0] or (
        "2 passing checks in a row" in two["health"]["outlook"][0]
    )
    text = server.run_cli("status", "one").stdout
    for told in (
        "EJECTED",
        "set default is in PANIC: 0 of 2",
        "traffic ejected it for the 1st time lately",
        "a passing check does not end that",
        "status 200",
        "connection_terminated",
    ):
        assert told in text
    assert server.run_cli("status", "nobody").returncode == 2
