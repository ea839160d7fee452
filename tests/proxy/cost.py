"""What it costs to count and record a request: `python -m tests.proxy.cost`.

The real objects over a real file, as `lb.proxy.session` uses them; the least of many
short rounds, as a shared machine only ever adds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from lb.proxy.tally import PlainTally
from lb.proxy.waiting import QueueLimits
from tests.proxy.house import House, a_request, backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.proxy.exchange import Request
    from lb.upstream.backend import LiveBackend

CALLS = 2_000
ROUNDS = 200


def microseconds(step: Callable[[], object]) -> float:
    """The least that one call took, without the loop around it."""
    calls = range(CALLS)

    def least(run: Callable[[], object]) -> float:
        times = []
        for _ in range(ROUNDS):
            begun = perf_counter()
            for _ in calls:
                run()
            times.append(perf_counter() - begun)
        return min(times) / CALLS * 1e6

    return least(step) - least(lambda: None)


def fill(request: Request) -> None:
    """What `Request.__init__` and the engine note for the record alone."""
    request.client = b"127.0.0.1"
    request.began = 1.0
    request.method = request.head.method
    request.target = request.head.target
    request.request_id = b"0123456789abcdef"
    request.policy = b"round_robin"
    request.label = ""
    request.queued_s = request.connect_s = request.to_head_s = -1.0
    request.attempts = request.bytes_in = 0
    request.tried = (0, 0, 0)
    request.attempts = 1
    request.to_head_s = 0.001
    request.status, request.bytes_out = 200, 2


def steps(
    tally: PlainTally, live: LiveBackend, request: Request
) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""

    def count() -> None:
        tally.leave(tally.enter(live))

    def attempt() -> None:
        tally.attempt(live, is_retry=False)

    def finish() -> None:
        tally.finish(request, live, 1.001)

    def all_of_it() -> None:
        fill(request)
        cells = tally.enter(live)
        tally.attempt(live, is_retry=False)
        tally.leave(cells)
        tally.finish(request, live, 1.001)

    return {
        "in flight, up and down": count,
        "an attempt": attempt,
        "what is noted of a request": lambda: fill(request),
        "counted, timed, recorded": finish,
        "all of it": all_of_it,
    }


def main() -> int:
    """Print the table; 0."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder) / "state", [backend(1)], QueueLimits())
        tally, live = PlainTally(house.slot), house.live("b1")
        request = a_request()
        tally.recorder.set_clock(unix=0.0, monotonic=monotonic())
        for name, step in steps(tally, live, request).items():
            print(f"{name:28} {microseconds(step):5.2f} us")
        house.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
