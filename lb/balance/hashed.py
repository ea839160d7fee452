"""Hash: the same key to the same candidate, as long as that one is there.

The table of `lb.balance.buckets` says whose a key is. When that candidate is excluded
or has no room (`lb.balance.bound`), the key goes along a sequence of its own through
the table: the same next one each time, by weight, and another for each key, so that
no neighbour has to carry all of an overflow. Requests without a key take turns, as
with HAProxy; hashed, they would all go to one candidate.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from lb.balance.bound import Bound
from lb.balance.buckets import Buckets, digest_of
from lb.balance.hash_key import key_of
from lb.balance.policy import C, Loads, Policy
from lb.balance.round_robin import RoundRobin
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from lb.balance.ask import Ask

_STEPS: Final = 64
"""Steps along a key's sequence; among two, all but 1 in 2^64 keys meet both."""

LEAST_FACTOR: Final = 1.01
MOST_FACTOR: Final = 100.0


class Hash(Policy[C]):
    """See the module.

    `key` is a word of `lb.balance.hash_key`; `factor` 0 for no bound, or from 1.01 to
    100; `offset` and `clock` as for `RoundRobin` and `Bound`.

    Raises:
        ConfigError: either is not allowed.
    """

    needs_ask = True

    def __init__(
        self,
        key: str,
        factor: float,
        loads: Loads[C],
        *,
        clock: Callable[[], float],
        offset: int = 0,
    ) -> None:
        if factor and not LEAST_FACTOR <= factor <= MOST_FACTOR:
            raise ConfigError(
                f"balance.hash_balance_factor: {factor:g} is not allowed; 0 for no"
                f" bound, or a number from {LEAST_FACTOR:g} to {MOST_FACTOR:g}"
            )
        self._key = key_of(key)
        self._word = key
        self._factor = factor
        self._loads = loads
        self._clock = clock
        self._keyless: RoundRobin[C] = RoundRobin(offset)
        self._now = self._view(())

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`; makes the table anew, 50 ms."""
        self._keyless.update(candidates)
        self._now = self._view(candidates)

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. O(1) as long as most have room."""
        key = self._key(ask)
        if not key:
            return self._keyless.choose(ask)
        buckets, bound = self._now
        digest = digest_of(key)
        home = buckets.first(digest)
        if bound.has_room(home):
            return home
        return next(filter(bound.has_room, _in_order(buckets, digest)), home)

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; the next for that key, with room if there is."""
        key = self._key(ask)
        if not key:
            return self._keyless.choose_without(ask, without)
        buckets, bound = self._now
        order = _in_order(buckets, digest_of(key))
        left = [c for c in order if c not in without]
        return next(filter(bound.has_room, left), left[0] if left else None)

    def inputs(self, ask: Ask, candidate: C) -> str:
        """See `Policy.inputs`; `home` is whose the request's key is."""
        key = self._key(ask)
        buckets, bound = self._now
        if not key:
            return f"weight={candidate.weight} key={self._word} is_absent=yes"
        is_home = buckets.first(digest_of(key)) is candidate
        shown = f"weight={candidate.weight} key={self._word}"
        shown += f" home={'yes' if is_home else 'no'}"
        if self._factor:
            in_flight = self._loads.in_flight(candidate)
            shown += f" in_flight={in_flight} limit={bound.limit(candidate)}"
        return shown

    def _view(self, candidates: Sequence[C]) -> tuple[Buckets[C], Bound[C]]:
        bound = Bound(candidates, self._loads, self._factor, clock=self._clock)
        return Buckets(candidates), bound


def _in_order(buckets: Buckets[C], digest: int) -> Iterator[C]:
    """Every candidate once: along the key's sequence, then whoever is left."""
    met = set()
    for candidate in islice(buckets.walk(digest), _STEPS):
        if candidate not in met:
            met.add(candidate)
            yield candidate
    begin = digest % max(1, len(buckets.candidates))
    for candidate in (*buckets.candidates[begin:], *buckets.candidates[:begin]):
        if candidate not in met:
            yield candidate
