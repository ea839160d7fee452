"""Clients of several kinds that ask at a bounded rate, and tell a ledger what they got.

They come in bursts, since a proxy's faults are in what happens at once, and rest in
between, so that a trial may run for hours on a machine that others use. Each has its
own chance, made of the seed, so the same seed asks for the same things.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final

from trials.asking import Answer, Ask, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trials.ledger import Ledger

BURST: Final = 20
"""Requests in a row at most."""

PATIENCE_S: Final = 0.05
"""What a client waits after an answer that is not good, so that it does no storm."""

LEAVES_S: Final = 0.03
"""Within how long impatient clients leave."""

Chance = random.Random


@dataclass(frozen=True, slots=True)
class Kind:
    """What clients of one kind ask for, and how often they use a connection again."""

    name: str
    make: Callable[[Chance, bytes], Ask]
    reuses: float = 1.0
    """The share of requests whose connection is kept."""
    pipelines: int = 1
    """Requests that are sent before the first answer is read."""
    leaves: float = 0.0
    """The share of requests whose answer is not waited for."""


def get(chance: Chance, request_id: bytes) -> Ask:
    """A small page, every second at once and the others after some milliseconds."""
    return Ask(request_id, wants=chance.randint(2, 600), takes_ms=_takes_ms(chance))


def _takes_ms(chance: Chance) -> int:
    return chance.choice((0, chance.randint(1, 8)))


def get_large(chance: Chance, request_id: bytes) -> Ask:
    """Something of up to 1 MiB."""
    return Ask(
        request_id,
        wants=int(1024 * 2 ** chance.uniform(3, 10)),
        is_chunked=chance.random() < 0.4,
    )


def post(chance: Chance, request_id: bytes) -> Ask:
    """A form, which must not come twice."""
    return Ask(
        request_id, b"POST", sends=chance.randint(1, 900), takes_ms=_takes_ms(chance)
    )


def post_large(chance: Chance, request_id: bytes) -> Ask:
    """An upload of up to 512 KiB."""
    return Ask(
        request_id,
        b"POST",
        sends=int(1024 * 2 ** chance.uniform(2, 9)),
        is_chunked=chance.random() < 0.4,
    )


def put(chance: Chance, request_id: bytes) -> Ask:
    """What may come twice, with a body small enough to be kept for that."""
    return Ask(request_id, b"PUT", sends=chance.randint(1, 30_000), wants=200)


def look(chance: Chance, request_id: bytes) -> Ask:
    """A head only."""
    return Ask(request_id, b"HEAD", wants=chance.randint(2, 5000))


def read_slowly(chance: Chance, request_id: bytes) -> Ask:
    """Something large that is taken slower than it comes."""
    return Ask(request_id, wants=chance.randint(100_000, 1_000_000), reads_slowly=True)


def post_carefully(chance: Chance, request_id: bytes) -> Ask:
    """A form that first asks whether it may."""
    return Ask(request_id, b"POST", sends=chance.randint(1, 90_000), expects=True)


def tunnel(chance: Chance, request_id: bytes) -> Ask:
    """A tunnel for up to a second."""
    wants, takes_ms = chance.randint(1, 20_000), chance.randint(0, 100)
    return Ask(request_id, wants=wants, takes_ms=takes_ms, upgrades=True)


KINDS: Final = (
    Kind("pages", get),
    Kind("forms", post),
    Kind("newcomers", get, reuses=0.0),
    Kind("files", get_large, reuses=0.8),
    Kind("uploads", post_large, reuses=0.8),
    Kind("pages", get, reuses=0.7),
    Kind("changes", put, reuses=0.9),
    Kind("heads", look),
    Kind("slow readers", read_slowly),
    Kind("pages", get),
    Kind("careful", post_carefully, reuses=0.9),
    Kind("tunnels", tunnel),
    Kind("pages", get, pipelines=3),
    Kind("impatient", get_large, leaves=0.5),
    Kind("impatient", post_large, leaves=0.5),
    Kind("forms", post, reuses=0.7),
)
"""In turn, one for each client."""


class Crowd:
    """Clients that ask from `start` until `finish`."""

    def __init__(
        self,
        port: int,
        ledger: Ledger,
        *,
        seed: str,
        clients: int,
        per_second: float,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        self._port = port
        self._ledger = ledger
        self._numbers = count(1)
        self._is_over = asyncio.Event()
        self._each_s = clients / per_second
        self._chances = [Chance(f"{seed} client {n}") for n in range(clients)]
        self._kinds = [kinds[n % len(kinds)] for n in range(clients)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let them come."""
        self._tasks = [
            asyncio.create_task(self._run(*client))
            for client in zip(self._kinds, self._chances, strict=True)
        ]

    async def finish(self) -> None:
        """Let each end the request that it has under way."""
        self._is_over.set()
        await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        """Let them go at once."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, kind: Kind, chance: Chance) -> None:
        line: Line | None = None
        for rest_s in self._rests(chance):
            if self._is_over.is_set():
                break
            asks = [self._next(kind, chance) for _ in range(kind.pipelines)]
            began, line = monotonic(), await self._line(line, asks[0])
            if line is not None and chance.random() < kind.leaves:
                await self._leave(line, asks[0], chance)
                line, is_good = None, True
            else:
                is_good = await self._ask(line, asks, began)
            if line is not None and chance.random() >= kind.reuses:
                line.close()
            await self._rest(rest_s if is_good else max(rest_s, PATIENCE_S))
        if line is not None:
            line.close()

    def _next(self, kind: Kind, chance: Chance) -> Ask:
        return kind.make(chance, b"%d" % next(self._numbers))

    def _rests(self, chance: Chance) -> Iterator[float]:
        """The pause after each request: none in a burst, then what keeps the rate."""
        while True:
            began, burst = monotonic(), chance.randint(1, BURST)
            for _ in range(burst - 1):
                yield 0.0
            yield max(0.0, began + burst * self._each_s - monotonic())

    async def _rest(self, seconds: float) -> None:
        if not seconds:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._is_over.wait()
        except TimeoutError:
            pass

    async def _line(self, line: Line | None, ask: Ask) -> Line | None:
        """A connection that can be used; None where there is none, which is noted."""
        if line is not None:
            if line.is_usable:
                return line
            line.close()
        began = monotonic()
        try:
            return await Line.to(self._port)
        except OSError as error:
            self._ledger.note(Answer(ask, began, monotonic(), why=repr(error)))
            return None

    async def _ask(self, line: Line | None, asks: Sequence[Ask], began: float) -> bool:
        """Note the answers to all of them; whether they were good."""
        if line is None:
            return False
        is_good = True
        if len(asks) == 1:
            answer = await line.ask(asks[0])
            self._ledger.note(answer)
            return answer.is_good
        line.send(b"".join(ask.head() for ask in asks))
        for number, ask in enumerate(asks):
            answer = await line.hear(ask, began)
            self._ledger.note(answer)
            is_good &= answer.is_good
            if not answer.may_go_on:
                # Whoever closes says so: those behind it were not looked at.
                self._ledger.abandoned += len(asks) - number - 1
                break
        return is_good

    async def _leave(self, line: Line, ask: Ask, chance: Chance) -> None:
        """Send it, or half of it, and go without a word some moments later."""
        data = ask.head() + ask.body()
        line.send(data if chance.random() < 0.5 else data[: len(data) // 2])
        self._ledger.abandoned += 1
        await asyncio.sleep(chance.random() * LEAVES_S)
        line.close()
