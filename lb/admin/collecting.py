"""Every metric of a balancer, read from the shared file at the moment of the scrape.

Names begin with `evenhand_`; times are seconds, sizes bytes, counters end in `_total`.
Counters are sums over all slots that were ever used, so they go on rising when workers
die, are replaced or become fewer; they begin anew when a backend leaves the table and
comes back, or when the balancer is started anew. Workers are told apart by their slot,
which a replaced worker's successor takes over, and not by pid: series stay few.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from lb import __version__
from lb.admin.backend_families import Owners, about_backends
from lb.admin.families import BALANCER, Family, Numbers, Owner, Split
from lb.errors import StateFileError
from lb.report import by_class
from lb.shm import leader_pid, span_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.config import Settings
    from lb.shm import FigureReader, SharedFile


class Collector:
    """A collector for `prometheus_client`; `families` is the same for fast text.

    `figures` may be shared with others who read the same file.
    """

    def __init__(
        self, source: Source, in_force: InForce, figures: FigureReader
    ) -> None:
        self._figures = figures
        self._source = source
        self._in_force = in_force
        self._owners = Owners()

    def collect(self) -> Iterator[Metric]:
        """The library's question."""
        return (family.metric() for family in self.families())

    def families(self) -> Iterator[Family]:
        """Every family, one after the other; without a balancer only two."""
        yield about_build()
        try:
            with self._source.use() as file:
                yield _up(1)
                settings = self._in_force.settings(file)
                yield about_settings(settings)
                yield from about_requests(file)
                yield from about_changes(file)
                yield from about_workers(file)
                labels = self._owners.look(file)
                yield from about_backends(file, settings, labels, self._figures)
        except StateFileError:
            yield _up(0)


def _up(value: int) -> Numbers:
    return _one(
        "evenhand_balancer_up", "Whether there is a shared file to read.", value
    )


def _one(name: str, about: str, value: float, kind: str = "gauge") -> Numbers:
    return Numbers(name, kind, about, [(BALANCER, value)])


def about_build() -> Numbers:
    """What runs here."""
    build = Owner(version=__version__, python=platform.python_version())
    about = "The version that the admin process runs."
    return Numbers("evenhand_build_info", "gauge", about, [(build, 1)])


def about_settings(settings: Settings) -> Numbers:
    """How the balancer is set to choose and to check."""
    return Numbers(
        "evenhand_settings_info",
        "gauge",
        "Policy and kind of probes of each set.",
        [
            (Owner(set=s.name, policy=s.balance.policy, health=s.health.kind), 1)
            for s in settings.sets
        ],
    )


def about_requests(file: SharedFile) -> Iterator[Family]:
    """What all processes together did."""
    totals = file.worker_totals()
    yield Split(
        "evenhand_requests_total",
        "counter",
        "Requests that are over, by the class of the status that the client got.",
        "code",
        [(BALANCER, by_class(totals.statuses))],
    )
    yield Split(
        "evenhand_request_failures_total",
        "counter",
        "Requests that did not end well, by reason (RFC 9209, and client_left).",
        "reason",
        [(BALANCER, totals.endings)],
    )
    yield _one(
        "evenhand_connections_total",
        "Connections of clients that were accepted.",
        totals.accepted,
        "counter",
    )
    yield Split(
        "evenhand_spans_total",
        "counter",
        "Traced requests by what became of their spans.",
        "result",
        [(BALANCER, span_counts(file)._asdict())],
    )


def about_changes(file: SharedFile) -> Iterator[Family]:
    """What changed, how often, and whether anybody looks after it."""
    yield _one(
        "evenhand_table_generation",
        "How often backends, wishes or verdicts changed.",
        file.generation(),
    )
    yield _one(
        "evenhand_settings_generation",
        "How often settings were put in force.",
        file.settings_generation(),
    )
    yield _one(
        "evenhand_checker_up",
        "Whether some process checks health.",
        int(leader_pid(file) is not None),
    )
    end = file.events_end()
    yield _one(
        "evenhand_events_total",
        "Events that were told.",
        end.table + end.health,
        "counter",
    )


def about_workers(file: SharedFile) -> Iterator[Family]:
    """The processes that serve, by slot; of slots without one only totals are told."""
    slots, generation = file.slots(), file.generation()
    everyone = [(Owner(slot=str(slot.index)), slot) for slot in slots]
    living = [(owner, slot) for owner, slot in everyone if slot.alive]
    yield _one("evenhand_workers", "Processes that serve now.", len(living))
    yield Numbers(
        "evenhand_worker_up",
        "gauge",
        "Whether the slot, if it was ever used, has a living process.",
        [(owner, int(slot.alive)) for owner, slot in everyone],
    )
    yield Numbers(
        "evenhand_worker_generations_behind",
        "gauge",
        "Changes of the table that the worker has not taken in yet.",
        [(o, max(0, generation - slot.generation_seen)) for o, slot in living],
    )
    settings = file.settings_generation()
    yield Numbers(
        "evenhand_worker_settings_behind",
        "gauge",
        "Settings put in force that the worker does not go by yet.",
        [(o, max(0, settings - slot.settings_seen)) for o, slot in living],
    )
    for kind, of, table in (
        ("gauge", living, WORKER_GAUGES),
        ("counter", everyone, WORKER_COUNTERS),
    ):
        for name, about, what in table:
            rows = [(owner, getattr(slot, what)) for owner, slot in of]
            yield Numbers(f"evenhand_worker_{name}", kind, about, rows)


WORKER_GAUGES: Final = (
    ("connections", "Connections of clients that are open.", "connections"),
    ("requests_in_flight", "Requests under way at backends.", "in_flight"),
    ("queued_requests", "Requests that wait, at the heartbeat.", "queued"),
    ("idle_connections", "Pooled connections to backends, at the heartbeat.", "idle"),
    ("heartbeat_timestamp_seconds", "When it last said that it runs.", "heartbeat"),
    ("start_timestamp_seconds", "When the process began to serve.", "started"),
)
"""Families of living processes: name, meaning, and the attribute of `SlotState`."""

WORKER_COUNTERS: Final = (
    ("connections_total", "Connections of clients that were accepted.", "accepted"),
    ("requests_total", "Requests that are over.", "requests"),
)
"""The same of all slots that were ever used."""
