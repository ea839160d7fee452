"""A set of backends: who of them may take a request now, and whom its policy picks.

Two questions, one on top of the other: is it in the line-up (`lb.balance.line_up`:
who is available, in which tier, or all of them in panic; backups also when all others
have failed this very request), and has it room (`max_in_flight`, over all workers).
Policies answer the last, among those that pass the first. One that came back a moment
ago, or asks for less, has part of its weight.

To have room is decided by counting oneself in first and looking then, so two workers
that take the last place at once both step back, and neither goes over the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Protocol

from lb.balance.line_up import line_up
from lb.balance.policy import Policy
from lb.errors import FullError, UnavailableError
from lb.proxy.budget import RetryBudget
from lb.proxy.retry import NO_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lb.proxy.exchange import Request
    from lb.proxy.loads import LiveLoads
    from lb.proxy.retry import RetryOptions
    from lb.proxy.tally import Tally
    from lb.proxy.waiting import WaitingLine
    from lb.upstream.backend import LiveBackend


class Statuses(Protocol):
    """Which statuses of a response count against a backend."""

    def __contains__(self, status: int, /) -> bool:
        """Whether this one does."""


@dataclass(frozen=True, slots=True)
class Judging:
    """`panic` as `line_up` wants it; `faults` are the statuses that are faults."""

    panic: int = 0
    faults: Statuses = frozenset()


class BackendSet:
    """One set in one process. `attempts` are those of a request in all."""

    def __init__(
        self,
        name: str,
        policy: Policy[LiveBackend],
        *,
        policy_name: str,
        attempts: int,
        line: WaitingLine,
        tally: Tally,
        loads: LiveLoads,
        options: RetryOptions = NO_OPTIONS,
    ) -> None:
        self.name = name
        self.policy = policy
        self.policy_name = policy_name.encode()
        self._has_answers = type(policy).answer is not Policy.answer
        self.has_marks = self._has_answers
        """Whether something may have to be added to responses."""
        self.judging = Judging()
        self.is_panic = False
        """Whether too few are available, and all get requests."""
        self.attempts = attempts
        self.line = line
        self.budget = RetryBudget(options.budget, tally, loads)
        self.statuses = options.statuses
        self.hedge_s = options.hedge_s
        self._tally = tally
        self._loads = loads
        self.members: list[LiveBackend] = []
        self.candidates: list[LiveBackend] = []
        self._backups: list[LiveBackend] = []
        self.is_retired = False
        """Whether the settings have it no more; who waits here must go elsewhere."""
        self._weights: list[int] = []
        self._has_limits = False

    def __repr__(self) -> str:
        return f"<BackendSet {self.name} {len(self.candidates)} candidates>"

    def use_policy(self, policy: Policy[LiveBackend], name: str) -> None:
        """Choose by another policy from now on."""
        if self.candidates:
            policy.update(self.candidates)
        self.policy, self.policy_name = policy, name.encode()
        self._has_answers = type(policy).answer is not Policy.answer
        self.has_marks = self._has_answers or self.is_panic

    def use_judging(self, judging: Judging) -> None:
        """Judge backends so from the next `update` on."""
        self.judging = judging

    def use_retries(self, attempts: int, options: RetryOptions) -> None:
        """Try requests again so from now on."""
        self.attempts = attempts
        self.budget.use(options.budget)
        self.statuses = options.statuses
        self.hedge_s = options.hedge_s

    def retire(self) -> None:
        """Give no backend any more: the settings do not have this set."""
        self.is_retired = True
        self.update([])

    def update(self, members: list[LiveBackend]) -> None:
        """Take what the table and the verdicts say now."""
        found = line_up(members, self.judging.panic)
        candidates = found.members
        for backend in members:
            backend.is_usable = backend.is_available
        for backend in candidates:
            backend.is_usable = True
        weights = _weigh(candidates)
        changed = candidates != self.candidates or weights != self._weights
        # A thread that has just seen candidates may be about to ask the policy,
        # which cannot choose among none: then it keeps those it had.
        if candidates and changed:
            self.policy.update(candidates)
        self.members = members
        self._backups = [b for b in members if b.is_backup and b.is_available]
        self._has_limits = any(b.max_in_flight for b in candidates)
        self._weights = weights
        self.candidates = candidates
        self.is_panic = found.is_panic
        self.has_marks = self._has_answers or found.is_panic

    def take(self, request: Request) -> LiveBackend:
        """The backend for a first attempt, with the request counted in flight.

        Raises:
            UnavailableError: none may be used now.
            FullError: all that may be are at their limits, or others wait already.
        """
        if not self.candidates:
            raise UnavailableError(f"no backend of the set {self.name} is up and ready")
        if self._has_limits:
            if not self.line.lets_pass():
                raise FullError("others wait already")
            return self.take_with_room(request)
        backend = self.policy.choose(request)
        request.entered = self._tally.enter(backend)
        return backend

    def take_with_room(
        self, request: Request, tried: Collection[LiveBackend] = ()
    ) -> LiveBackend:
        """The same for who is first in line, or for a retry: none of `tried`.

        O(n) for a retry, and where some have no room.

        Raises:
            UnavailableError, FullError: see `take`.
        """
        backend: LiveBackend | None = self._choose(request, tried)
        without: set[LiveBackend] = set()
        while backend is not None:
            if self.enter(backend, request):
                return backend
            without = without or {*tried, *self._full()}
            without.add(backend)
            backend = self.policy.choose_without(request, without)
        raise FullError(f"every backend of the set {self.name} is at its limit")

    def _choose(self, request: Request, tried: Collection[LiveBackend]) -> LiveBackend:
        if not self.candidates:
            raise UnavailableError(f"no backend of the set {self.name} is up and ready")
        if not tried:
            return self.policy.choose(request)
        backend = self.policy.choose_without(request, tried)
        if backend is None:
            raise UnavailableError(f"no other backend of the set {self.name} is left")
        return backend

    def take_backup(
        self, request: Request, tried: Collection[LiveBackend]
    ) -> LiveBackend:
        """A backup for a retry, the least busy one, though backups do not count yet.

        Raises:
            UnavailableError: there is none but those in `tried`.
            FullError: there are, but without room.
        """
        left = [b for b in self._backups if b not in tried]
        if not left:
            raise UnavailableError(f"no other backend of the set {self.name} is left")
        for backend in sorted(left, key=self._loads.in_flight):
            if self.enter(backend, request):
                return backend
        raise FullError(f"every backup of the set {self.name} is at its limit")

    def enter(self, backend: LiveBackend, request: Request) -> bool:
        """Whether there is room at `backend`; then the request is counted there."""
        entered = self._tally.enter(backend)
        limit = backend.max_in_flight
        if limit and self._loads.in_flight(backend) > limit:
            self._tally.leave(entered)
            return False
        request.entered = entered
        return True

    def excluded(self) -> list[tuple[LiveBackend, str]]:
        """The members that cannot be chosen now, and why, for people who ask."""
        reasons = []
        for backend in self.members:
            if not backend.is_usable:
                reasons.append((backend, backend.why_not or "down"))
            elif backend not in self.candidates:
                reasons.append((backend, "backup"))
            elif self._is_full(backend):
                reasons.append((backend, "full"))
        return reasons

    def _full(self) -> set[LiveBackend]:
        return {b for b in self.candidates if self._is_full(b)}

    def _is_full(self, backend: LiveBackend) -> bool:
        return 0 < backend.max_in_flight <= self._loads.in_flight(backend)


def _weigh(candidates: Sequence[LiveBackend]) -> list[int]:
    """Give each its share of its weight, in whole numbers; what they are.

    Only shares that differ matter, so mostly a weight is the backend's own.
    """
    shares = [max(1, b.share) for b in candidates]
    if len(set(shares)) <= 1:
        weights = [b.own_weight for b in candidates]
    else:
        fine = [b.own_weight * s for b, s in zip(candidates, shares, strict=True)]
        unit = gcd(*fine)
        weights = [weight // unit for weight in fine]
    for backend, weight in zip(candidates, weights, strict=True):
        backend.weight = weight
    return weights
