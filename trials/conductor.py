"""Does what a plan says to a running balancer, and notes when it was done.

Each deed is begun, waited for, and undone; deeds of different stories overlap.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import LbError
from trials.bundle import WORKERS
from trials.census import client_ports, state_of
from trials.errors import TrialError
from trials.incidents import ALL_KILLED, LIMITED, WORKER_KILLED, Incident
from trials.plan import ALL_DOWN, OPERATOR, PROCESSES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from lb.shm import SharedFile
    from trials.bundle import Bundle
    from trials.fleet import Backend
    from trials.plan import Step

SETTLE_S: Final = 10.0
STOPS_S: Final = 0.1
DRAIN_S: Final = "30"
FLAP_S: Final = 0.4
"""How long a flapping backend is there, or gone, at a time."""

STORIES: Final = {
    "processes": {deed.name for deed in PROCESSES},
    "operator": {deed.name for deed in OPERATOR},
    "backends": {ALL_DOWN.name},
}
AT_ONCE: Final = 2
"""Backends that fail together, also where one takes long to return."""

ORDERLY: Final = frozenset(
    {"reset", "close", "garbage", "busy", "half", "stale", "slow"}
)
"""Faults that a backend makes itself when it is told to."""


def story_of(deed: str) -> str:
    """Which story of the plan a deed belongs to; the backends' if to no other."""
    return next((name for name, deeds in STORIES.items() if deed in deeds), "backends")


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Whether an event happens within so many seconds, which this waits at most."""
    try:
        async with asyncio.timeout(max(0.0, within_s)):
            await event.wait()
    except TimeoutError:
        pass
    return event.is_set()


class Conductor:
    """Performs steps; `file` is the balancer's shared file."""

    def __init__(
        self,
        bundle: Bundle,
        backends: Sequence[Backend],
        spare: Backend,
        file: SharedFile,
    ) -> None:
        self._bundle = bundle
        self._backends = {backend.name: backend for backend in backends}
        self._locks = {name: asyncio.Lock() for name in self._backends}
        self._few = asyncio.Semaphore(AT_ONCE)
        self._turns = {name: asyncio.Lock() for name in STORIES}
        self._spare = spare
        self._file = file
        self._reloads = 0
        # Those of one story wait for each other: a machine may be slower than its plan.
        self._deeds: dict[str, Callable[[Step], Awaitable[None]]] = {
            WORKER_KILLED: self._kill_worker,
            "stop worker": self._stop_worker,
            "kill checker": self._kill_checker,
            "stop checker": self._stop_checker,
            "more workers": self._change_workers,
            "fewer workers": self._change_workers,
            "reload by signal": self._reload,
            "reload by command": self._reload,
            "drain": self._take_out,
            "maint": self._take_out,
            "weight": self._weigh,
            "add": self._add,
            ALL_KILLED: self._kill_all,
        }
        self.incidents: list[Incident] = []
        self.done = 0
        """Steps that were begun."""

    async def perform(self, steps: Sequence[Step], stop: asyncio.Event) -> None:
        """Do each at its time, and return when all is undone.

        From `stop` on nothing more is begun.
        """
        began = monotonic()
        under_way: set[asyncio.Task[None]] = set()
        for step in steps:
            if await happens(stop, began + step.at_s - monotonic()):
                break
            self.done += 1
            task = asyncio.create_task(self._do(step))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def restore(self) -> None:
        """Everything as it was at the beginning, as an operator would make sure of."""
        for backend in self._backends.values():
            backend.do("well")
        self._bundle.configure()
        await self._bundle.command("reload")

    async def _do(self, step: Step) -> None:
        try:
            await self._make(step)
        except (OSError, LbError, TrialError) as error:
            # What comes after it would not be what the plan says.
            self._bundle.complaints.append(f"{step}: {error!r}")

    async def _make(self, step: Step) -> None:
        if step.deed in self._deeds:
            async with self._turns[story_of(step.deed)]:
                await self._deeds[step.deed](step)
            return
        backend = self._backends[step.target]
        async with (
            self._locks[step.target],
            self._few,
            self._incident(step.deed, step.target),
        ):
            await self._fail(backend, step)

    @contextlib.asynccontextmanager
    async def _incident(self, deed: str, backend: str = "") -> AsyncIterator[Incident]:
        incident = Incident(deed, backend, monotonic())
        self.incidents.append(incident)
        yield incident
        incident.ended = monotonic()

    async def _fail(self, backend: Backend, step: Step) -> None:
        if step.deed in ORDERLY:
            backend.do(step.deed, step.amount)
            await asyncio.sleep(step.lasts_s)
            backend.do("well")
        elif step.deed == "kill":
            await backend.kill()
            await asyncio.sleep(step.lasts_s)
            await backend.start()
        elif step.deed == "stop":
            backend.send(signal.SIGSTOP)
            await asyncio.sleep(step.lasts_s)
            backend.send(signal.SIGCONT)
        elif step.deed == "flap":
            await self._flap(backend, step.lasts_s)

    async def _kill_all(self, step: Step) -> None:
        """They return one after the other, as after a power cut."""
        async with contextlib.AsyncExitStack() as stack:
            for lock in self._locks.values():
                await stack.enter_async_context(lock)
            for _ in range(AT_ONCE):
                await stack.enter_async_context(self._few)
            await stack.enter_async_context(self._incident(ALL_KILLED))
            for name, backend in self._backends.items():
                await stack.enter_async_context(self._incident("kill", name))
                backend.send(signal.SIGKILL)
            for backend in self._backends.values():
                await backend.kill()
            await asyncio.sleep(step.lasts_s)
            for backend in self._backends.values():
                await backend.start()

    async def _flap(self, backend: Backend, lasts_s: float) -> None:
        until = monotonic() + lasts_s
        while monotonic() < until:
            await backend.kill()
            await asyncio.sleep(FLAP_S)
            await backend.start()
            await asyncio.sleep(FLAP_S)

    def _workers(self) -> list[int]:
        """The living workers that take connections, the oldest first."""
        slots = [s for s in self._file.slots() if s.alive and not s.is_leaving]
        return [slot.pid for slot in sorted(slots, key=lambda slot: slot.started)]

    def _younger_worker(self, step: Step) -> int:
        """One of them, but not the oldest, whose memory is to tell of a long time."""
        workers = self._workers()[1:]
        return workers[int(step.at_s * 100) % len(workers)] if workers else 0

    async def _kill_worker(self, step: Step) -> None:
        """Stop it first: so nothing is accepted between the look and the end."""
        pid = self._younger_worker(step)
        if not pid:
            return
        async with self._incident(WORKER_KILLED) as incident:
            os.kill(pid, signal.SIGSTOP)
            give_up = monotonic() + STOPS_S
            while state_of(pid) != "T" and monotonic() < give_up:
                await asyncio.sleep(0)
            incident.ports = client_ports(pid, self._bundle.port)
            incident.began = monotonic()
            os.kill(pid, signal.SIGKILL)
        await self._await_workers(WORKERS)

    async def _stop_worker(self, step: Step) -> None:
        if pid := self._younger_worker(step):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(step.lasts_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def _kill_checker(self, step: Step) -> None:
        self._bundle.send_checker(signal.SIGKILL)
        await asyncio.sleep(step.lasts_s)
        await self._bundle.start_checker()

    async def _stop_checker(self, step: Step) -> None:
        self._bundle.send_checker(signal.SIGSTOP)
        await asyncio.sleep(step.lasts_s)
        self._bundle.send_checker(signal.SIGCONT)

    async def _change_workers(self, step: Step) -> None:
        more, fewer = (signal.SIGTTIN, +1), (signal.SIGTTOU, -1)
        there, back = (more, fewer) if step.deed == "more workers" else (fewer, more)
        self._bundle.send(there[0])
        await asyncio.sleep(step.lasts_s)
        await self._await_workers(WORKERS + there[1])
        self._bundle.send(back[0])
        await self._await_workers(WORKERS)

    async def _await_workers(self, count: int) -> None:
        """Return when so many take connections; complains if that does not come."""
        give_up = monotonic() + SETTLE_S
        while len(self._workers()) != count:
            if monotonic() > give_up:
                self._bundle.complaints.append(
                    f"{len(self._workers())} workers after {SETTLE_S:g} s, not {count}"
                )
                return
            await asyncio.sleep(0.05)

    async def _reload(self, step: Step) -> None:
        self._reloads += 1
        is_limited = self._bundle.configure(self._reloads)
        self._limit(is_limited=is_limited)
        if step.deed == "reload by signal":
            self._bundle.send(signal.SIGHUP)
        else:
            await self._bundle.command("reload")

    def _limit(self, *, is_limited: bool) -> None:
        """Note since when, and until when, backends may be full."""
        now = monotonic()
        for incident in self.incidents:
            if incident.deed == LIMITED and incident.ended > now:
                incident.ended = now + SETTLE_S
        if is_limited:
            self.incidents.append(Incident(LIMITED, "", now))

    async def _take_out(self, step: Step) -> None:
        await self._bundle.command(step.deed, step.target, "--wait", DRAIN_S)
        await asyncio.sleep(step.lasts_s)
        await self._bundle.command("ready", step.target)

    async def _weigh(self, step: Step) -> None:
        await self._bundle.command("weight", step.target, f"{step.amount:g}")
        await asyncio.sleep(step.lasts_s)
        await self._bundle.command("weight", step.target, "1")

    async def _add(self, step: Step) -> None:
        name = self._spare.name
        await self._bundle.command("add", f"{name}={self._spare.address}")
        await asyncio.sleep(step.lasts_s)
        await self._bundle.command("drain", name, "--wait", DRAIN_S)
        await self._bundle.command("remove", name)
