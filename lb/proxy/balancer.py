"""Everything one process needs to balance: the engine and what it stands on.

It is put together here from the settings, for either lane, and taken apart again.
Opening takes a slot in the shared file; nothing runs in the background yet.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from lb.config import SetSettings, state_path
from lb.errors import ConfigError, StateFileError
from lb.proxy.accesslog import STANDARD_OUTPUT, AccessLog, open_file
from lb.proxy.backend_set import BackendSet, Judging
from lb.proxy.engine import Engine
from lb.proxy.loads import LiveLoads
from lb.proxy.placement import Placement
from lb.proxy.placing import check_policies, policy_of, router_of
from lb.proxy.roster import Roster
from lb.proxy.tally import LockedTally, PlainTally
from lb.proxy.terms import (
    parser_of,
    pool_limits_of,
    queue_limits_of,
    retry_options_of,
    timeouts_of,
    used_balance,
    used_balances,
)
from lb.proxy.tracing import SpanNotes
from lb.proxy.waiting import WaitingLine
from lb.shm import SharedFile, publish
from lb.upstream.backend import LiveBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from lb.balance.policy import Policy
    from lb.config import Settings
    from lb.model import Backend
    from lb.proxy.hedge import Race
    from lb.shm import Slot
    from lb.streams.stream import Transport

WITHOUT_LOG = "off"


class ReplacedError(StateFileError):
    """The shared file was replaced between its opening and its use."""


class Balancer:
    """One process's engine, roster, slot and log; `close` gives all of it back.

    `threads` says whether requests are served in more than one thread; `published`
    whether the shared file was made for this process already (see `join`); `follow`
    is called when the table has changed, and may then `apply` other settings; `race`
    is needed for `retries.hedge`.

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
        follow: Callable[[], None] = lambda: None,
        race: Race | None = None,
    ) -> None:
        self.settings = settings
        self.file, self.slot = join(settings, published=published)
        self._transport = transport
        self._parser, self._limits = parser_of(settings), pool_limits_of(settings)
        self.in_flight = self.file.in_flight_reader()
        self.tally = (LockedTally if threads else PlainTally)(self.slot)
        self._spans = SpanNotes(self.slot)
        self.tally.also(self._spans.by(settings))
        self._loads = LiveLoads(self.in_flight)
        self._sets: dict[str, BackendSet] = {}
        placement = self._place(settings, self._new_policies(settings))
        self.roster = Roster(
            self.file, self.slot, self._sets, self._make_backend, follow=follow
        )
        self.engine = Engine(
            self.roster,
            self.tally,
            timeouts_of(settings),
            find_set=placement.find,
            race=race,
        )
        self.log = open_access_log(settings)

    def __repr__(self) -> str:
        return f"<Balancer pid={os.getpid()} slot={self.slot.index}>"

    def apply(self, settings: Settings) -> None:
        """Go by other settings from now on; where they cannot be, nothing changes.

        What stays keeps what it has: backends their connections and running means,
        sets their lines, and policies their memory where `balance` is the same.
        Requests under way go on as they began. For the roster's `follow`, before it
        reads the table.

        Raises:
            ConfigError: a policy cannot be made, or the access log not be written.
        """
        policies = self._new_policies(settings, self.settings)
        note = self._spans.by(settings)
        log = self._renewed_log(settings)
        # From here on nothing can fail.
        self.tally.also(note)
        placement = self._place(settings, policies)
        self._parser, self._limits = parser_of(settings), pool_limits_of(settings)
        for backend in self.roster.backends:
            backend.use(self._parser, self._limits)
        self.engine.use(timeouts_of(settings), find_set=placement.find)
        old, self.log, self.settings = self.log, log, settings
        if old is not None and old is not log:
            old.close(0.0)  # its thread writes what it has, and nobody waits for it

    def _new_policies(
        self, settings: Settings, before: Settings | None = None
    ) -> dict[str, Policy[Any]]:
        """The policies of sets that are new, or choose otherwise than `before`."""
        there = used_balances(before) if before is not None else {}
        return {
            each.name: policy_of(
                # What nobody uses is not checked at the start: it must not raise.
                each if each.backends else SetSettings(name=each.name),
                offset=self.slot.index,
                loads=self._loads,
                folder=settings.folder,
            )
            for each in settings.sets
            if there.get(each.name) != used_balance(each)
        }

    def _place(
        self, settings: Settings, policies: Mapping[str, Policy[Any]]
    ) -> Placement:
        """The sets of these settings, with these policies if not their own already."""
        for name in self._sets.keys() - {each.name for each in settings.sets}:
            self._sets.pop(name).retire()
        for each in settings.sets:
            there = self._sets.get(each.name)
            if there is None:
                self._sets[each.name] = self._make_set(each, policies[each.name])
                continue
            if each.name in policies:
                there.use_policy(policies[each.name], each.balance.policy)
            there.use_retries(each.retries.attempts, retry_options_of(each))
            there.line.use(queue_limits_of(each))
        for each in settings.sets:
            judging = Judging(each.health.panic, each.health.eject.status)
            self._sets[each.name].use_judging(judging)
        sets = [self._sets[each.name] for each in settings.sets]
        return Placement(sets, router_of(settings))

    def _make_set(self, each: SetSettings, policy: Policy[Any]) -> BackendSet:
        return BackendSet(
            each.name,
            policy,
            policy_name=each.balance.policy,
            attempts=each.retries.attempts,
            line=WaitingLine(queue_limits_of(each), self.slot.turns(each.name)),
            tally=self.tally,
            loads=self._loads,
            options=retry_options_of(each),
        )

    def _make_backend(self, backend: Backend) -> LiveBackend:
        return LiveBackend(backend, self._transport, self._parser, self._limits)

    def _renewed_log(self, settings: Settings) -> AccessLog | None:
        """The access log that the settings ask for: the same one, or another."""
        if _log_target(settings) != _log_target(self.settings) or (
            settings.log.buffer_lines != self.settings.log.buffer_lines
        ):
            return open_access_log(settings)
        if self.log is not None:
            self.log.reopen()
        return self.log

    def beat(self) -> None:
        """What is to be done once a second, also while no request comes."""
        self.slot.beat(time.time())
        self.tally.recorder.set_clock(unix=time.time(), monotonic=time.monotonic())
        self.in_flight.refresh()
        self.roster.refresh()
        self.slot.tell_resting(
            queued=sum(len(each.line) for each in self._sets.values()),
            queues={
                each.members[0].row: len(each.line)
                for each in self._sets.values()
                if each.members
            },
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
