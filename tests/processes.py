"""Real processes under test: where they run, their ports, and which ones are alive.

What a test starts is found again in two ways: by its process group, and by a mark
in the environment that this run gives to all its children, also to those whose
parent died.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
"""The project's root, where everything is started as its users do."""

MARK = "EVENHAND_TEST_RUN"
"""The variable that marks the children of this run of the tests."""

FIXED_PORTS = range(15_000, 32_000)
"""Below the ports that Linux gives to outgoing connections (32768 and up).

On one of those, a connect to a backend that is down may by chance meet itself.
"""


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    for port in random.sample(FIXED_PORTS, 1000):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def group_members(group: int) -> list[int]:
    """The processes of a group, without those that only await their parent."""
    return [
        int(folder.name)
        for folder, fields in _processes()
        if int(fields[2]) == group and fields[0] != "Z"
    ]


def marked() -> list[int]:
    """The living processes that carry this run's mark, without this one."""
    return carriers(MARK, os.environ[MARK])


def carriers(name: str, value: str) -> list[int]:
    """The living processes with that variable in their environment, without this one.

    By it a test finds again what it started, whatever group or session that is in.
    """
    wanted = f"{name}={value}".encode()
    found = []
    for folder, _ in _processes():
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended while we looked, or is another user's
            continue
        if wanted in variables and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def command_of(pid: int) -> str:
    """The command line of a process, for a message."""
    try:
        data = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "(ended)"
    return data.replace(b"\0", b" ").decode(errors="replace").strip()


def _processes() -> Iterator[tuple[Path, list[str]]]:
    """Every process: its folder, and its state, parent, group and so on."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        yield stat.parent, fields
