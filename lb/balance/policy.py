"""What a policy is, and what it may ask of a candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class Candidate(Protocol):
    """A backend that may be chosen now."""

    @property
    def weight(self) -> int:
        """Its share relative to the others, 1 to 256."""


C = TypeVar("C", bound=Candidate)


class Policy(Protocol[C]):
    """Chooses among candidates; one instance per process."""

    def update(self, candidates: Sequence[C]) -> None:
        """Take a new set of candidates; called only when it has changed."""

    def choose(self) -> C:
        """One of the candidates. Undefined while there are none."""
