"""Slow start: how much of its weight a backend gets after it came back.

Linear from 10 % to 100 % over a time, in steps of 10 %, as each step makes every
worker build its policy's view anew (50 ms where that is a table for hashing), and so
that no step is shorter than half a second.  Shares count relative to each other: where
all that are left came back together, all get as much as before.  Pure.
"""

from __future__ import annotations

from typing import Final

FIRST_SHARE: Final = 10
STEPS: Final = 10
LEAST_STEP_S: Final = 0.5


def share_at(age_s: float, whole_s: float) -> int:
    """Percent of the weight `age_s` after the return; 100 from `whole_s` on.

    An age below zero (the clock was set back) counts as over: nobody stays small.
    """
    if whole_s <= 0 or not 0 <= age_s < whole_s:
        return 100
    steps = max(1, min(STEPS, int(whole_s / LEAST_STEP_S)))
    done = int(age_s / whole_s * steps) / steps
    return FIRST_SHARE + int((100 - FIRST_SHARE) * done / 10 + 0.5) * 10
