"""One run: a proxy started for it, checked, warmed up, measured, checked again, ended.

A fresh process per run keeps the memory and the leftovers of one workload out of the
next. A run whose proxy gives errors or wrong bodies is void: it is in the record
with its reason and in no median.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import exact, fixed_rate, idle, transfer, wrk
from bench.accounting import CpuMeter, resident_bytes
from bench.errors import RunVoidError
from bench.measurement import LoadResult, Measurement
from bench.peers import Duty
from bench.processes import free_port, running, wait_until_ready
from bench.scraped import scraped
from bench.workloads import Load

if TYPE_CHECKING:
    from bench.exact import Address
    from bench.machine import Cores
    from bench.peers import Peer
    from bench.processes import Child
    from bench.static_backends import Backends
    from bench.workloads import Workload

MOST_WARM_UP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs share: cores, backends, a folder, how long a run is."""

    cores: Cores
    backends: Backends
    folder: Path
    seconds: float
    workers: int
    with_admin: bool = False
    """Whether Evenhand's admin process runs, too, and is scraped each second."""

    def run(self, peer: Peer, workload: Workload, number: int) -> Measurement:
        """The figures of one run, or why it is void; `number` is the round's."""
        try:
            figures = self._figures(peer, workload)
        except RunVoidError as error:
            return Measurement(workload.name, peer.name, number, {}, void=str(error))
        return Measurement(workload.name, peer.name, number, figures)

    def _figures(self, peer: Peer, workload: Workload) -> dict[str, float]:
        with tempfile.TemporaryDirectory(
            dir=self.folder, ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            folder.chmod(0o755)  # for workers of another user
            duty = self._duty(workload, folder)
            launch = peer.launch(duty)
            with contextlib.ExitStack() as stack:
                child = stack.enter_context(
                    running(
                        launch.argv,
                        cores=self.cores.proxy,
                        log=folder / "output",
                        environment=launch.environment,
                    )
                )
                if self.with_admin and peer.name == "evenhand":
                    others = self.cores.others
                    stack.enter_context(scraped(launch, folder, others))
                return Run(self, child, workload, ("127.0.0.1", duty.port)).figures()

    def _duty(self, workload: Workload, folder: Path) -> Duty:
        return Duty(
            port=free_port(),
            backends=self.backends.of(workload),
            workers=self.workers,
            folder=folder,
            access_log=folder / "access.log" if workload.logs_access else None,
            probe_interval_s=workload.probe_interval_s,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """A proxy that was just started, and what it is to be measured with."""

    bench: Bench
    child: Child
    workload: Workload
    address: Address

    def figures(self) -> dict[str, float]:
        """Everything that this run tells; keys are those of `FIGURES`.

        Raises:
            RunVoidError: the run does not count.
        """
        wait_until_ready(self.child, self._answers)
        exact.check(self.address, self.workload)
        self._load(min(MOST_WARM_UP_S, self.bench.seconds / 2))
        if self.workload.load is Load.IDLE:
            figures = self._beside_idle()
        else:
            figures = self._metered()
        figures["peak_bytes"] = resident_bytes(self.child.pid, peak=True)
        return figures

    def _answers(self) -> bool:
        """Whether the proxy answers at all; whether rightly is checked afterwards."""
        request = self.workload.head(0)
        sent = self.workload.sent()
        return exact.fetch(self.address, request, body=sent).status == 200

    def _beside_idle(self) -> dict[str, float]:
        before = resident_bytes(self.child.pid)
        with idle.held(self.address, self.workload) as connections:
            grown = resident_bytes(self.child.pid) - before
            figures = self._metered()
            idle.check_held(connections)
        return {**figures, "idle_bytes": grown / len(connections)}

    def _metered(self) -> dict[str, float]:
        """The load's figures and what it cost the proxy."""
        meter = CpuMeter(self.child.pid)
        result = self._load(self.bench.seconds)
        spent_us = meter.spent_ns() / 1000
        self._check_bytes(result)
        return {
            "requests": result.requests,
            "requests_per_s": result.requests / result.elapsed_s,
            "p50_us": result.p50_us,
            "p99_us": result.p99_us,
            "p999_us": result.p999_us,
            "cpu_us": spent_us / result.requests,
        }

    def _load(self, seconds: float) -> LoadResult:
        match self.workload.load:
            case Load.RATE:
                return fixed_rate.run(self.address, self.workload, seconds=seconds)
            case Load.TRANSFER:
                return transfer.run(self.address, self.workload, seconds=seconds)
            case Load.WRK | Load.IDLE:
                return self._wrk(seconds)

    def _wrk(self, seconds: float) -> LoadResult:
        connections = self.workload.connections
        return wrk.run(
            self.address,
            self.workload,
            seconds=seconds,
            threads=wrk.threads_for(connections, len(self.bench.cores.others)),
            lua=self.bench.folder / "load.lua",
        )

    def _check_bytes(self, result: LoadResult) -> None:
        reply = exact.check(self.address, self.workload)
        exact.check_bytes(result, reply, connections=self.workload.connections)
