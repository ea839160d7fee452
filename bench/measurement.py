"""What one run gives, and the names and units of its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the load saw: latencies in microseconds, bytes as they were on the wire."""

    requests: int
    elapsed_s: float
    received_bytes: int
    p50_us: float
    p99_us: float
    p999_us: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one run of one peer; each key is one of `FIGURES`."""

    workload: str
    peer: str
    round: int
    figures: dict[str, float]
    void: str = ""
    """Why the run does not count; then it has no figures."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run: its key in the record, its title, how it is shown."""

    key: str
    title: str
    unit: str
    scale: float = 1.0

    def shown(self, value: float) -> str:
        """The value with three digits that matter."""
        scaled = value / self.scale
        digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
        return f"{scaled:,.{digits}f}"


CPU: Final = Figure("cpu_us", "CPU per request", "µs")

FIGURES: Final = (
    Figure("requests_per_s", "requests", "1/s"),
    Figure("p50_us", "p50", "ms", 1000),
    Figure("p99_us", "p99", "ms", 1000),
    Figure("p999_us", "p99.9", "ms", 1000),
    CPU,
    Figure("peak_bytes", "peak memory", "MiB", 1024 * 1024),
    Figure("idle_bytes", "idle connection", "KiB", 1024),
)
