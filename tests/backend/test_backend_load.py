"""Gentle load: as much as was said, as long as was said, whatever is answered."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from backend.load import NAME, Load
from lb.admin import demo_orders
from tests.live.scripted import ScriptedBackend
from tests.processes import ROOT, free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.scripted import Talk


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend("one") as made:
        yield made


def test_it_asks_at_its_rate_for_its_time(backend: ScriptedBackend) -> None:
    load, begun = Load(backend.port, rate=50), time.monotonic()
    load.run(1.0, stop=threading.Event())
    took_s = time.monotonic() - begun
    assert load.failed == 0
    assert 25 <= load.answered <= 51, "about 50 in a second"
    assert took_s < 2.0


def test_what_hangs_does_not_hold_up_the_rest(backend: ScriptedBackend) -> None:
    """Its clients are many, and each gives up after some seconds."""

    def hang(talk: Talk) -> None:
        ended.wait(DEADLINE_S)

    ended = threading.Event()
    backend.scripts[b"/bytes/20000"] = hang
    load = Load(backend.port, rate=50)
    load.run(1.0, stop=threading.Event())
    ended.set()
    assert load.answered >= 20


def test_nobody_there_is_a_failure_and_no_storm() -> None:
    load = Load(free_port(), rate=100)
    load.run(0.5, stop=threading.Event())
    assert load.answered == 0
    assert 0 < load.failed <= 51


def test_it_ends_when_it_is_stopped(backend: ScriptedBackend) -> None:
    stop, load = threading.Event(), Load(backend.port)
    thread = threading.Thread(target=load.run, args=(60.0,), kwargs={"stop": stop})
    thread.start()
    wait_for(lambda: load.answered, "the first answer")
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_it_ends_when_something_else_is_wanted(backend: ScriptedBackend) -> None:
    load, begun = Load(backend.port), time.monotonic()
    load.run(60.0, stop=threading.Event(), is_over=lambda: load.answered > 5)
    assert time.monotonic() - begun < DEADLINE_S


@pytest.mark.live
def test_with_controls_it_waits_to_be_told(backend: ScriptedBackend) -> None:
    """One process of a user has the orders; a second one waits for its turn."""
    command = [sys.executable, "-m", "backend.load", "--controls"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert (
            process.stdout.readline() == b"load: none until the dashboard asks for it\n"
        )
        wait_for(lambda: demo_orders.ordered(NAME) is not None, "somebody to tell")
        until = time.time() + 2.0
        assert demo_orders.give(NAME, NAME, until, port=backend.port)
        wait_for(lambda: backend.seen(b"/"), "a request")
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)
