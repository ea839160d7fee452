"""`--controls`: a demo backend misbehaves as it was told, and is well afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import requests

from backend.misbehaving import SLOW_S
from backend.orders import path_of
from lb.admin import demo_orders
from tests.processes import free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from tests.backend.conftest import StartBackend
    from tests.backend.running import RunningBackend

pytestmark = pytest.mark.live

SOON_S = 0.6
"""A look is 0.1 s away at most; the rest is for a busy machine."""


@pytest.fixture
def told(start_backend: StartBackend) -> RunningBackend:
    running = start_backend("--restart=0.2", "--controls")
    running.wait_answering()
    return running


def tell(backend: RunningBackend, mode: str, seconds: float) -> float:
    """Order it; when that ends."""
    until = time.time() + seconds
    assert demo_orders.give(str(backend.port), mode, until)
    return until


def answer(backend: RunningBackend, path: str = "/") -> requests.Response:
    return requests.get(backend.url + path, timeout=DEADLINE_S)


def wait_status(backend: RunningBackend, status: int) -> None:
    wait_for(lambda: answer(backend).status_code == status, f"status {status}")


def test_failing_is_for_every_path_and_ends(told: RunningBackend) -> None:
    until = tell(told, "failing", 1.5)
    wait_status(told, 503)
    assert answer(told, "/healthz").status_code == 503
    wait_status(told, 200)
    assert until - SOON_S <= time.time() <= until + 2 * SOON_S


def test_slow_answers_late_but_well(told: RunningBackend) -> None:
    def is_slow() -> bool:
        begun = time.monotonic()
        assert answer(told).text == "Demo\n"
        return time.monotonic() - begun >= SLOW_S

    tell(told, "slow", 2)
    wait_for(is_slow, "a slow answer")
    wait_for(lambda: not is_slow(), "a prompt answer")


def test_hanging_takes_requests_and_answers_when_it_is_over(
    told: RunningBackend,
) -> None:
    """It can still be connected to: that is what a probe by TCP does not see."""

    def is_hanging() -> bool:
        try:
            requests.get(told.url, timeout=(DEADLINE_S, 0.4))
        except requests.ReadTimeout:
            return True
        return False

    until = tell(told, "hanging", 2.5)
    wait_for(is_hanging, "a request that hangs")
    assert answer(told).text == "Demo\n"
    assert time.time() >= until - SOON_S


def test_dead_is_gone_at_once_and_back_in_its_own_time(told: RunningBackend) -> None:
    """Its parent waits for the end of the order, not only for its own pause."""
    until = tell(told, "dead", 2)
    wait_for(lambda: not told.is_answering(), "its death")
    assert time.time() < until
    wait_for(lambda: "waits: it was told to be dead" in told.output(), "its parent")
    told.wait_answering()
    assert time.time() >= until
    assert "was killed by SIGKILL" in told.output()
    assert len(told.server_pids()) == 2


def test_nothing_of_it_is_left_behind(told: RunningBackend) -> None:
    assert path_of(str(told.port)).exists()
    told.process.terminate()
    assert told.process.wait(DEADLINE_S) == 0
    wait_for(lambda: not told.living(), "all its processes to end")
    assert not path_of(str(told.port)).exists()


def test_nobody_tells_a_backend_without_controls(start_backend: StartBackend) -> None:
    running = start_backend("--restart=0.2")
    running.wait_answering()
    assert not path_of(str(running.port)).exists()
    assert not demo_orders.give(str(running.port), "dead", time.time() + 10)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--controls",), "--controls needs --restart"),
        (("--controls", "--restart", "--host=0.0.0.0"), "--host of loopback"),
        (("--controls", "--restart", "--host=example.com"), "--host of loopback"),
    ],
)
def test_controls_need_a_parent_and_loopback(
    start_backend: StartBackend, options: tuple[str, ...], named: str
) -> None:
    bad = start_backend(*options)
    assert bad.process.wait(DEADLINE_S) == 2
    assert named in bad.output()
    assert bad.output().count("\n") == 1


def test_without_a_file_of_its_own_it_serves_without_controls(
    start_backend: StartBackend,
) -> None:
    """Another user may have been there before: a nuisance, and no reason to end."""
    port = free_port()
    path_of(str(port)).touch()
    path_of(str(port)).chmod(0o666)
    running = start_backend("--restart", "--controls", port=port)
    running.wait_answering()
    assert "has no controls: " in running.output()
    assert not demo_orders.give(str(port), "dead", time.time() + 10)
