"""What a leader does: probes when due, verdicts as they follow, turn by turn.

Verdicts live in the shared file, so a new term goes on from the last one's; only
the counts of probes in a row start anew.  The probes run in threads (under
gevent's patch: greenlets); all else, every store too, happens in the thread that
calls `turn`.
"""

from __future__ import annotations

import os
import queue
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lb.health.attendance import Attendance
from lb.health.probe import probe
from lb.health.schedule import Pace, Schedule
from lb.health.verdict import HealthState
from lb.model import Verdict, Wish
from lb.shm import VerdictWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lb.health.settings import HealthSettings
    from lb.health.verdict import Transition
    from lb.model import Address
    from lb.shm import BackendState, Leadership, ProbeRecord, SharedFile

TURN_S = 0.1
"""The longest turn: how late a stop, a new wish or a failed connect may be noticed.
A turn in which nothing happens costs about 0.1 ms."""
SWEEP_S = 1.0


class Log(Protocol):
    """What the checker needs of a logger."""

    def info(self, msg: str, /, *args: object) -> None:
        """Log something that people want to know."""

    def warning(self, msg: str, /, *args: object) -> None:
        """Log something that people should look at."""

    def exception(self, msg: str, /, *args: object) -> None:
        """Log the exception being handled."""


@dataclass(slots=True)
class Watched:
    """A backend under watch: what the file said of it, and the counts."""

    known: BackendState
    settings: HealthSettings
    """Its set's."""
    health: HealthState
    verdict_at: float
    """Unix time of the verdict, 0.0 for none."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A probe that ended; no record if it could not even be tried."""

    id: int
    record: ProbeRecord | None
    error: BaseException | None = None


class Term:
    """One time of leading: the schedule, the counts and the probes under way.

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
        self._seen_generation = -1
        self._failures = file.failure_totals()
        self._next_sweep = 0.0
        self._attendance = Attendance(file.present())
        self._next_hearing = 0.0
        self._under_way = 0
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
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

    def turn(self) -> None:
        """Do what is to be done now; takes at most about `TURN_S`."""
        now = time.monotonic()
        self._read_backends(now)
        self._hear_traffic(now)
        self._sweep(now)
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
        self._schedule.reset(
            {key: pace_of(watched.settings) for key, watched in self._watched.items()},
            now,
        )

    def _watch(self, known: BackendState, before: Watched | None) -> Watched:
        settings = self._by_set.get(known.backend.group, self._settings)
        if before is not None and before.settings is settings:
            before.known = known
            return before
        # In another set other probes count: the row of them starts anew.
        verdict, since = known.verdict, known.since
        if before is not None:
            verdict, since = before.health.verdict, before.verdict_at
        health = HealthState(verdict, rise=settings.rise, fall=settings.fall)
        return Watched(known, settings, health, since)

    def _hear_traffic(self, now: float) -> None:
        """Probe at once what a worker could not connect to.

        Turns may be many more than 10 a second, and this is 0.5 ms for 4,096 rows.
        """
        if now < self._next_hearing:
            return
        self._next_hearing = now + TURN_S
        failures = self._file.failure_totals()
        if failures == self._failures:
            return
        before, self._failures = self._failures, failures
        for key, watched in self._watched.items():
            row = watched.known.row
            if failures[row] > before[row]:
                self._schedule.probe_now(key, now)

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

    def _start_due(self, now: float) -> None:
        room = self._settings.concurrency - self._under_way
        for key in self._schedule.take_due(now, room):
            self._under_way += 1
            self._threads.submit(self._run, key, self._watched[key])

    def _run(self, key: int, watched: Watched) -> None:
        """In a thread of the pool: one probe, and word of its end."""
        try:
            record = self._check(watched.known.backend.address, watched.settings)
        # Whatever a probe raises must come back, or it stays under way for ever.
        except Exception as error:  # noqa: BLE001
            self._ended.put(Ended(key, None, error))
        else:
            self._ended.put(Ended(key, record))

    def _wait_s(self, now: float) -> float:
        """How long nothing will be due; an ending probe cuts it short."""
        due = self._schedule.next_due()
        if due is None or self._under_way >= self._settings.concurrency:
            return TURN_S
        return min(TURN_S, max(0.0, due - now))

    def _take_in(self, wait_s: float) -> None:
        """Wait for a probe to end, then take in all that have."""
        try:
            self._heed(self._ended.get(timeout=wait_s))
            while True:
                self._heed(self._ended.get_nowait())
        except queue.Empty:
            pass

    def _heed(self, ended: Ended) -> None:
        self._under_way -= 1
        watched = self._watched.get(ended.id)
        in_doubt = False
        if ended.record is None:
            self._log.warning("a health check could not be made: %r", ended.error)
        elif watched is not None:
            self._judge(watched, ended.record)
            in_doubt = watched.health.in_doubt
        self._schedule.done(ended.id, time.monotonic(), in_doubt=in_doubt)

    def _judge(self, watched: Watched, record: ProbeRecord) -> None:
        """Store the probe; store and log the verdict if it changed."""
        known = watched.known
        if not self._writer.record_probe(known.row, known.id, record):
            return
        transition = watched.health.record(record.ok)
        if transition is None:
            return
        reason = reason_of(transition, record)
        self._writer.set_verdict(
            known.row, known.id, transition.after, reason=reason, at=record.at
        )
        log = self._log.info if record.ok else self._log.warning
        log(
            "backend %s (%s) is %s: %s (%s)",
            known.backend.name,
            known.backend.address,
            transition.after.name,
            reason,
            past_of(transition, record.at - watched.verdict_at),
        )
        watched.verdict_at = record.at


def pace_of(settings: HealthSettings) -> Pace:
    """How often a backend with these settings is probed."""
    return Pace(settings.interval, settings.fast_interval)


def reason_of(transition: Transition, last: ProbeRecord) -> str:
    """Why the verdict changed, as it is logged and kept."""
    checks = "1 check" if transition.streak == 1 else f"{transition.streak} checks"
    outcome = "passed" if transition.after is Verdict.UP else "failed"
    if last.ok:
        took = f" in {last.duration_s:.3f} s"
    else:
        # A timeout's detail says its time itself.
        took = "" if " after " in last.detail else f" after {last.duration_s:.3f} s"
    return f"{checks} {outcome}, last: {last.detail}{took}"


def past_of(transition: Transition, lasted_s: float) -> str:
    """What the verdict was before, and for how long."""
    if transition.before is Verdict.UNKNOWN:
        return "its first verdict"
    return f"was {transition.before.name} for {lasted_s:.1f} s"
