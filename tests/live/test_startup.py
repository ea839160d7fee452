"""What is loaded at the start, and when: once, before the fork, and no more than used.

A start's time depends on the machine and on who shares it; what it has to do does
not, so that is what is tested here. docs/performance.md has the times.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.conftest import Scripted, StartServer
    from tests.live.server import Server

pytestmark = pytest.mark.live

LOADED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.M)

UNUSED = {"asyncio", "click", "flask", "requests", "rich", "urllib3", "werkzeug"}
"""What belongs to the command line, to WSGI or to HTTP probes, each 20-150 ms."""

AFTER_FORK = 8
"""Modules that a worker may load for itself: some inner ones of gevent's patch."""


def loaded(server: Server) -> tuple[list[str], list[str]]:
    """The modules that were loaded before the first fork, and those after it."""
    before, _, after = server.errors().partition("Booting worker")
    return LOADED.findall(before), LOADED.findall(after)


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_workers_load_nothing_of_their_own_that_their_arbiter_could(
    start_server: StartServer, scripted: Scripted, kind: str
) -> None:
    """Four at once on two cores would each take twice as long for it."""
    server = start_server(
        "fast",
        "-w",
        "2",
        LB_BACKENDS=scripted("b").address,
        LB_HEALTH__KIND=kind,
        PYTHONPROFILEIMPORTTIME="1",
    )
    server.wait_answering(workers=2)
    server.wait_verdict("b", "UP")
    before, after = loaded(server)
    assert {"lb.process", "pydantic", "gevent.hub"} <= set(before)
    assert not UNUSED & set(before)
    if kind == "http":
        assert after.count("requests") == 1, "by the one that checks health"
    else:
        assert not [name for name in after if name.startswith("lb.")]
        assert len(set(after)) <= AFTER_FORK, after
