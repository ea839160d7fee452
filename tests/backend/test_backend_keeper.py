"""`--restart`: the small parent that brings a killed demo backend back."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from tests.backend.conftest import StartBackend
    from tests.backend.running import RunningBackend

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]


@pytest.fixture
def kept(start_backend: StartBackend) -> RunningBackend:
    running = start_backend("--restart=0.2")
    running.wait_answering()
    return running


def test_it_says_what_to_kill(kept: RunningBackend) -> None:
    pid = kept.server_pids()[0]
    assert f"(kill -9 {pid} to see failover)" in kept.output()
    assert pid != kept.process.pid


def test_a_killed_backend_is_gone_at_once_and_comes_back(kept: RunningBackend) -> None:
    """Its orphaned worker must not go on answering, nor keep the port."""
    before = kept.living()
    os.kill(kept.server_pids()[0], signal.SIGKILL)
    wait_for(lambda: not kept.is_answering(), "the backend to be down")
    kept.wait_answering()
    assert len(kept.server_pids()) == 2
    assert "was killed by SIGKILL, starts again in 0.2 s" in kept.output()
    wait_for(lambda: len(kept.living()) == 3, "keeper, arbiter and worker")
    assert set(kept.living()) & set(before) == {kept.process.pid}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_stop_leaves_no_process_behind(
    kept: RunningBackend, number: signal.Signals, whole_group: bool
) -> None:
    """honcho signals the group; a terminal's Ctrl-C too; `kill` the keeper alone."""
    begin = time.monotonic()
    if whole_group:
        os.killpg(kept.process.pid, number)
    else:
        kept.process.send_signal(number)
    assert kept.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - begin < 4  # honcho kills after 5
    wait_for(lambda: not kept.living(), "all its processes to end")
    assert "starts again" not in kept.output()


def test_a_server_that_must_be_killed_leaves_nothing_behind(
    kept: RunningBackend,
) -> None:
    """Its worker ends a moment after it, and the keeper not before that."""
    os.kill(kept.server_pids()[0], signal.SIGSTOP)
    kept.process.terminate()
    assert kept.process.wait(DEADLINE_S) == 0
    assert kept.living() == []


def test_a_stop_while_it_waits_to_start_again_is_prompt(
    start_backend: StartBackend,
) -> None:
    running = start_backend("--restart=3600")
    running.wait_answering()
    os.kill(running.server_pids()[0], signal.SIGKILL)
    wait_for(lambda: "starts again in 3600 s" in running.output(), "its death")
    running.process.terminate()
    assert running.process.wait(DEADLINE_S) == 0
    wait_for(lambda: not running.living(), "all its processes to end")


def test_the_backend_ends_when_its_keeper_is_killed(kept: RunningBackend) -> None:
    kept.process.kill()
    wait_for(lambda: not kept.living(), "all its processes to end")
