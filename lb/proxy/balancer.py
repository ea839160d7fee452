"""Everything one process needs to balance: the engine and what it stands on.

It is put together here from the settings, for either lane, and taken apart again.
Opening takes a slot in the shared file; nothing runs in the background yet.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from lb.config import SetSettings, state_path
from lb.errors import ConfigError, StateFileError
from lb.http1.response import ResponseParser
from lb.proxy.accesslog import STANDARD_OUTPUT, AccessLog, open_file
from lb.proxy.asker import Timeouts
from lb.proxy.backend_set import BackendSet
from lb.proxy.engine import Engine
from lb.proxy.loads import LiveLoads
from lb.proxy.placement import Placement
from lb.proxy.placing import check_policies, policy_of, router_of
from lb.proxy.roster import Roster
from lb.proxy.tally import LockedTally, PlainTally
from lb.proxy.waiting import QueueLimits
from lb.shm import SharedFile, publish
from lb.upstream.backend import LiveBackend, PoolLimits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.config import Settings
    from lb.model import Backend
    from lb.shm import Slot
    from lb.streams.stream import Transport

WITHOUT_LOG = "off"


class ReplacedError(StateFileError):
    """The shared file was replaced between its opening and its use."""


class Balancer:
    """One process's engine, roster, slot and log; `close` gives all of it back.

    `threads` says whether requests are served in more than one thread; `published`
    whether the shared file was made for this process already (see `join`).

    Raises:
        ConfigError, StateFileError: it cannot be put together; the message says why.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        *,
        threads: bool,
        published: bool = False,
    ) -> None:
        self.settings = settings
        self.file, self.slot = join(settings, published=published)
        parser = ResponseParser(limit_bytes=settings.limits.head_bytes)
        limits = PoolLimits(
            idle=settings.pool.idle_connections,
            idle_s=settings.pool.idle_timeout,
            age_s=settings.pool.max_age,
        )

        def make(backend: Backend) -> LiveBackend:
            return LiveBackend(backend, transport, parser, limits)

        self.in_flight = self.file.in_flight_reader()
        self.tally = (LockedTally if threads else PlainTally)(self.slot)
        placement = self._place(settings)
        self._lines = [each.line for each in placement.by_name.values()]
        self.roster = Roster(self.file, self.slot, placement.by_name, make)
        timeouts = Timeouts(
            connect_s=settings.timeouts.connect,
            response_s=settings.timeouts.response,
            idle_s=settings.timeouts.idle,
        )
        self.engine = Engine(
            self.roster,
            self.tally,
            timeouts,
            find_set=placement.find,
        )
        self.log = open_access_log(settings)

    def __repr__(self) -> str:
        return f"<Balancer pid={os.getpid()} slot={self.slot.index}>"

    def _place(self, settings: Settings) -> Placement:
        """The sets of these settings, still without members, and their router."""
        loads = LiveLoads(self.in_flight)
        sets = [
            BackendSet(
                each.name,
                policy_of(
                    # What nobody uses is not checked at the start: it must not raise.
                    each if each.backends else SetSettings(name=each.name),
                    offset=self.slot.index,
                    loads=loads,
                    folder=settings.folder,
                ),
                policy_name=each.balance.policy,
                attempts=each.retries.attempts,
                queue=QueueLimits(
                    size=each.queue.size,
                    timeout_s=each.queue.timeout,
                    hold_s=each.queue.hold,
                ),
                tally=self.tally,
                loads=loads,
            )
            for each in settings.sets
        ]
        return Placement(sets, router_of(settings))

    def beat(self) -> None:
        """What is to be done once a second, also while no request comes."""
        self.slot.beat(time.time())
        self.tally.recorder.set_clock(unix=time.time(), monotonic=time.monotonic())
        self.in_flight.refresh()
        self.roster.refresh()
        self.slot.tell_resting(
            queued=sum(map(len, self._lines)),
            idle={live.row: live.idle_connections for live in self.roster.backends},
        )

    def close(self) -> None:
        """Close idle connections, write the log's rest, release the slot."""
        self.roster.close()
        if self.log is not None:
            self.log.close()
        self.slot.release()
        self.file.close()


def join(settings: Settings, *, published: bool) -> tuple[SharedFile, Slot]:
    """The shared file of these settings, made if need be, and a slot in it.

    A `published` one, which an arbiter has made, is taken as it is: a worker that
    starts when no other lives (they all died, or a reload ended them first) would
    else make it anew, and verdicts and the operator's wishes would be forgotten.

    Raises:
        StateFileError: it cannot be used; the message says why.
    """
    path = state_path(settings)
    if published:
        # Where it was removed or damaged since, making it anew is right after all.
        with contextlib.suppress(StateFileError):
            return _enter(path)
    publish(path, settings.all_backends)
    with contextlib.suppress(ReplacedError):
        return _enter(path)
    # Another publisher was faster with a file that nobody used: use its.
    publish(path, settings.all_backends)
    return _enter(path)


def _enter(path: Path) -> tuple[SharedFile, Slot]:
    file = SharedFile.open(path)
    try:
        return file, file.take_slot()
    except StateFileError as error:
        is_current = file.is_current()
        file.close()
        if is_current:
            raise
        raise ReplacedError(str(error)) from error


def check(settings: Settings) -> None:
    """Say what would keep every `Balancer` from being opened, before any is.

    Makes the access log's file, if there is none.

    Raises:
        ConfigError: a policy cannot be made, or the access log cannot be written.
    """
    check_policies(settings)
    where = _log_target(settings)
    if where not in (WITHOUT_LOG, STANDARD_OUTPUT):
        with _log_faults(where):
            os.close(open_file(where))


def open_access_log(settings: Settings) -> AccessLog | None:
    """The access log that the settings ask for, or None.

    Raises:
        ConfigError: its file cannot be written.
    """
    where = _log_target(settings)
    if where == WITHOUT_LOG:
        return None
    with _log_faults(where):
        return AccessLog(where, limit=settings.log.buffer_lines)


def _log_target(settings: Settings) -> str:
    """`off`, `-`, or the absolute path of a file."""
    where = settings.log.access
    if where in (WITHOUT_LOG, STANDARD_OUTPUT):
        return where
    return str(settings.folder / where)


@contextlib.contextmanager
def _log_faults(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"log.access: cannot write {where}: {error.strerror}"
        ) from error
