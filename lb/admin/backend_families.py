"""What is told of each backend: labels, gauges, totals, latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from lb.admin.families import BALANCER, Family, Numbers, Owner, Split, Timing
from lb.balance.line_up import line_up
from lb.model import Verdict
from lb.report import by_class
from lb.shm import FULL_SHARE, BackendTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.config import Settings
    from lb.shm import FigureReader, Gauges, Latencies, SharedFile

    Backends = list[tuple[Owner, Gauges]]

NO_BACKEND: Final = 0
NOTHING: Final = BackendTotals()


class Labels(NamedTuple):
    """The labels of each backend, by its id."""

    owners: dict[int, Owner]
    infos: list[Owner]
    """The same with what else is told of each once."""
    sets: dict[int, str]


class Owners:
    """The labels of each backend, made anew only when the table changed."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._found = Labels({}, [], {})

    def look(self, file: SharedFile) -> Labels:
        """Those of now. 15 ms for 2,000 backends after a change, else nothing."""
        seen = file.events_end().born, int(file.cells[file.generation_cells[0]])
        if seen == self._seen:
            return self._found
        found = Labels({}, [], {})
        for key, name, address, group in file.labels():
            found.owners[key] = Owner(backend=name)
            found.infos.append(Owner(backend=name, address=address, set=group))
            found.sets[key] = group
        self._found, self._seen = found, seen
        return found


def about_backends(
    file: SharedFile, settings: Settings, known: Labels, reader: FigureReader
) -> Iterator[Family]:
    """Each backend: what was done for it, what is found of it, how long it takes."""
    owners = known.owners
    yield Numbers(
        "evenhand_backend_info",
        "gauge",
        "Where the backend is, and in which set.",
        [(owner, 1) for owner in known.infos],
    )
    backends = [
        (owners[gauges.id], gauges) for gauges in file.gauges() if gauges.id in owners
    ]
    yield from about_sets(backends, known, settings)
    yield _queues(file, backends, known)
    yield from _found(backends)
    yield from _under_way(file, backends)
    figures = reader.read(file)
    totals, latencies = figures.totals, figures.latencies
    yield from _counted(backends, totals)
    nobody = totals.get(NO_BACKEND, NOTHING)
    yield Split(
        "evenhand_unrouted_requests_total",
        "counter",
        "Requests that never had a backend, by the class of their status.",
        "code",
        [(BALANCER, by_class(nobody.responses))],
    )
    yield from _timed(backends, latencies)


def about_sets(
    backends: Backends, known: Labels, settings: Settings
) -> Iterator[Family]:
    """How many of each set that has backends get requests, and whether for want of any.

    By the same function as workers and checker decide it, of the same cells.
    """
    members: dict[str, list[Gauges]] = {}
    for _, gauges in backends:
        members.setdefault(known.sets[gauges.id], []).append(gauges)
    found = [
        (Owner(set=each.name), line_up(members[each.name], each.health.panic))
        for each in settings.sets
        if each.name in members
    ]
    yield Numbers(
        "evenhand_set_available_backends",
        "gauge",
        "Backends of the set's present tier that are available.",
        [(owner, line.available) for owner, line in found],
    )
    yield Numbers(
        "evenhand_set_in_panic",
        "gauge",
        "Whether so few are available that all that can be connected to get requests.",
        [(owner, int(line.is_panic)) for owner, line in found],
    )


def _queues(file: SharedFile, backends: Backends, known: Labels) -> Family:
    """How many requests wait for each set that has backends, over all workers."""
    waiting = [sum(counts) for counts in zip(*file.queues().values(), strict=True)]
    found = dict.fromkeys(known.sets.values(), 0)
    for _, gauges in backends if waiting else ():
        found[known.sets[gauges.id]] += waiting[gauges.row]
    return Numbers(
        "evenhand_set_queued_requests",
        "gauge",
        "Requests that wait for a backend of the set, at the workers' heartbeats.",
        [(Owner(set=name), count) for name, count in found.items()],
    )


class Figure(NamedTuple):
    """A number that stands in a backend's row, and of which backends it is told."""

    name: str
    about: str
    value: Callable[[Gauges], float]
    is_told: Callable[[Gauges], object] = lambda _: True


