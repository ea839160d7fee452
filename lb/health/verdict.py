"""What probes say about one backend, made into a verdict.

    verdict   in a row            becomes
    UNKNOWN   1 success           UP      (a start must not wait)
    UNKNOWN   `fall` failures     DOWN
    UP        `fall` failures     DOWN
    DOWN      `rise` successes    UP      (not while it is held down: then the first
                                          one after that, if none failed between)

Anything that breaks the row starts the count anew.  Pure: no clock, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from lb.model import Verdict


@dataclass(frozen=True, slots=True)
class Transition:
    """A verdict that changed, and how many probes in a row changed it."""

    before: Verdict
    after: Verdict
    streak: int


class HealthState:
    """One backend's verdict, and the row of probes that speaks against it."""

    __slots__ = ("_against", "_fall", "_last", "_rise", "verdict")

    def __init__(
        self, verdict: Verdict = Verdict.UNKNOWN, *, rise: int, fall: int
    ) -> None:
        self.verdict = verdict
        self._rise = rise
        self._fall = fall
        self._against = 0
        self._last = verdict

    def __repr__(self) -> str:
        return f"<HealthState {self.verdict.name}, {self._against} against>"

    @property
    def in_doubt(self) -> bool:
        """Whether the next probe should come soon: the last ones disagree."""
        return self._against > 0

    @property
    def in_favour(self) -> int:
        """Of a backend that is DOWN: how many probes in a row passed."""
        return self._against if self.verdict is Verdict.DOWN else 0

    def record(self, ok: bool, *, is_held: bool = False) -> Transition | None:
        """Take in one probe's result; the transition, if the verdict changed.

        `is_held`: it may not rise now.
        """
        says = Verdict.UP if ok else Verdict.DOWN
        if says is not self._last:
            self._against = 0
            self._last = says
        if says is self.verdict:
            return None
        self._against += 1
        if self._against < self._needed(says) or (is_held and ok):
            return None
        transition = Transition(self.verdict, says, self._against)
        self.verdict = says
        self._against = 0
        return transition

    def _needed(self, says: Verdict) -> int:
        if says is Verdict.DOWN:
            return self._fall
        return self._rise if self.verdict is Verdict.DOWN else 1
