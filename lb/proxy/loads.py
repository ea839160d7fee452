"""What policies are told of the backends: in flight over all workers, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.shm import InFlight
    from lb.upstream.backend import LiveBackend

MANY: Final = 64
"""From so many on, all rows are read at once: 0.3 us for each instead of 0.5."""


class LiveLoads:
    """`lb.balance.policy.Loads` over the shared file."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight

    def in_flight(self, candidate: LiveBackend) -> int:
        """See `Loads.in_flight`."""
        return self._in_flight.of(candidate.row)

    def in_flight_of(self, candidates: Sequence[LiveBackend]) -> Sequence[int]:
        """See `Loads.in_flight_of`."""
        if len(candidates) < MANY:
            of = self._in_flight.of
            return [of(c.row) for c in candidates]
        rows = self._in_flight.all()
        return [rows[c.row] for c in candidates]

    def under_way(self, members: Sequence[LiveBackend]) -> int:
        """Requests in flight at all these together. O(members * processes)."""
        return self._in_flight.of_many([m.row for m in members])

    def retrying(self, members: Sequence[LiveBackend]) -> int:
        """Requests that failed at one of these and are tried again. As above."""
        return self._in_flight.retrying([m.row for m in members])

    def head_time_s(self, candidate: LiveBackend) -> float:
        """See `Loads.head_time_s`."""
        return candidate.head_time_s
