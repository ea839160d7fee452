"""What the kernel says of processes: descriptors, memory, connections, who is alive.

All of it is read from /proc, so it is Linux only; costs 0.1 to 3 ms a question.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Final

from trials.errors import TrialError

PORTS: Final = range(15_000, 32_000)
"""Below the ports that Linux gives to outgoing connections (32768 and up)."""

MARK: Final = "EVENHAND_TRIAL"
"""The variable that marks all processes of one trial, also those whose parent died."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on now.

    Raises:
        TrialError: there is none.
    """
    for port in random.sample(PORTS, 1000):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise TrialError("no port is free on 127.0.0.1")


def descriptors(pid: int) -> int:
    """Open files and sockets of a process; 0 if it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 # only how many
    except OSError:
        return 0


def resident_kib(pid: int) -> int:
    """Memory of a process without what it shares with a file, in KiB; 0 if gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next(
        (int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line), 0
    )


def state_of(pid: int) -> str:
    """`R`, `S`, `T` and so on, as proc(5) says; nothing if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def client_ports(pid: int, port: int) -> frozenset[int]:
    """The far ends of a process's connections at its own `port`."""
    ours = _inodes(pid)
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, far, inode = fields[1], fields[2], fields[9]
        if inode in ours and int(local.rpartition(":")[2], 16) == port:
            found.add(int(far.rpartition(":")[2], 16))
    return frozenset(found - {0})


def _inodes(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:  # closed while we looked
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def marked(mark: str) -> dict[int, str]:
    """Living processes that carry this mark, without this one: command by pid."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:  # it ended while we looked, or is another user's
            continue
        if int(folder.name) != os.getpid() and command:
            found[int(folder.name)] = command.decode(errors="replace").strip()
    return found
