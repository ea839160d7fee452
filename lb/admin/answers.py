"""What the API answers, as models: for the OpenAPI document, and for its test.

Answers are made by `lb.report` as plain values and are not checked against these at
run time; tests hold every real answer against the document that is made of them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

VerdictName = Literal["unknown", "up", "down"]
WishName = Literal["ready", "drain", "maint"]


class Answer(BaseModel):
    """An answer has what is declared, no more and no less."""

    model_config = ConfigDict(extra="forbid")


class Fault(Answer):
    """One thing that is wrong with a query or body."""

    field: str
    reason: str


class Problem(Answer):
    """Why a request was refused (RFC 9457)."""

    title: str
    status: int
    detail: str
    faults: list[Fault] = []


class Health(Answer):
    """This process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """Whether the balancer can serve, and if not, why."""

    ready: bool
    workers: int
    available: int
    reason: str


class Probe(Answer):
    """One health check; `at` is unix time."""

    at: float
    ok: bool
    duration_s: float
    detail: str


class Ejected(Answer):
    """Why traffic got a backend ejected, for the how manieth time lately."""

    times: int
    at: float
    until: float
    why: str


class BackendNow(Answer):
    """A backend: what is configured, wished, found and under way."""

    id: int
    name: str
    address: str
    set: str
    weight: int
    max_in_flight: int
    backup: bool
    changed: list[str]
    verdict: VerdictName
    wish: WishName
    cut_at: float | None
    available: bool
    share: int
    is_gone: bool
    ejected: Ejected | None
    ejections: int
    held_until: float | None
    changes: int
    since: float | None
    reason: str
    last_probe: Probe | None
    probes: list[Probe]
    probed: int
    probes_failed: int
    is_served: bool
    in_flight: int
    requests: int
    retries: int
    retries_refused: int
    cut: int


class ProbePhases(Probe):
    """The same with its phases, null where it did not come to one."""

    connect_s: float | None
    head_s: float | None


class FailedRequest(Answer):
    """A recorded request that failed at a backend, if only in an attempt."""

    ended: float
    id: str
    method: str
    target: str
    status: int
    label: str


class Traffic(Answer):
    """What traffic saw of a backend: ever, and in the last `recent_s` seconds."""

    attempts: int
    connect_failures: int
    failures: dict[str, int]
    recent_s: float
    recent: int
    recent_failed: int
    recent_labels: dict[str, int]
    last_failed: list[FailedRequest]


class BackendHealth(Answer):
    """Why a backend is as it is; `outlook` says what changes that, and when."""

    outlook: list[str]
    probes: list[ProbePhases]
    traffic: Traffic


class BackendExplained(BackendNow):
    """A backend with its health."""

    health: BackendHealth


class SetNow(Answer):
    """A set's line-up; `served` are the ids of the backends that get requests."""

    name: str
    is_panic: bool
    available: int
    judged: int
    served: list[int]


class Removed(Answer):
    """A backend of the settings that was removed at run time."""

    name: str
    address: str


class Backends(Answer):
    """Every backend; `generation` rises with each change."""

    generation: int
    backends: list[BackendNow]
    removed: list[Removed]


class Worker(Answer):
    """A process that serves; `behind` are changes that it has not seen yet."""

    slot: int
    pid: int
    started: float
    heartbeat_age_s: float
    generation_seen: int
    behind: int
    settings_seen: int
    is_leaving: bool
    connections: int
    accepted: int
    requests: int
    in_flight: int
    queued: int
    idle_connections: int


class Workers(Answer):
    """The processes that serve, and the one that checks health."""

    generation: int
    checker_pid: int | None
    workers: list[Worker]


class Status(Answer):
    """Everything that is now."""

    state_path: str
    generation: int
    settings_generation: int
    checker_pid: int | None
    workers: list[Worker]
    sets: list[SetNow]
    backends: list[BackendNow]
    removed: list[Removed]


class WorkersPool(Answer):
    """One worker's idle connections to a backend."""

    slot: int
    idle: int


class Pool(Answer):
    """The idle connections to a backend."""

    backend: str
    idle: int
    workers: list[WorkersPool]


class Pools(Answer):
    """The idle connections to all backends, as of the workers' heartbeats."""

    pools: list[Pool]


class Recorded(Answer):
    """A finished request; phases are seconds, null where it did not come to one."""

    slot: int
    number: int
    began: float
    ended: float
    request_id: str
    client: str
    method: str
    target: str
    status: int
    label: str
    backend_id: int
    backend: str
    attempts: int
    tried: list[int]
    tried_names: list[str]
    policy: str
    queued_s: float | None
    connect_s: float | None
    to_head_s: float | None
    total_s: float
    bytes_in: int
    bytes_out: int


class Explained(Recorded):
    """The same with its story: sentences by what they are about."""

    story: dict[str, str]


class Requests(Answer):
    """Recorded requests."""

    requests: list[Recorded]


class ExplainedRequests(Answer):
    """Recorded requests of one id, each with its story."""

    requests: list[Explained]


class EventTold(Answer):
    """Something that happened, with before and after in words or numbers."""

    id: str
    at: float
    kind: Literal[
        "other",
        "verdict",
        "wish",
        "weight",
        "added",
        "removed",
        "checker",
        "worker_came",
        "worker_went",
        "settings",
        "ejected",
        "readmitted",
        "panic",
        "demo",
    ]
    backend: str | None
    before: str | int | None
    after: str | int | None
    reason: str
    who: str


class EventsTold(Answer):
    """Events, the oldest first; `lost` were overwritten before they were read."""

    events: list[EventTold]
    cursor: str
    lost: int


class Steps(Answer):
    """Requests each second, and p99 in seconds, null where no request ended."""

    rate: list[float]
    p99_s: list[float | None]


class HistoryTold(Answer):
    """The last minutes in steps that end `at`, unix times, the oldest first.

    Backends that had no requests are left out; their attempts are counted, retries too.
    """

    at: list[float]
    all: Steps
    backends: dict[str, Steps]


class Setting(Answer):
    """A setting in force; secrets are masked."""

    key: str
    value: str
    origin: str
    meaning: str


class SettingsInForce(Answer):
    """Every setting."""

    settings: list[Setting]
