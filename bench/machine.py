"""The machine under the benchmark: its cores, its limits, what it is.

The proxy gets the first cores and everything else the others, so that what a proxy
costs is not hidden by what the load costs. Nothing here keeps other people's
programs off those cores: measure on a quiet machine.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED_FILES = 16_384
"""Open files: 5,000 idle connections, both their ends at a peer, and some more."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores are the proxy's, and which everybody else's."""

    proxy: frozenset[int]
    others: frozenset[int]


def split(usable: set[int], workers: int) -> Cores:
    """The first `workers` cores for the proxy.

    Raises:
        BenchError: none would be left for the load and the backends.
    """
    ordered = sorted(usable)
    if workers >= len(ordered):
        raise BenchError(
            f"--workers {workers} needs {workers + 1} cores, one more for the load; "
            f"this machine lets us use {len(ordered)}"
        )
    return Cores(frozenset(ordered[:workers]), frozenset(ordered[workers:]))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started inside inherits these cores; this process gets its own back."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> int:
    """Allow this process and its children as many open files as may be; how many.

    Raises:
        BenchError: the hard limit is too low for the workloads.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < WANTED_FILES:
        raise BenchError(
            f"needs {WANTED_FILES} open files, `ulimit -Hn` says {hard}: raise it"
        )
    wanted = max(WANTED_FILES, min(hard, 65_536))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def describe() -> dict[str, str | int]:
    """Kernel, processor, cores and memory, for the record."""
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "load_at_start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _field(path: str, name: str) -> str:
    """The value of the first line `name: value` in a file of /proc."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
