"""One backend under watch: its state machines together, and the standing they make.

    probes   -> verdict, flapping, is anybody there, what share it asks for
    traffic  -> ejection
    time     -> the end of an ejection, the steps of a slow start

Each event changes the machines and returns what people should be told; the standing is
then what `standing` says.  Whether an ejection may be is asked of the whole set, by who
calls.  Pure: every event comes with its unix time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.health.ejection import Ejection, EjectionRules
from lb.health.flapping import Flapping, FlapRules
from lb.health.slow_start import share_at
from lb.health.verdict import HealthState
from lb.health.wording import ordinal, past_of, reason_of, seconds_text
from lb.model import Verdict, Wish
from lb.shm import FULL_SHARE, Cause, Memory, Standing

if TYPE_CHECKING:
    from lb.health.ejection import Heard
    from lb.health.settings import HealthSettings
    from lb.health.verdict import Transition
    from lb.shm import BackendState, ProbeRecord

BECAUSE: Final = {
    Cause.NONE: "it failed",
    Cause.CONNECT: "connects fail",
    Cause.ANSWER: "no good answers",
    Cause.BODY: "bodies end too early",
}


class Watched:
    """See the module. `known` is what the table says of it."""

    def __init__(
        self, known: BackendState, settings: HealthSettings, now: float
    ) -> None:
        self.known = known
        self.reason = known.reason
        self.since = known.since
        """Unix time of the verdict, 0.0 for none."""
        self._is_gone = known.standing.is_gone
        self._asked = known.memory.asked
        self._warm_since = known.memory.warm_since
        self._why = known.memory.why
        self._published = known.standing
        self.use(settings, known.standing, known.memory, now)

    def use(
        self,
        settings: HealthSettings,
        standing: Standing,
        memory: Memory,
        now: float,
    ) -> None:
        """Go on from this by other settings; probes in a row begin anew."""
        self.settings = settings
        self.health = HealthState(
            standing.verdict, rise=settings.rise, fall=settings.fall
        )
        self.rules = ejection_rules(settings)
        self.ejection = Ejection(self.rules)
        self.ejection.resume(memory, is_out=standing.is_ejected)
        self.flapping = Flapping(flap_rules(settings))
        self.flapping.resume(memory, now)

    @property
    def is_backup(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self.known.backend.backup

    @property
    def is_wanted(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self.known.wish is Wish.READY and self._asked != 0

    @property
    def is_judged(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self._is_good or not self._is_gone

    @property
    def is_available(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self.is_wanted and self._is_good

    @property
    def _is_good(self) -> bool:
        is_down = self.health.verdict is Verdict.DOWN
        return not (is_down or self.ejection.is_out)

    @property
    def is_restless(self) -> bool:
        """Whether time alone may change its standing."""
        return self.ejection.is_out or self._warm_since > 0

    @property
    def in_doubt(self) -> bool:
        """Whether the next probe should come soon."""
        ejection = self.ejection
        is_awaited = ejection.is_out and ejection.is_shown_by_probe
        return self.health.in_doubt or is_awaited

    def standing(self, now: float) -> Standing:
        """What serving needs to know of it."""
        share = FULL_SHARE if self._asked is None else self._asked
        if self._warm_since:
            warm = share_at(now - self._warm_since, self.settings.slow_start)
            if warm == FULL_SHARE:
                self._warm_since = 0.0
            # What asks for little gets a little of that, but no less than it needs
            # to show how it does.
            share = max(1, share * warm // 100) if share else 0
        return Standing(
            self.health.verdict,
            self.ejection.is_out,
            self._is_gone and not self._is_good,
            share,
        )

    def is_new(self, now: float) -> bool:
        """Whether its standing is another one than was published last."""
        return self.standing(now) != self._published

    def publish(self, now: float) -> Standing:
        """The standing; from now on it is known."""
        self._published = self.standing(now)
        return self._published

    def memory(self, now: float) -> Memory:
        """What the next leader must know of it."""
        ejection, flapping = self.ejection, self.flapping
        return Memory(
            ejections=ejection.count,
            ejected_at=ejection.at,
            ejected_until=ejection.until,
            cause=ejection.cause,
            why=self._why,
            warm_since=self._warm_since,
            held_until=flapping.until,
            holds=flapping.holds,
            changes=flapping.changes(now),
            asked=self._asked,
        )

    def probed(self, record: ProbeRecord) -> list[str]:
        """Take in a probe that just ended; what to tell."""
        now, told = record.at, []
        self._is_gone = not record.is_connected
        if record.ok and record.asked != self._asked:
            told.append(self._ask(record.asked))
        began_after = now - record.duration_s >= self.ejection.at
        if began_after and self.ejection.probed(record.ok, now):
            told.append(self._return("a check passed", now))
        is_held = self.flapping.is_held(now)
        transition = self.health.record(record.ok, is_held=is_held)
        if transition is not None:
            told.append(self._change(transition, record))
        return told

    def _ask(self, asked: int | None) -> str:
        self._asked = asked
        if asked == 0:
            return "asks for no requests"
        return f"asks for {FULL_SHARE if asked is None else asked} % of its weight"

    def _change(self, transition: Transition, record: ProbeRecord) -> str:
        now, before = record.at, self.since
        self.reason = reason_of(transition, record)
        self.since = now
        told = f"is {transition.after.name}: {self.reason}"
        told += f" ({past_of(transition, now - before)})"
        if transition.after is Verdict.DOWN:
            if self.flapping.fell(now):
                told += f", {self._held(now)}"
        elif transition.before is Verdict.DOWN:
            self.flapping.rose(now)
            self._begin_slowly(now)
        if transition.after is Verdict.UP:
            self.ejection.came_up(now)
            self._why = ""
        return told

    def _held(self, now: float) -> str:
        hold_s = seconds_text(self.flapping.until - now)
        times = ordinal(self.flapping.holds)
        self.reason += f"; it changes often, and is held down for {hold_s}"
        return (
            f"and held down for {hold_s}, the {times} time in a row: it changes often"
        )

    def _begin_slowly(self, now: float) -> None:
        if self.settings.slow_start > 0:
            self._warm_since = now

    def heard(self, heard: Heard) -> bool:
        """Take in what traffic saw; whether that asks for an ejection."""
        return self.ejection.hear(heard) and self.is_available

    def refuse(self, why: str) -> list[str]:
        """It may not be ejected; what to tell, once in a row of faults."""
        told = f"not ejected after {self.rules.failures} failures in a row: {why}"
        is_new, self._why = told != self._why, told
        return [f"is {told}"] if is_new else []

    def eject(self, now: float) -> list[str]:
        """Put it out; what to tell."""
        count = self.ejection.in_a_row
        until = self.ejection.eject(now)
        cause = BECAUSE[self.ejection.cause]
        self._why = f"{count} failures in a row: {cause}"
        self._warm_since = 0.0
        times = ordinal(self.ejection.count)
        for_s = seconds_text(until - now)
        return [f"is EJECTED for {for_s}, the {times} time lately: {self._why}"]

    def tick(self, now: float) -> list[str]:
        """Take in that time passes; what to tell."""
        if self.ejection.tick(now):
            return [self._return("its time is over", now)]
        return []

    def _return(self, why: str, now: float) -> str:
        lasted_s = seconds_text(now - self.ejection.at)
        self._why = ""
        self._begin_slowly(now)
        return f"is readmitted after {lasted_s}: {why}"


def ejection_rules(settings: HealthSettings) -> EjectionRules:
    """The rules of `health.eject`."""
    eject = settings.eject
    return EjectionRules(eject.failures, eject.time, eject.time_max, eject.share)


def flap_rules(settings: HealthSettings) -> FlapRules:
    """The rules of `health.flap`."""
    flap = settings.flap
    return FlapRules(flap.changes, flap.window, flap.hold, flap.hold_max)
