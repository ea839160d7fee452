"""The same faults under the same load, through Evenhand, nginx and HAProxy in turn.

Each run has a proxy of its own, so none starts with what another run has taught it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from bench.peers.peer import Duty
from bench.processes import running
from trials import fleet
from trials.asking import Ask, Line
from trials.census import free_port
from trials.crowd import Crowd, Kind, get, post
from trials.errors import TrialError
from trials.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.peers.peer import Peer
    from trials.fleet import Backend
    from trials.scenarios import Scenario

NAMES: Final = ("one", "two", "three")
KINDS: Final = (
    Kind("pages", get),
    Kind("pages", get),
    Kind("pages", get),
    Kind("forms", post),
)
CLIENTS: Final = 16
PER_SECOND: Final = 800.0
WORKERS: Final = 2
START_S: Final = 20.0
WARM_UP_S: Final = 1.0
AFTER_S: Final = 1.0
"""Load goes on so long after a backend's return, in any case."""

RETURN_S: Final = 15.0
"""And at most so long, until it is served again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario through one peer; `return_s` is None if nobody was away."""

    scenario: str
    peer: str
    requests: int
    failed_gets: int
    failed_posts: int
    double_posts: int
    worst_s: float
    return_s: float | None
    """Seconds from the return to the first answer; `RETURN_S`: not in that time."""

    def cells(self) -> list[str]:
        """As the table has them."""
        back = "" if self.return_s is None else f"{self.return_s:.2f} s"
        if self.return_s is not None and self.return_s >= RETURN_S:
            back = f"not in {RETURN_S:g} s"
        return [
            *(self.scenario, self.peer, f"{self.requests:,}", str(self.failed_gets)),
            *(str(self.failed_posts), str(self.double_posts)),
            *(f"{self.worst_s * 1000:,.0f} ms", back),
        ]


HEADS: Final = (
    "what happens",
    "through",
    "requests",
    "GETs failed",
    "POSTs failed",
    "POSTs twice",
    "worst wait",
    "served again after",
)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A table in Markdown, aligned for terminals too."""
    rows = [list(HEADS), *(outcome.cells() for outcome in outcomes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    for number, row in enumerate(rows):
        cells = (
            cell.rjust(width) if i > 1 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield f"| {' | '.join(cells)} |"
        if not number:
            marks = (
                "-" * (w - 1) + ":" if i > 1 else "-" * w for i, w in enumerate(widths)
            )
            yield f"| {' | '.join(marks)} |"


async def compare(
    peers: Sequence[Peer], scenarios: Sequence[Scenario], say: Callable[[str], None]
) -> list[Outcome]:
    """All outcomes, scenario by scenario.

    Raises:
        TrialError: a backend or a proxy does not start.
    """
    outcomes = []
    with tempfile.TemporaryDirectory(
        prefix="evenhand-faults-", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)  # for workers of another user
        for scenario in scenarios:
            for peer in peers:
                run = Run(scenario, peer, folder / f"{scenario.name}-{peer.name}")
                outcomes.append(await run.outcome())
                say(" ".join(outcomes[-1].cells()))
    return outcomes


class Run:
    """One scenario through one peer, with backends and a proxy of its own."""

    def __init__(self, scenario: Scenario, peer: Peer, folder: Path) -> None:
        self._scenario = scenario
        self._peer = peer
        self._folder = folder
        self._ledger = Ledger()

    async def outcome(self) -> Outcome:
        """All of it.

        Raises:
            TrialError: a backend or the proxy does not start.
        """
        self._folder.mkdir(mode=0o755)
        backends = await fleet.started(NAMES, self._folder, os.environ)
        try:
            return_s = await self._through(backends)
        finally:
            await fleet.ended(backends)
        posts: Counter[bytes] = Counter()
        for backend in backends:
            posts.update(backend.posts())
        ledger = self._ledger
        return Outcome(
            self._scenario.title,
            self._peer.name,
            ledger.total,
            ledger.bad,
            len(ledger.failures) - ledger.bad,
            sum(1 for times in posts.values() if times > 1),
            ledger.worst_s,
            return_s,
        )

    async def _through(self, backends: Sequence[Backend]) -> float | None:
        duty = Duty(
            port=free_port(),
            backends=tuple(backend.address for backend in backends),
            workers=WORKERS,
            folder=self._folder,
        )
        launch = self._peer.launch(duty)
        log = self._folder / "output"
        with running(
            launch.argv,
            cores=frozenset(os.sched_getaffinity(0)),
            log=log,
            environment=launch.environment,
        ) as child:
            give_up = monotonic() + START_S
            while not await answers(duty.port, backends):
                if monotonic() > give_up or child.popen.poll() is not None:
                    raise TrialError(f"{self._peer.name}: {child.last_words()}")
                await asyncio.sleep(0.05)
            return await self._load(duty.port, backends)

    async def _load(self, port: int, backends: Sequence[Backend]) -> float | None:
        crowd = Crowd(
            port,
            self._ledger,
            seed=self._scenario.name,
            clients=CLIENTS,
            per_second=PER_SECOND,
            kinds=KINDS,
        )
        crowd.start()
        try:
            await asyncio.sleep(WARM_UP_S)
            back = await self._scenario.happen(backends)
            return await self._await_return([backend.name for backend in back])
        finally:
            await crowd.finish()

    async def _await_return(self, names: Sequence[str]) -> float | None:
        returned = monotonic()
        for name in names:
            self._ledger.forget(name)
        await asyncio.sleep(AFTER_S)
        while not self._ledger.first_served.keys() >= set(names):
            if monotonic() - returned > RETURN_S:
                return RETURN_S
            await asyncio.sleep(0.02)
        times = [self._ledger.first_served[name] - returned for name in names]
        return max(times, default=None)


async def answers(port: int, backends: Sequence[Backend]) -> bool:
    """Whether each of the backends is reached through the proxy."""
    reached = set()
    for number in range(3 * len(backends)):
        with contextlib.suppress(OSError):
            line = await Line.to(port)
            answer = await line.ask(Ask(b"ready-%d" % number, keeps=False))
            reached.add(answer.backend if answer.is_good else "")
    return reached == {backend.name for backend in backends}
