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

Chance = random.Random


@dataclass(frozen=True, slots=True)
class Kind:
    """What clients of one kind ask for, and how often they use a connection again."""

    name: str
    make: Callable[[Chance, bytes], Ask]
    reuses: float = 1.0
    """The share of requests whose connection is kept."""


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


KINDS: Final = (
    Kind("pages", get),
    Kind("pages", get),
    Kind("newcomers", get, reuses=0.0),
    Kind("pages", get, reuses=0.7),
    Kind("forms", post),
    Kind("files", get_large, reuses=0.8),
    Kind("uploads", post_large, reuses=0.8),
    Kind("changes", put, reuses=0.9),
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

    async def _run(self, kind: Kind, chance: Chance) -> None:
        line: Line | None = None
        for rest_s in self._rests(chance):
            if self._is_over.is_set():
                break
            ask = kind.make(chance, b"%d" % next(self._numbers))
            answer, line = await self._ask(line, ask)
            self._ledger.note(answer)
            if line is not None and chance.random() >= kind.reuses:
                line.close()
                line = None
            await self._rest(rest_s if answer.is_good else max(rest_s, PATIENCE_S))
        if line is not None:
            line.close()

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

    async def _ask(self, line: Line | None, ask: Ask) -> tuple[Answer, Line | None]:
        """The answer, and the connection if it may be used again."""
        began = monotonic()
        if line is not None and not line.is_usable:
            line.close()
            line = None
        if line is None:
            try:
                line = await Line.to(self._port)
            except OSError as error:
                return Answer(ask, began, monotonic(), why=repr(error)), None
        answer = await line.ask(ask)
        return answer, line if answer.may_go_on else None
