"""What the shared file says of a backend's health, in sentences: what brings it back?

For people who ask; the same rules as the checker's, read from what it has stored.
Pure: what the file said is handed in, with the unix time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from lb.balance.line_up import LineUp, line_up
from lb.health.ejection import Ejection
from lb.health.slow_start import share_at
from lb.health.watched import ejection_rules
from lb.health.wording import ordinal, seconds_text
from lb.model import Verdict, Wish
from lb.shm import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.health.settings import HealthSettings
    from lb.shm import BackendState


@dataclass(frozen=True, slots=True)
class Viewed:
    """A backend for `lb.balance.line_up`, by what the file says of it."""

    state: BackendState

    @property
    def is_backup(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self.state.backend.backup

    @property
    def is_wanted(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self.state.wish is Wish.READY and self.state.standing.share > 0

    @property
    def is_judged(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        standing = self.state.standing
        return standing.is_good or not standing.is_gone

    @property
    def is_available(self) -> bool:
        """See `lb.balance.line_up.Member`."""
        return self.is_wanted and self.state.standing.is_good


def line_up_of(states: Sequence[BackendState], panic_percent: int) -> LineUp[Viewed]:
    """Who of a set's backends gets requests now, and whether it is panic."""
    return line_up([Viewed(state) for state in states], panic_percent)


def outlook(state: BackendState, settings: HealthSettings, now: float) -> list[str]:
    """Why it gets no requests, or fewer, and what changes that, and when."""
    told = _wishes(state)
    standing, memory = state.standing, state.memory
    if standing.verdict is Verdict.DOWN:
        told.append(_fallen(state, settings, now))
        if memory.held_until > now:
            told.append(
                f"it is held down for {seconds_text(memory.held_until - now)} more, as"
                f" its verdict changed {memory.changes} times within"
                f" {seconds_text(settings.flap.window)}"
                f" (the {ordinal(memory.holds)} hold in a row)"
            )
    if standing.is_ejected:
        told += _ejected(state, settings, now)
    if memory.warm_since and standing.is_good:
        age_s = now - memory.warm_since
        share = share_at(age_s, settings.slow_start)
        if share < FULL_SHARE:
            left = seconds_text(settings.slow_start - age_s)
            told.append(f"it came back: {share} % of its weight, all of it in {left}")
    return told


def _wishes(state: BackendState) -> list[str]:
    told = []
    if state.wish is not Wish.READY:
        word = state.wish.name.lower()
        told.append(
            f"the operator wants {word}: `lb ready {state.backend.name}` ends that"
        )
    asked = state.memory.asked
    if asked == 0:
        told.append("it asks for no requests itself, by the field of its checks")
    elif asked is not None and asked < FULL_SHARE:
        told.append(f"it asks for {asked} % of its weight, by the field of its checks")
    return told


def _fallen(state: BackendState, settings: HealthSettings, now: float) -> str:
    passed = len(list(takewhile(lambda p: p.ok, reversed(state.probes))))
    missing = max(1, settings.rise - passed)
    fast_s = min(settings.fast_interval, settings.interval)
    next_s = _next_s(state, fast_s if passed else settings.interval, now)
    soonest_s = next_s + (missing - 1) * fast_s
    checks = "1 passing check" if missing == 1 else f"{missing} passing checks in a row"
    so_far = f" ({passed} so far)" if passed else ""
    return (
        f"{checks}{so_far} bring it back, in {seconds_text(soonest_s)} at the soonest"
    )


def _next_s(state: BackendState, gap_s: float, now: float) -> float:
    """In how many seconds its next probe is due, give or take a tenth of the gap."""
    last = state.last_probe
    if last is None:
        return 0.0
    return max(0.0, last.at - last.duration_s + gap_s - now)


def _ejected(state: BackendState, settings: HealthSettings, now: float) -> list[str]:
    memory = state.memory
    left = seconds_text(max(0.0, memory.ejected_until - now))
    told = [
        f"traffic ejected it for the {ordinal(memory.ejections)} time lately:"
        f" {memory.why}; it is back in {left}"
    ]
    ejection = Ejection(ejection_rules(settings))
    ejection.resume(memory, is_out=True)
    if state.standing.verdict is Verdict.DOWN:
        told.append("or when its verdict is UP again")
    elif ejection.is_shown_by_probe:
        fast_s = min(settings.fast_interval, settings.interval)
        soon = seconds_text(_next_s(state, fast_s, now))
        told.append(f"or with its next passing check, in {soon}")
    else:
        told.append("a passing check does not end that: it cannot see what failed")
    return told
