"""Ejection: what traffic says about one backend, made into a time on the bench.

    state     event                                            becomes
    in        `failures` faults in a row, and it may be         out, for time x count
    out       the time is over                                  in
    out       a passing probe that shows it is well             in
    out, in   the verdict rises to UP                           in, the row forgotten

In a row: no good response came between, of any worker.  Whether it may be ejected is
decided over its whole set, by `refusal`.  How often it was ejected lately is `count`;
it falls by one for each `time` that it stays in.  Which probe shows that it is well:

    cause     what failed                         a passing probe readmits
    CONNECT   connects; or a probe meanwhile       always
    ANSWER    answers: none, late, garbled, bad    the first time (count 1)
    BODY      bodies that end too early            never: no probe would see it

A probe that passed while answers failed is not believed a second time.  Pure: events
come with their unix time.  A clock that is set back ends no later than the cap asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lb.balance.line_up import is_too_few
from lb.shm import Cause

if TYPE_CHECKING:
    from lb.shm import Memory


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """`failures` in a row (0: never eject), for `time_s` x count up to `time_max_s`.

    Never more than `share` percent of a set, but one of two or more.
    """

    failures: int = 5
    time_s: float = 30.0
    time_max_s: float = 300.0
    share: int = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a backend since the last time that there were faults.

    `good` is None where nothing was heard before; `streak` the most faults in a row
    that one worker saw lately.
    """

    faults: int
    good: int | None
    connects: int
    spoiled: int
    streak: int


class Ejection:
    """One backend's state: in or out, and the row of faults that speaks against it."""

    __slots__ = (
        "_connects",
        "_heard",
        "_rules",
        "_spoiled",
        "at",
        "cause",
        "count",
        "in_a_row",
        "is_out",
        "until",
    )

    def __init__(self, rules: EjectionRules) -> None:
        self._rules = rules
        self.is_out = False
        self.count = 0
        self.at = 0.0
        self.until = 0.0
        """When the last one ends or ended; 0.0 if there was none."""
        self.cause = Cause.NONE
        self.in_a_row = self._heard = self._connects = self._spoiled = 0

    def __repr__(self) -> str:
        return f"<Ejection {'out' if self.is_out else 'in'} {self.in_a_row} in a row>"

    def resume(self, memory: Memory, *, is_out: bool) -> None:
        """Go on from what an earlier leader has stored."""
        self.is_out = is_out
        self.count = memory.ejections
        self.at, self.until = memory.ejected_at, memory.ejected_until
        self.cause = memory.cause

    def hear(self, heard: Heard) -> bool:
        """Take in faults; whether they ask for an ejection."""
        if self.is_out:
            if heard.connects:
                self.cause = Cause.CONNECT
            return False
        self._heard += heard.faults
        if heard.good == 0:
            self.in_a_row += heard.faults
        else:
            # Something good came between; who saw most in a row may still be right.
            self.in_a_row = 0
            self._connects = self._spoiled = 0
        # Of a streak that began before the last ejection, only the rest counts.
        self.in_a_row = max(self.in_a_row, min(heard.streak, self._heard))
        self._connects += heard.connects
        self._spoiled += heard.spoiled
        return 0 < self._rules.failures <= self.in_a_row

    def eject(self, now: float) -> float:
        """Put it out; until when."""
        rules = self._rules
        if self.until:
            self.count -= int(max(0.0, now - self.until) / rules.time_s)
        self.count = max(0, self.count) + 1
        self.at = now
        self.until = now + min(rules.time_s * self.count, rules.time_max_s)
        self.is_out = True
        if self._connects:
            self.cause = Cause.CONNECT
        else:
            self.cause = Cause.BODY if self._spoiled else Cause.ANSWER
        self._forget()
        return self.until

    def probed(self, ok: bool, now: float) -> bool:
        """Take in a probe that began after the ejection; whether it readmits."""
        if not self.is_out:
            return False
        if not ok:
            self.cause = Cause.CONNECT
            return False
        return self.is_shown_by_probe and self._readmit(now)

    @property
    def is_shown_by_probe(self) -> bool:
        """Whether a passing probe is enough to come back."""
        if self.cause is Cause.ANSWER:
            return self.count <= 1
        return self.cause is not Cause.BODY

    def tick(self, now: float) -> bool:
        """Take in that time passes; whether that readmits it."""
        is_late = now >= self.until or self.until - now > self._rules.time_max_s
        return self.is_out and is_late and self._readmit(now)

    def came_up(self, now: float) -> bool:
        """Take in that the verdict rose; whether that readmits it."""
        self._forget()
        return self.is_out and self._readmit(now)

    def _readmit(self, now: float) -> bool:
        self.is_out = False
        self.until = now
        self._forget()
        return True

    def _forget(self) -> None:
        self.in_a_row = self._heard = self._connects = self._spoiled = 0


@dataclass(frozen=True, slots=True)
class Others:
    """A backend's set, with itself: how many are wanted, judged, available, ejected.

    In the sense of `lb.balance.line_up`.
    """

    wanted: int
    judged: int
    available: int
    ejected: int


def refusal(others: Others, rules: EjectionRules, panic_percent: int) -> str:
    """Why one more that is available may not be ejected; empty if it may."""
    if others.available <= 1:
        return "it is the last one available"
    if others.ejected >= max(1, others.wanted * rules.share // 100):
        return f"{others.ejected} of {others.wanted} are ejected already"
    if is_too_few(others.available - 1, others.judged, panic_percent):
        return "it would bring on panic"
    return ""
