"""Ask a running balancer to reload, and wait until all its workers have done it.

The settings are looked at with the arbiter's eyes: its settings file as it is now, and
its environment, which is not the caller's. What it would refuse is found out before it
is asked. Then it gets SIGHUP, as from anybody; that it heeded that, and which workers
go by the new settings, stands in the shared file.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from lb import inforce, native
from lb.config import load, load_again, state_path
from lb.errors import ConfigError, StateFileError
from lb.plan import Plan, make_plan
from lb.proxy.balancer import check
from lb.shm import SharedFile

if TYPE_CHECKING:
    from pathlib import Path

    from lb.config import Settings
    from lb.shm import SlotState

POLL_S: Final = 0.02


class Proposal(NamedTuple):
    """A running balancer, by its shared file, and what a reload would do to it."""

    path: Path
    plan: Plan


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reload went.

    `generation` numbers the settings in force, 0 if the arbiter put none in force in
    time; `behind` are the pids of workers that do not go by them, of `workers` in all.
    """

    generation: int
    workers: int
    behind: tuple[int, ...]
    took_s: float

    @property
    def is_good(self) -> bool:
        """Whether every worker goes by the new settings."""
        return bool(self.generation) and not self.behind


def propose(at: Path | None = None) -> Proposal:
    """What a reload would change now, in the balancer whose shared file is `at`.

    Without it, in the one that runs by the settings that the caller finds.

    Raises:
        ConfigError: the settings are not good, or nothing runs by them.
        StateFileError: the shared file cannot be read, or nobody told it settings.
    """
    if at is not None:
        old = inforce.settings_of(at)
        if old is None:
            raise StateFileError(f"no arbiter has put settings in force in {at}")
        return _proposed(at, old)
    mine = load()
    found = inforce.find(mine)
    if found is None:
        raise ConfigError(
            "no balancer runs by these settings: none uses the state file"
            f" {state_path(mine)}"
        )
    return _proposed(*found)


def _proposed(path: Path, old: Settings) -> Proposal:
    new = load_again(old)
    check(new)
    with SharedFile.open(path) as file:
        plan = make_plan(old, file.rows(), new, away=file.removed())
    return Proposal(path, plan)


def reload(path: Path, *, timeout_s: float) -> Outcome:
    """Ask for a reload, and wait for at most `timeout_s` seconds until it is done.

    Raises:
        StateFileError: the shared file cannot be read, or no arbiter is there.
    """
    began = monotonic()
    with SharedFile.open(path) as file:
        before = file.settings_generation()
        asked = _ask(file)
        generation = 0
        while monotonic() - began < timeout_s:
            now = file.settings_generation()
            # While gunicorn upgrades (SIGUSR2), two arbiters do it one after another.
            generation = now if now >= before + asked else 0
            if generation and not _behind(file, generation):
                break
            native.sleep(POLL_S)
        return Outcome(
            generation=generation,
            workers=len(_workers(file)),
            behind=_behind(file, generation),
            took_s=monotonic() - began,
        )


def _workers(file: SharedFile) -> list[SlotState]:
    return [slot for slot in file.slots() if slot.alive and slot.arbiter]


def _behind(file: SharedFile, generation: int) -> tuple[int, ...]:
    """Who does not go by these settings, but for who is about to end."""
    return tuple(
        slot.pid
        for slot in _workers(file)
        if slot.settings_seen < generation and not slot.is_leaving
    )


def _ask(file: SharedFile) -> int:
    """Send SIGHUP to the arbiters of all workers; how many there are."""
    asked = 0
    for pid in {slot.arbiter for slot in _workers(file)}:
        with contextlib.suppress(ProcessLookupError):  # its workers are about to end
            os.kill(pid, signal.SIGHUP)
            asked += 1
    if not asked:
        raise StateFileError(
            f"no arbiter uses the state file {file.path}: only workers of gunicorn"
            " can reload; start anything else again"
        )
    return asked
