"""Settings for quick health checks, and real backends to check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Container

# A busy machine is slow, not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


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
    concurrency: int = 8


@pytest.fixture
def quick() -> Quick:
    return Quick()
