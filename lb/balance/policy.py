"""What a policy is, what it may ask of a candidate, and what of the loads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lb.balance.ask import Ask


class Candidate(Protocol):
    """A backend that may be chosen now. Compared by identity."""

    @property
    def id(self) -> int:
        """Its number in the shared table; never that of another while it lives."""

    @property
    def name(self) -> str:
        """What tells it apart from all others, in every process and after a restart."""

    @property
    def weight(self) -> int:
        """Its share relative to the others, 1 to 256."""


C = TypeVar("C", bound=Candidate)
C_contra = TypeVar("C_contra", bound=Candidate, contravariant=True)


class Loads(Protocol[C_contra]):
    """What the candidates are doing, counted over all worker processes."""

    def in_flight(self, candidate: C_contra) -> int:
        """Requests under way there now. Some 0.06 us for each worker process."""

    def in_flight_of(self, candidates: Sequence[C_contra]) -> Sequence[int]:
        """The same for many at once, in their order; cheaper for each of them."""

    def head_time_s(self, candidate: C_contra) -> float:
        """Seconds to a response head, lately (EWMA); 0.0 while unknown."""


class NoLoads:
    """`Loads` where nothing is counted: everything idle, every time unknown."""

    def in_flight(self, candidate: Candidate) -> int:
        """Always none."""
        return 0

    def in_flight_of(self, candidates: Sequence[Candidate]) -> Sequence[int]:
        """Always none."""
        return [0] * len(candidates)

    def head_time_s(self, candidate: Candidate) -> float:
        """Always unknown."""
        return 0.0


class Policy(ABC, Generic[C]):
    """Chooses among candidates; one instance per process.

    `update` may run in one thread while others choose: what it replaces is read once
    and then used, so that a choice sees the old candidates or the new.
    """

    needs_ask: bool = False
    """Whether the request matters; if not, `NO_ASK` does."""

    @abstractmethod
    def update(self, candidates: Sequence[C]) -> None:
        """Take a new set of candidates; called when it or a weight has changed."""

    @abstractmethod
    def choose(self, ask: Ask) -> C:
        """One of the candidates. Undefined while there are none."""

    @abstractmethod
    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """One of the candidates that are not in `without`, or None. O(n).

        For a retry, or where some are full; many of them are best given as a set.
        """

    def inputs(self, ask: Ask, candidate: C) -> str:
        """What the policy looks at in a candidate, as `name=value name=value`.

        For people who ask why: plain ASCII, and nothing that a client sent.
        """
        return f"weight={candidate.weight}"

    def binds(self, ask: Ask) -> bool:
        """Whether only the one that it chooses will do, while that one is there."""
        return False

    def answer(self, ask: Ask, chosen: C) -> bytes:
        """The value of a Set-Cookie field for the response; empty for none."""
        return b""
