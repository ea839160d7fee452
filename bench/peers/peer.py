"""What a peer is: how it is started for a duty that is equal for all.

The duty: kept-alive connections on both sides, round robin over the backends,
`X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded`, `X-Request-Id` and `Via` set, bodies
streamed, no compression, no cache, 300 s for idle clients, the access log off (or to a
file, written in blocks where the peer can).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
"""The project's root, where `gunicorn lb.wsgi:app` finds its settings."""

KEEPALIVE_S: Final = 300
"""How long a client's connection may idle: longer than any run."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What a peer is to do; `folder` is its own, for files that it needs."""

    port: int
    backends: tuple[str, ...]
    workers: int
    folder: Path
    access_log: Path | None = None
    probe_interval_s: float = 2.0

    def backends_file(self) -> Path:
        """A file with the address of one backend per line, written anew."""
        path = self.folder / "backends.txt"
        path.write_text("\n".join(self.backends))
        return path


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and its additional environment. It stays in the foreground."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def nothing_to_build(folder: Path) -> None:
    """What most peers do before the first run."""


def nothing_lacks() -> str:
    """What a peer says whose needs are the benchmark's own."""
    return ""


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy. `lacks()` is what to install, or nothing.

    `build(folder)` is called once, before all runs, with the folder that `Duty.folder`
    is in. `versions()` may be asked only when nothing lacks.
    """

    name: str
    launch: Callable[[Duty], Launch]
    versions: Callable[[], dict[str, str]]
    lacks: Callable[[], str] = nothing_lacks
    build: Callable[[Path], None] = nothing_to_build


def needs_program(program: str, advice: str) -> Callable[[], str]:
    """A `lacks` that looks for a program."""

    def lacks() -> str:
        return "" if shutil.which(program) else f"{program} is missing ({advice})"

    return lacks
