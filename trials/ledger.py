"""What clients counted: every answer by its kind, and each one that was not good.

Kept in counters of bounded size, but for what failed, so an hour takes no more memory
than a minute.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trials.asking import Answer

MOST_FAILURES: Final = 20_000
"""Failed requests that are kept; more are counted only, and the trial has failed."""


@dataclass
class Ledger:
    """Counts of all clients together."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Answers to idempotent requests by status; 0 for those that got none."""
    posted: Counter[int] = field(default_factory=Counter)
    """The same of the others."""
    served: Counter[str] = field(default_factory=Counter)
    """Good answers by backend."""
    first_served: dict[str, float] = field(default_factory=dict)
    """The end of each backend's first good answer to what was asked since `forget`."""
    failures: list[Answer] = field(default_factory=list)
    abandoned: int = 0
    """Requests whose client left, or which were sent behind the last answer."""
    unkept: int = 0
    """Failures beyond those."""
    heads: Counter[int] = field(default_factory=Counter)
    """All requests by hundreds of the status that came, if only before a cut."""
    wrong: list[str] = field(default_factory=list)
    """Answers that looked well and were not those that were asked for."""
    worst: Answer | None = None
    """The good answer that took longest."""
    _since: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Requests that are over."""
        return self.statuses.total() + self.posted.total()

    @property
    def bad(self) -> int:
        """Idempotent requests that failed."""
        return sum(1 for each in self.failures if each.ask.is_idempotent) + self.unkept

    @property
    def worst_s(self) -> float:
        """How long that one took."""
        return self.worst.took_s if self.worst else 0.0

    def note(self, answer: Answer) -> None:
        """Count a request that is over."""
        kind = self.statuses if answer.ask.is_idempotent else self.posted
        kind[answer.status if answer.is_whole else 0] += 1
        self.heads[answer.status // 100] += 1
        if answer.is_good:
            self.served[answer.backend] += 1
            if answer.began >= self._since.get(answer.backend, 0.0):
                self.first_served.setdefault(answer.backend, answer.ended)
            if answer.took_s > self.worst_s:
                self.worst = answer
            return
        if answer.status in {101, 200} and answer.is_whole:
            self.wrong.append(f"{answer.ask.request_id.decode()}: {answer.why}")
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(answer)
        else:
            self.unkept += 1

    def forget(self, backend: str) -> None:
        """Wait anew for the first answer of that backend to a new request."""
        self._since[backend] = monotonic()
        self.first_served.pop(backend, None)
