"""Settings for quick health checks, and real backends to check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Container

# A busy machine is slow, not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@dataclass(frozen=True)
class QuickEject:
    """Ejection as by default, but for times."""

    failures: int = 5
    time: float = 1.0
    time_max: float = 4.0
    share: int = 50


@dataclass(frozen=True)
class QuickFlap:
    """No flap damping, unless a test asks for it."""

    changes: int = 0
    window: float = 60.0
    hold: float = 0.5
    hold_max: float = 1.0


@dataclass(frozen=True)
class Quick:
    """Health settings with short times, in the shape that `lb.health` expects."""

    kind: str = "tcp"
    interval: float = 0.3
    fast_interval: float = 0.05
    timeout: float = 0.5
    rise: int = 2
    fall: int = 3
    path: str = "/"
    status: Container[int] = range(200, 400)
    host: str = ""
    body: str = ""
    header: str = ""
    concurrency: int = 8
    panic: int = 50
    slow_start: float = 0.0
    eject: QuickEject = field(default_factory=QuickEject)
    flap: QuickFlap = field(default_factory=QuickFlap)


@pytest.fixture
def quick() -> Quick:
    return Quick()
