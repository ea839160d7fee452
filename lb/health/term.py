"""What a leader does: probes when due, listening, and what follows, turn by turn.

Standings live in the shared file, so a new term goes on from the last one's; only
the counts of probes and faults in a row start anew.  Connects are made here without
waiting (`lb.health.connects`), other probes in threads (under gevent's patch:
greenlets); all else, every store too, happens in the thread that calls `turn`.
"""

from __future__ import annotations

import os
import queue
import random
import time
from typing import TYPE_CHECKING, Protocol

from lb.balance.line_up import line_up
from lb.health.attendance import Attendance
from lb.health.connects import Connects
from lb.health.ejection import Others, refusal
from lb.health.hearing import Hearing
from lb.health.probe import probe
from lb.health.schedule import FEW, Pace, Schedule
from lb.health.watched import Watched
from lb.model import Wish
from lb.shm import EventKind, Happening, Record, VerdictWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lb.health.settings import HealthSettings
    from lb.model import Address
    from lb.shm import BackendState, Leadership, ProbeRecord, SharedFile

TURN_S = 0.1
"""The longest turn: how late a stop or a new wish may be noticed."""
GRAIN_S = 0.005
"""The shortest turn where there are more than a `FEW` backends: a turn costs 0.1 ms
under gevent, so what is due within it is started together."""
SWEEP_S = 1.0
SURVEY_S = 0.1
"""How often it is looked whether a set is in panic, where anything changed."""
WORST = (" is DOWN", " is EJECTED", " not ejected")
"""What is told as a warning."""

Ending = tuple[int, "ProbeRecord | BaseException"]
"""A probe that ended, by its backend's id; an error if it could not even be tried."""


class Log(Protocol):
    """What the checker needs of a logger."""

    def info(self, msg: str, /, *args: object) -> None:
        """Log something that people want to know."""

    def warning(self, msg: str, /, *args: object) -> None:
        """Log something that people should look at."""

    def exception(self, msg: str, /, *args: object) -> None:
        """Log the exception being handled."""


