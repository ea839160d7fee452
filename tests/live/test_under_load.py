"""Under full load health is still checked on time, and `status` answers.

The bounds are twice what a probe or an answer may take here, for machines that are
shared; docs/performance.md has what was measured.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from lb.shm import SharedFile
from tests.live.load import Load
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.conftest import Scripted, StartServer
    from tests.live.server import Server

pytestmark = pytest.mark.live

INTERVAL_S: Final = 0.4
LATEST_S: Final = 2 * INTERVAL_S
"""Between two probes: the interval, a tenth of it as jitter, and what it is late."""

PROBES: Final = 6
STATUS_S: Final = 3.0


def probe_times(server: Server) -> list[float]:
    """When the last probes of the only backend ended."""
    with SharedFile.open(server.state) as file:
        (state,) = file.backends()
        return [probe.at for probe in state.probes]


def test_the_worker_that_serves_all_requests_also_probes_on_time(
    start_server: StartServer, scripted: Scripted
) -> None:
    """Its probes wait for no request: the event loop takes them in turn."""
    server = start_server(
        "fast",
        LB_BACKENDS=scripted("b").address,
        LB_HEALTH__INTERVAL=str(INTERVAL_S),
        LB_LOG__ACCESS="off",
    )
    server.wait_answering()
    with Load(server.port, clients=16) as load:
        load.wait_served(100)
        begun = time.time()
        wait_for(
            lambda: sum(at > begun for at in probe_times(server)) > PROBES, "probes"
        )
        asked = time.monotonic()
        report = server.ask_status()
        took_s = time.monotonic() - asked
        load.wait_served(100)
    times = [at for at in probe_times(server) if at > begun]
    gaps = [b - a for a, b in pairwise(times)]
    assert max(gaps) < LATEST_S, gaps
    assert report["backends"][0]["verdict"] == "up"
    assert took_s < STATUS_S
    assert load.failures == []
