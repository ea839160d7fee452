"""What a proxy costs: processor time and memory of all its processes.

Processor time is read from the kernel's clock of each process, user and system
together and in nanoseconds: the sum that utime and stime in /proc/PID/stat round to
10 ms. Time of threads that ended is in it. Work that the kernel does in interrupts
for a process that is not running counts for whoever runs; it is the same for all.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.errors import RunVoidError


def family(pid: int) -> list[int]:
    """A process and its living descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = parent_in(stat.read_text())
        except OSError:  # it ended while we looked
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for member in found:  # grows as it goes
        found += children.get(member, [])
    return found


def parent_in(stat: str) -> int:
    """The parent in a line of /proc/PID/stat; the command in it may hold anything."""
    return int(stat.rpartition(")")[2].split()[1])


def cpu_ns(pid: int) -> int:
    """Processor time of one process so far, all its threads, user and system."""
    # The clock of another process, as clock_getcpuclockid(3) makes it: the inverted
    # id, and 2 for "scheduled time" in the low three bits.
    return time.clock_gettime_ns(~pid << 3 | 2)


class CpuMeter:
    """Processor time of a process and its descendants since the meter was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = {member: cpu_ns(member) for member in family(pid)}

    def spent_ns(self) -> int:
        """Nanoseconds since the start.

        Raises:
            RunVoidError: a process of the family ended, and its time with it.
        """
        now = {member: cpu_ns(member) for member in family(self._pid)}
        if gone := self._before.keys() - now.keys():
            raise RunVoidError(f"processes of the proxy ended in the run: {gone}")
        return sum(ns - self._before.get(member, 0) for member, ns in now.items())


def resident_bytes(pid: int, *, peak: bool = False) -> int:
    """Resident memory of a process and its descendants, now or each at its peak.

    Pages that two of them share count twice.
    """
    name = "VmHWM:" if peak else "VmRSS:"
    return sum(kib_in(_status(member), name) * 1024 for member in family(pid))


def kib_in(status: str, name: str) -> int:
    """The figure of one line of /proc/PID/status, in KiB; 0 where it is missing."""
    for line in status.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it just ended
        return ""
