"""What a choice costs, as a table: `python -m tests.balance.cost`.

Loads are read from cells as in the shared file, those of four worker processes.
"""

from __future__ import annotations

import random
import sys
from itertools import cycle
from operator import add
from time import process_time
from typing import TYPE_CHECKING

from lb.balance.ask import PlainAsk
from lb.balance.options import PolicyOptions
from lb.balance.registry import make_policy
from tests.balance.scene import One, numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 4
COUNTS = (2, 16, 2000)
CALLS = 5_000
ROUNDS = 12
KEYS = [b"b" * 32]

ROWS = (
    ("round_robin", "idle", {}),
    ("random", "idle", {}),
    ("least_requests", "idle", {}),
    ("least_requests", "busy", {}),
    ("power_of_two", "busy", {}),
    ("least_time", "busy", {}),
    ("hash", "idle", {}),
    ("hash", "busy", {"hash_balance_factor": 1.25}),
    ("sticky", "idle", {"sticky_keys": KEYS}),
    (
        f"{__name__ if __name__ != '__main__' else 'tests.balance.cost'}:first",
        "idle",
        {},
    ),
)


def first(candidates: Sequence[object], request: object) -> object:
    """The least that a function policy can do."""
    return candidates[0]


class CellLoads:
    """Counts of some processes in cells; a request that is chosen ends 100 later."""

    def __init__(self, candidates: list[One], busy: int) -> None:
        self.rows = {c.id: row for row, c in enumerate(candidates)}
        self.count = len(candidates)
        self.cells = memoryview(bytearray(8 * WORKERS * self.count)).cast("Q")
        for cell in range(len(self.cells)):
            self.cells[cell] = random.randrange(busy) if busy else 0

    def in_flight(self, candidate: One) -> int:
        row = self.rows[candidate.id]
        return sum(self.cells[row :: self.count])

    def in_flight_of(self, candidates: Sequence[One]) -> Sequence[int]:
        if len(candidates) < self.count:
            return [self.in_flight(c) for c in candidates]
        sums = self.cells[: self.count].tolist()
        for at in range(self.count, WORKERS * self.count, self.count):
            sums = list(map(add, sums, self.cells[at : at + self.count].tolist()))
        return sums

    def head_time_s(self, candidate: One) -> float:
        return 0.01 + candidate.id / 1e6


def cost_us(
    name: str, busy: int, options: dict[str, object], weights: list[int]
) -> float:
    """The least of some rounds, microseconds of CPU a choice."""
    candidates = numbered(weights)
    loads = CellLoads(candidates, busy)
    made = PolicyOptions(loads=loads, **options)  # type: ignore[arg-type]
    policy = make_policy(name, offset=0, options=made)
    policy.update(candidates)
    asks = [PlainAsk(client=b"10.1.2.%d" % i) for i in range(200)]
    best = float("inf")
    for _ in range(ROUNDS):
        begun = process_time()
        for ask in zip(range(CALLS), cycle(asks), strict=False):
            policy.choose(ask[1])
        best = min(best, process_time() - begun)
    return best / CALLS * 1e6


def main() -> None:
    sys.stdout.write("| policy | loads | weights | 2 | 16 | 2,000 |\n")
    sys.stdout.write("| --- | --- | --- | --- | --- | --- |\n")
    for name, state, options in ROWS:
        for kind, weights in (("equal", [1]), ("unequal", [1, 2, 3, 5])):
            costs = [
                cost_us(name, 8 if state == "busy" else 0, options, (weights * n)[:n])
                for n in COUNTS
            ]
            cells = " | ".join(f"{c:.2f}" for c in costs)
            sys.stdout.write(f"| {name} | {state} | {kind} | {cells} |\n")


if __name__ == "__main__":
    main()
