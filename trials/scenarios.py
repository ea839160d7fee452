"""What happens to the backends while a proxy is compared with others: a table.

A scenario returns the backends that were away and are back now, which are to be served
again; none where nobody was away.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trials.fleet import Backend

AWAY_S: Final = 2.5
STOP_S: Final = 6.0
FLAP_S: Final = 0.5
FLAPS: Final = 3
RESTART_S: Final = 0.5
BETWEEN_S: Final = 1.0

Backends = Sequence["Backend"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A title for people, and what is done."""

    name: str
    title: str
    happen: Callable[[Backends], Awaitable[Backends]]


async def _kill(backends: Backends, *, count: int = 1) -> Backends:
    gone = backends[:count]
    for backend in gone:
        await backend.kill()
    await asyncio.sleep(AWAY_S)
    for backend in gone:
        await backend.start()
    return gone


async def _stop(backends: Backends) -> Backends:
    backends[0].send(signal.SIGSTOP)
    await asyncio.sleep(STOP_S)
    backends[0].send(signal.SIGCONT)
    return backends[:1]


async def _fail(backends: Backends, *, fault: str) -> Backends:
    backends[0].do(fault)
    await asyncio.sleep(AWAY_S)
    backends[0].do("well")
    return backends[:1]


async def _close_at_random(backends: Backends) -> Backends:
    for backend in backends:
        backend.do("stale", 0.5)
    await asyncio.sleep(AWAY_S)
    for backend in backends:
        backend.do("well")
    return ()


async def _flap(backends: Backends) -> Backends:
    for number in range(FLAPS):
        if number:
            await asyncio.sleep(FLAP_S)
        await backends[0].kill()
        await asyncio.sleep(FLAP_S)
        await backends[0].start()
    return backends[:1]


async def _restart_in_turn(backends: Backends) -> Backends:
    for number, backend in enumerate(backends):
        if number:
            await asyncio.sleep(BETWEEN_S)
        await backend.kill()
        await asyncio.sleep(RESTART_S)
        await backend.start()
    return backends[-1:]


SCENARIOS: Final = (
    Scenario("kill", "kill -9, back after 2.5 s", _kill),
    Scenario("stop", "stopped for 6 s", _stop),
    Scenario("reset", "reset after the request", partial(_fail, fault="reset")),
    Scenario("garbage", "garbage", partial(_fail, fault="garbage")),
    Scenario("close", "closed without a byte", partial(_fail, fault="close")),
    Scenario("half", "half of the promised body", partial(_fail, fault="half")),
    Scenario("stale", "kept connections closed at random", _close_at_random),
    Scenario("flap", "flapping: three times dead and back", _flap),
    Scenario("two-down", "two of three killed", partial(_kill, count=2)),
    Scenario("rolling", "all three restarted in turn", _restart_in_turn),
)
