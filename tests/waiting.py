"""Wait for a condition, with a deadline: what tests do instead of sleeping.

A condition that does not come in time fails the test and says what was awaited.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 10.0
"""How long a test waits for what must happen, on a slow and busy machine."""


def wait_for(
    condition: Callable[[], object], what: str, *, timeout_s: float = DEADLINE_S
) -> float:
    """How many seconds it took until `condition()` was true.

    Raises:
        AssertionError: it was not within `timeout_s`.
    """
    started = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - started
        assert waited_s < timeout_s, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)
    return time.monotonic() - started
