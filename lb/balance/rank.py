"""How busy a candidate is for its weight: the order that counting policies share.

The rank is what it would carry with one request more: `(in_flight + 1) / weight`.
An idle one ranks 0, before any that is busy, and idle ones are equal: where nothing
is going on, what decides is the policy's own draw, which goes by weight. Without
this, a client that sends one request after another would meet the heaviest only.

HAProxy's `leastconn` ranks so; there idle servers take equal turns. Envoy and nginx
share by weight among idle ones, as is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from lb.balance.policy import C


def rank(in_flight: int, weight: int) -> float:
    """See the module: less is better, 0.0 is idle."""
    return (in_flight + 1) / weight if in_flight else 0.0


def least_ranked(candidates: Sequence[C], ranks: Sequence[float], chance: Random) -> C:
    """The one with the least rank; of equals one by the dice, weighted. O(n)."""
    least = min(ranks)
    if ranks.count(least) == 1:
        return candidates[ranks.index(least)]
    equals = [c for c, r in zip(candidates, ranks, strict=True) if r == least]
    # As `Draw` would, but a table for one draw takes three times as long.
    point = chance.random() * sum([c.weight for c in equals])
    for candidate in equals:
        point -= candidate.weight
        if point < 0:
            return candidate
    return equals[-1]