class Term:
    """One time of leading: the schedule, the machines and the probes under way.

    `check` makes one probe; it may be called in many threads at a time.  `by_set`
    and `settings` as for `Checker`.
    """

    def __init__(
        self,
        file: SharedFile,
        settings: HealthSettings,
        log: Log,
        *,
        leadership: Leadership,
        by_set: Mapping[str, HealthSettings] | None = None,
        check: Callable[[Address, HealthSettings], ProbeRecord] = probe,
    ) -> None:
        self._file = file
        self._settings = settings
        self._by_set = by_set or {}
        self._log = log
        self._check = check
        self._writer = VerdictWriter(file, leadership)
        self._schedule = Schedule(random.random)
        self._watched: dict[int, Watched] = {}
        self._by_row: dict[int, int] = {}
        self._sets: dict[str, list[Watched]] = {}
        self._changed_sets: set[str] = set()
        self._in_panic: set[str] = set()
        self._restless: set[int] = set()
        self._seen_generation = -1
        self._hearing = Hearing(file)
        self._next_sweep = self._next_survey = 0.0
        self._attendance = Attendance(file.present())
        self._under_way = 0
        self._ended: queue.SimpleQueue[Ending] = queue.SimpleQueue()
        self._connects = Connects()
        # Imported here, after gevent's patch: the module makes a lock as it loads.
        from concurrent.futures import ThreadPoolExecutor

        self._threads = ThreadPoolExecutor(settings.concurrency, "health-probe")
        self._read_backends(time.monotonic())
        log.info(
            "process %d checks the health of %d backends",
            os.getpid(),
            len(self._schedule),
        )

    def close(self) -> None:
        """Start no more probes; those under way end unheard, by their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._connects.close()

    def turn(self) -> None:
        """Do what is to be done now; takes at most about `TURN_S`."""
        now = time.monotonic()
        self._read_backends(now)
        self._hear_traffic(now)
        self._let_time_pass()
        self._sweep(now)
        self._survey(now)
        self._start_due(now)
        self._take_in(self._wait_s(now))

    def _read_backends(self, now: float) -> None:
        """Look at the table again if it changed since the last look."""
        table_cell = self._file.generation_cells[0]
        generation = self._file.cells[table_cell]
        if generation == self._seen_generation:
            return
        # Remembered before the reading: a change meanwhile is read next time.
        self._seen_generation = generation
        old = self._watched
        self._watched = {
            known.id: self._watch(known, old.get(known.id))
            for known in self._file.backends()
            if known.wish is not Wish.MAINT
        }
        self._by_row = {w.known.row: key for key, w in self._watched.items()}
        self._sets = {}
        for watched in self._watched.values():
            self._sets.setdefault(watched.known.backend.group, []).append(watched)
        self._changed_sets.update(self._sets)
        self._hearing.forget_others(set(self._watched))
        self._restless = {k for k, w in self._watched.items() if w.is_restless}
        self._schedule.reset(
            {key: pace_of(watched.settings) for key, watched in self._watched.items()},
            now,
        )

    def _watch(self, known: BackendState, before: Watched | None) -> Watched:
        settings = self._by_set.get(known.backend.group, self._settings)
        now = time.time()
        if before is None:
            return Watched(known, settings, now)
        before.known = known
        if before.settings is not settings:
            # In another set other probes count: the row of them starts anew.
            before.use(settings, before.standing(now), before.memory(now), now)
        return before

    def _hear_traffic(self, now: float) -> None:
        """Eject whom traffic speaks against; probe at once what cannot be connected to.

        Between them who has failed is probed at once, too: the verdict may be late.
        """
        for key, heard in self._hearing.listen(self._by_row, now):
            watched = self._watched[key]
            if heard.connects:
                self._schedule.probe_now(key, now)
            if watched.heard(heard):
                self._put_out(key, watched)
                self._schedule.probe_now(key, now)

    def _put_out(self, key: int, watched: Watched) -> None:
        """Eject a backend, if its set can do without it."""
        now = time.time()
        members = self._sets[watched.known.backend.group]
        why_not = refusal(others_of(members), watched.rules, watched.settings.panic)
        told = watched.refuse(why_not) if why_not else watched.eject(now)
        self._publish(watched, told, now)
        if not why_not:
            self._restless.add(key)

    def _let_time_pass(self) -> None:
        """End ejections whose time is over, and let who came back get more."""
        now = time.time()
        for key in list(self._restless):
            watched = self._watched.get(key)
            if watched is not None:
                told = watched.tick(now)
                if told or watched.is_new(now):
                    self._publish(watched, told, now)
            if watched is None or not watched.is_restless:
                self._restless.discard(key)

    def _sweep(self, now: float) -> None:
        """Empty the slots of processes that died; tell who came and went."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_S
        dead = self._file.sweep()
        for pid in dead:
            self._log.info("process %d died; its slot was emptied", pid)
        for what in self._attendance.look(self._file.present(), dead):
            self._writer.tell(what)

    def _survey(self, now: float) -> None:
        """Tell which sets are in panic, and which no more."""
        if not self._changed_sets or now < self._next_survey:
            return
        self._next_survey = now + SURVEY_S
        changed, self._changed_sets = self._changed_sets, set()
        for name in changed:
            members = self._sets.get(name, [])
            if not members:
                continue
            found = line_up(members, members[0].settings.panic)
            if found.is_panic == (name in self._in_panic):
                continue
            reason = f"{name}: {found.available} of {found.judged} are available"
            self._writer.tell(
                Happening(EventKind.PANIC, after=found.is_panic, reason=reason)
            )
            if found.is_panic:
                self._in_panic.add(name)
                self._log.warning(
                    "set %s is in PANIC: %d of %d backends that can be connected to"
                    " are available, so all %d get requests",
                    name,
                    found.available,
                    found.judged,
                    found.judged,
                )
            else:
                self._in_panic.discard(name)
                self._log.info("set %s is not in panic any more", name)

    def _start_due(self, now: float) -> None:
        room = self._settings.concurrency - self._under_way
        for key in self._schedule.take_due(now, room):
            self._under_way += 1
            watched = self._watched[key]
            address = watched.known.backend.address
            if watched.settings.kind == "tcp" and self._connects.is_for(address):
                self._connects.start(key, address, watched.settings.timeout)
            else:
                self._threads.submit(self._run, key, watched)

    def _run(self, key: int, watched: Watched) -> None:
        """In a thread of the pool: one probe, and word of its end."""
        try:
            record = self._check(watched.known.backend.address, watched.settings)
        # Whatever a probe raises must come back, or it stays under way for ever.
        except Exception as error:  # noqa: BLE001
            self._ended.put((key, error))
        else:
            self._ended.put((key, record))

    def _wait_s(self, now: float) -> float:
        """How long nothing will be due; an ending probe cuts it short."""
        wait_s = min(TURN_S, self._hearing.wait_s(now), self._connects.wait_s())
        due = self._schedule.next_due()
        if due is None or self._under_way >= self._settings.concurrency:
            return wait_s
        grain_s = GRAIN_S if len(self._schedule) > FEW else 0.0
        return max(grain_s, min(wait_s, due - now))

    def _take_in(self, wait_s: float) -> None:
        """Wait for a probe to end, then take in all that have."""
        for key, found in self._connects.poll():
            self._heed(key, found)
            wait_s = 0.0
        try:
            self._heed(*self._ended.get(timeout=wait_s))
            while True:
                self._heed(*self._ended.get_nowait())
        except queue.Empty:
            pass

    def _heed(self, key: int, found: ProbeRecord | BaseException) -> None:
        self._under_way -= 1
        watched = self._watched.get(key)
        in_doubt = False
        if isinstance(found, BaseException):
            self._log.warning("a health check could not be made: %r", found)
        elif watched is not None:
            self._judge(key, watched, found)
            in_doubt = watched.in_doubt
        self._schedule.done(key, time.monotonic(), in_doubt=in_doubt)

    def _judge(self, key: int, watched: Watched, record: ProbeRecord) -> None:
        """Store the probe, and whatever follows from it."""
        known = watched.known
        if not self._writer.record_probe(known.row, known.id, record):
            return
        told = watched.probed(record)
        if told or watched.is_new(record.at):
            self._publish(watched, told, record.at)
        if watched.is_restless:
            self._restless.add(key)

    def _publish(self, watched: Watched, told: Sequence[str], now: float) -> None:
        """Store a backend's standing and tell why it changed."""
        known = watched.known
        self._changed_sets.add(known.backend.group)
        record = Record(
            watched.publish(now),
            watched.since,
            watched.reason,
            memory=watched.memory(now),
        )
        if not self._writer.judge(known.row, known.id, record):
            return
        for what in told:
            line = f"backend {known.backend.name} ({known.backend.address}) {what}"
            is_bad = any(worst in line for worst in WORST)
            (self._log.warning if is_bad else self._log.info)("%s", line)


def pace_of(settings: HealthSettings) -> Pace:
    """How often a backend with these settings is probed."""
    return Pace(settings.interval, settings.fast_interval)


def others_of(members: Sequence[Watched]) -> Others:
    """How a set stands, for `lb.health.ejection.refusal`. O(n)."""
    wanted = [m for m in members if m.is_wanted]
    return Others(
        wanted=len(wanted),
        judged=sum(m.is_judged for m in wanted),
        available=sum(m.is_available for m in wanted),
        ejected=sum(m.ejection.is_out for m in wanted),
    )
