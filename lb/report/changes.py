"""A change at run time: what was changed, and how the wait for it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lb.operating import Done, Outcome
    from lb.plan import Plan
    from lb.reloading import Outcome as Reloaded


def change_report(
    word: str, done: Done, outcome: Outcome | None, in_flight: Mapping[str, int]
) -> dict[str, Any]:
    """The change in one word, the backends as they were, and the wait if there was one.

    `in_flight` is by backend's name, where that was looked at.
    """
    return {
        "change": word,
        "generation": done.generation,
        "backends": [
            {
                "name": row.backend.name,
                "address": str(row.backend.address),
                "set": row.backend.group,
                "wish_before": row.wish.name.lower(),
                "weight_before": row.backend.weight,
                "in_flight": in_flight.get(row.backend.name, 0),
            }
            for row in done.rows
        ],
        "outcome": outcome_report(outcome),
    }


def outcome_report(outcome: Outcome | None) -> dict[str, Any] | None:
    """How a wait ended; None where nobody waited."""
    if outcome is None:
        return None
    return {
        "in_time": outcome.is_good,
        "waited_s": round(outcome.waited_s, 3),
        "cut": outcome.cut,
        "left": outcome.left,
        "processes_behind": outcome.behind,
        "not_up": list(outcome.not_up),
    }


def reload_report(plan: Plan, done: Reloaded) -> dict[str, Any]:
    """A reload that was asked for: its plan, and how it went."""
    return {
        "plan": plan.report(),
        "in_force": done.is_good,
        "generation": done.generation,
        "workers": done.workers,
        "behind": list(done.behind),
        "took_s": round(done.took_s, 3),
    }


def failing(outcome: Outcome) -> str:
    """Why a wait did not end well, in a sentence for each reason."""
    reasons = []
    if outcome.cut:
        reasons.append(f"{outcome.cut} in flight were cut at the deadline")
    if outcome.left:
        reasons.append(f"{outcome.left} in flight are not over even now")
    if outcome.behind:
        reasons.append(f"workers that have not seen it: {outcome.behind}")
    if outcome.not_up:
        reasons.append(f"{', '.join(outcome.not_up)} not UP")
    return f"Not done after {outcome.waited_s:.1f} s: {'; '.join(reasons)}."
