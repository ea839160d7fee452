"""How many requests of a set may be tried again at once, over all workers.

Backends that fail because they have too much to do get more of it by each retry, and
the others get what those could not do: so a few slow answers become an outage. The
budget bounds that: at most a share of the requests in flight, and some in any case,
or a set that does little could never retry. What is over it fails at once.

But a backend that begins to fail takes many requests with it at that moment, before the
leader of the health checks can have ejected it. So the first that is over the budget
because of a backend begins a *grace*: for a moment all may go elsewhere that it failed,
and then not again for a hundred times as long.

To have room is decided by counting oneself in first and looking then, so that two
workers which take the last place at once both step back, and neither goes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.proxy.loads import LiveLoads
    from lb.proxy.tally import Tally
    from lb.shm import RowCells
    from lb.upstream.backend import LiveBackend


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """At most `percent` of the requests in flight, and `least` in any case.

    `grace_s` is how long a grace is, per backend and process; 0: there is none.
    """

    percent: float = 20.0
    least: int = 3
    grace_s: float = 0.0

    def allow(self, retrying: int, in_flight: int) -> bool:
        """Whether so many may be tried again at once, the one that asks included."""
        return retrying <= self.least or retrying * 100 <= in_flight * self.percent


GRACE_SHARE: Final = 0.01
"""A grace is at most so much of the time: a set that fails for long has none."""

NO_LIMITS_SAID: Final = BudgetLimits()


class RetryBudget:
    """The budget of one set, as one process sees it."""

    def __init__(self, limits: BudgetLimits, tally: Tally, loads: LiveLoads) -> None:
        self._limits = limits
        self._tally = tally
        self._loads = loads

    def use(self, limits: BudgetLimits) -> None:
        """Go by other limits, for who asks from now on."""
        self._limits = limits

    def enter(
        self, failed: LiveBackend, members: Sequence[LiveBackend]
    ) -> RowCells | None:
        """Count in a request that goes elsewhere for `failed`; None: it may not.

        Give the result to `leave`; for want of one, say `refuse` if it goes no further.
        O(members * workers), see `InFlight.retrying`.
        """
        entered = self.count_in(failed)
        if self.has_room(members):
            return entered
        self._tally.leave_retry(entered)
        return None

    def forgives(self, failed: LiveBackend, now: float) -> bool:
        """Whether it may go although it is over the budget, at monotonic `now`.

        Then it is not counted in: nobody else's room is less for it.
        """
        grace_s = self._limits.grace_s
        age_s = now - failed.grace_began
        if age_s * GRACE_SHARE >= grace_s > 0:
            failed.grace_began = now
            return True
        return age_s < grace_s

    def refuse(self, failed: LiveBackend) -> None:
        """One that may not go elsewhere for `failed` is told so; counted."""
        self._tally.refuse_retry(failed)

    def leave(self, entered: RowCells) -> None:
        """It is over, however it went."""
        self._tally.leave_retry(entered)

    def count_in(self, failed: LiveBackend) -> RowCells:
        """The first half of `enter`: be seen by all others before looking."""
        return self._tally.enter_retry(failed)

    def has_room(self, members: Sequence[LiveBackend]) -> bool:
        """The second half: whether all that are counted in are within the budget.

        Requests between two attempts are in flight nowhere, and do not count there.
        """
        retrying = self._loads.retrying(members)
        if self._limits.allow(retrying, 0):  # most often: then that was all
            return True
        return self._limits.allow(retrying, self._loads.under_way(members))
