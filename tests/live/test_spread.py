"""What policies do over four workers, by the counts of backends and clients.

Figures are printed; run with `-s` to see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.crowd import Crowd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import StartServer
    from tests.live.crowd import CountingBackend
    from tests.live.server import Server

pytestmark = pytest.mark.live

WORKERS = 4
CLIENTS = 64
REQUESTS = 100_000
SECONDS = 3.0


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with Crowd() as made:
        yield made


def start(
    start_server: StartServer, policy: str, backends: list[CountingBackend]
) -> Server:
    server = start_server(
        "fast",
        "-w",
        str(WORKERS),
        LB_BACKENDS=",".join(backend.address for backend in backends),
        LB_BALANCE__POLICY=policy,
        LB_LOG__ACCESS="off",
    )
    server.wait_answering(WORKERS)
    for backend in backends:
        backend.forget()
    return server


def test_round_robin_is_even_within_one_percent(
    start_server: StartServer, crowd: Crowd
) -> None:
    """100,000 requests over four workers, each of which rotates by itself."""
    backends = [crowd.backend(f"b{number}") for number in range(3)]
    server = start(start_server, "round_robin", backends)
    got = crowd.ask(server.port, clients=CLIENTS, requests=REQUESTS)
    assert (dict(got.statuses), got.lost) == ({200: REQUESTS}, 0)
    served = [backend.served for backend in backends]
    fair = REQUESTS / len(backends)
    worst = max(abs(count - fair) / fair for count in served)
    print(f"served {served}, at most {worst:.3%} from even")
    assert sum(served) == REQUESTS
    assert worst < 0.01


def test_least_requests_keeps_the_slow_backend_from_being_everybodys_wait(
    start_server: StartServer, crowd: Crowd
) -> None:
    """One of three takes ten times as long; the 99th percentile tells."""
    late = {}
    for policy in ("round_robin", "least_requests"):
        paces = {"fast": 0.004, "quick": 0.004, "slow": 0.04}
        backends = [
            crowd.backend(name, takes_s=pace, one_by_one=True)
            for name, pace in paces.items()
        ]
        server = start(start_server, policy, backends)
        got = crowd.ask(server.port, clients=32, seconds=SECONDS)
        server.stop()
        assert (set(got.statuses), got.lost) == ({200}, 0)
        late[policy] = got.percentile(0.99)
        shares = {b.name: b.served for b in backends}
        print(f"{policy}: p99 {late[policy] * 1000:.0f} ms, {shares}")
    assert late["least_requests"] < late["round_robin"] / 2
