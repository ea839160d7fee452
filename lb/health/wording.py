"""Why a backend's standing changed, in words that are logged and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.model import Verdict

if TYPE_CHECKING:
    from lb.health.verdict import Transition
    from lb.shm import ProbeRecord


def reason_of(transition: Transition, last: ProbeRecord) -> str:
    """Why the verdict changed, as it is logged and kept."""
    checks = "1 check" if transition.streak == 1 else f"{transition.streak} checks"
    outcome = "passed" if transition.after is Verdict.UP else "failed"
    if last.ok:
        took = f" in {last.duration_s:.3f} s"
    else:
        # A timeout's detail says its time itself.
        took = "" if " after " in last.detail else f" after {last.duration_s:.3f} s"
    return f"{checks} {outcome}, last: {last.detail}{took}"


def past_of(transition: Transition, lasted_s: float) -> str:
    """What the verdict was before, and for how long."""
    if transition.before is Verdict.UNKNOWN:
        return "its first verdict"
    return f"was {transition.before.name} for {lasted_s:.1f} s"


def seconds_text(seconds: float) -> str:
    """A time for people, such as 30 s or 0.4 s."""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th and so on."""
    last = number % 10 if number // 10 % 10 != 1 else 0
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