FIGURES: Final = (
    Figure("weight", "The weight in force.", lambda g: g.weight),
    Figure(
        "max_in_flight",
        "Requests that may be under way at the backend; without a limit left out.",
        lambda g: g.max_in_flight,
        lambda g: g.max_in_flight,
    ),
    Figure(
        "up",
        "Whether the verdict is UP, or DOWN; none yet: left out.",
        lambda g: int(g.standing.verdict is Verdict.UP),
        lambda g: g.standing.verdict,
    ),
    Figure(
        "available",
        "Whether it is wanted, not DOWN and not ejected.",
        lambda g: int(g.is_available),
    ),
    Figure(
        "taken_out",
        "Whether the operator drains it or has it in maintenance.",
        lambda g: int(not g.is_ready),
    ),
    Figure(
        "ejected",
        "Whether traffic got it ejected.",
        lambda g: int(g.standing.is_ejected),
    ),
    Figure("ejections_total", "How often it was.", lambda g: g.tally.ejections),
    Figure(
        "share_ratio",
        "Of its weight, what it gets: less in a slow start, or as it asks.",
        lambda g: g.standing.share / FULL_SHARE,
    ),
    Figure(
        "verdict_timestamp_seconds",
        "Since when it has its verdict.",
        lambda g: g.since,
        lambda g: g.since,
    ),
    Figure(
        "probe_seconds_total",
        "How long all probes took together.",
        lambda g: g.tally.probing_s,
    ),
    Figure(
        "last_probe_duration_seconds",
        "How long the last probe took.",
        lambda g: g.probe_s,
        lambda g: g.probed_at,
    ),
    Figure(
        "last_probe_timestamp_seconds",
        "When the last probe ended.",
        lambda g: g.probed_at,
        lambda g: g.probed_at,
    ),
)
"""What is configured and wished, and what probes found."""


def _found(backends: Backends) -> Iterator[Family]:
    for name, about, value, is_told in FIGURES:
        kind = "counter" if name.endswith("_total") else "gauge"
        rows = [(o, value(g)) for o, g in backends if is_told(g)]
        yield Numbers(f"evenhand_backend_{name}", kind, about, rows)
    yield Split(
        "evenhand_backend_probes_total",
        "counter",
        "Probes, by how they ended.",
        "result",
        [
            (o, {"passed": g.tally.probes - g.tally.failed, "failed": g.tally.failed})
            for o, g in backends
        ],
    )


def _under_way(file: SharedFile, backends: Backends) -> Iterator[Family]:
    in_flight = file.in_flight_reader().all()
    yield Numbers(
        "evenhand_backend_requests_in_flight",
        "gauge",
        "Requests under way at the backend, over all workers.",
        [(owner, in_flight[gauges.row]) for owner, gauges in backends],
    )
    idle = [sum(counts) for counts in zip(*file.idle().values(), strict=True)]
    yield Numbers(
        "evenhand_backend_idle_connections",
        "gauge",
        "Pooled connections to the backend, over all workers, at their heartbeats.",
        [(owner, idle[gauges.row] if idle else 0) for owner, gauges in backends],
    )


COUNTERS: Final = (
    ("attempts_total", "Requests that it was given, retries too.", "attempts"),
    ("retries_total", "Of its attempts, not the first of their request.", "retries"),
    ("connect_failures_total", "Connects to it that failed.", "connect_failures"),
    ("refused_retries_total", "Retries that the budget refused.", "refused_retries"),
    ("cut_total", "What was cut when its time to drain was over.", "cut"),
    ("received_bytes_total", "Bytes of bodies that clients sent it.", "bytes_in"),
    ("sent_bytes_total", "Bytes of its bodies that were sent to clients.", "bytes_out"),
)
"""Families of totals: name, meaning, and the attribute of `BackendTotals`."""


def _counted(backends: Backends, totals: dict[int, BackendTotals]) -> Iterator[Family]:
    found = [(owner, totals.get(gauges.id, NOTHING)) for owner, gauges in backends]
    for name, about, what in COUNTERS:
        yield Numbers(
            f"evenhand_backend_{name}",
            "counter",
            about,
            [(owner, getattr(total, what)) for owner, total in found],
        )
    yield Split(
        "evenhand_backend_requests_total",
        "counter",
        "Requests that ended at this backend, by the class of the client's status.",
        "code",
        [(owner, by_class(total.responses)) for owner, total in found],
    )
    yield Split(
        "evenhand_backend_failures_total",
        "counter",
        "Attempts that failed, by reason (RFC 9209).",
        "reason",
        [(owner, total.failures) for owner, total in found],
    )


def _timed(backends: Backends, latencies: dict[int, Latencies]) -> Iterator[Family]:
    found = [
        (owner, latencies[gauges.id])
        for owner, gauges in backends
        if gauges.id in latencies
    ]
    yield Timing(
        "evenhand_backend_response_head_seconds",
        "From the beginning of an attempt to its response head.",
        [(owner, times.to_head) for owner, times in found],
    )
    yield Timing(
        "evenhand_backend_request_duration_seconds",
        "The whole time of requests that ended here, as clients saw it.",
        [(owner, times.total) for owner, times in found],
    )
