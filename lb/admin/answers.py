"""What the API answers, as models: for the OpenAPI document, and for its test.

Answers are made by `lb.report` as plain values and are not checked against these at
run time; tests hold every real answer against the document that is made of them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

VerdictName = Literal["unknown", "up", "down"]
WishName = Literal["ready", "drain", "maint"]


class _Answer(BaseModel):
    """An answer has what is declared, no more and no less."""

    model_config = ConfigDict(extra="forbid")


class Fault(_Answer):
    """One thing that is wrong with a query or body."""

    field: str
    reason: str


class Problem(_Answer):
    """Why a request was refused (RFC 9457)."""

    title: str
    status: int
    detail: str
    faults: list[Fault] = []


class Health(_Answer):
    """This process answers."""

    status: Literal["ok"]


class Readiness(_Answer):
    """Whether the balancer can serve, and if not, why."""

    ready: bool
    workers: int
    available: int
    reason: str


class Probe(_Answer):
    """One health check; `at` is unix time."""

    at: float
    ok: bool
    duration_s: float
    detail: str


class BackendNow(_Answer):
    """A backend: what is configured, wished, found and under way."""

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
    ejected: bool
    ejected_until: float | None
    share: int
    notes: list[str]
    since: float | None
    reason: str
    last_probe: Probe | None
    probes: list[Probe]
    probed: int
    probes_failed: int
    ejections: int
    in_flight: int
    requests: int
    retries: int
    retries_refused: int


class Removed(_Answer):
    """A backend of the settings that was removed at run time."""

    name: str
    address: str


class Backends(_Answer):
    """Every backend; `generation` rises with each change."""

    generation: int
    backends: list[BackendNow]
    removed: list[Removed]


class Worker(_Answer):
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


class Workers(_Answer):
    """The processes that serve, and the one that checks health."""

    generation: int
    checker_pid: int | None
    workers: list[Worker]


class Status(_Answer):
    """Everything that is now."""

    state_path: str
    generation: int
    settings_generation: int
    checker_pid: int | None
    workers: list[Worker]
    backends: list[BackendNow]
    removed: list[Removed]


class WorkersPool(_Answer):
    """One worker's idle connections to a backend."""

    slot: int
    idle: int


class Pool(_Answer):
    """The idle connections to a backend."""

    backend: str
    idle: int
    workers: list[WorkersPool]


class Pools(_Answer):
    """The idle connections to all backends, as of the workers' heartbeats."""

    pools: list[Pool]


class Recorded(_Answer):
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


class Requests(_Answer):
    """Recorded requests."""

    requests: list[Recorded]


class ExplainedRequests(_Answer):
    """Recorded requests of one id, each with its story."""

    requests: list[Explained]


class EventTold(_Answer):
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
    ]
    backend: str | None
    before: str | int | None
    after: str | int | None
    reason: str
    who: str


class EventsTold(_Answer):
    """Events, the oldest first; `lost` were overwritten before they were read."""

    events: list[EventTold]
    cursor: str
    lost: int


class Setting(_Answer):
    """A setting in force; secrets are masked."""

    key: str
    value: str
    origin: str
    meaning: str


class SettingsInForce(_Answer):
    """Every setting."""

    settings: list[Setting]


class BackendPlanned(_Answer):
    """A backend that comes or goes; `group` is its set."""

    name: str
    address: str
    weight: int
    group: str
    max_in_flight: int
    backup: bool


class BackendChange(_Answer):
    """One thing about a backend that changes."""

    name: str
    what: str
    before: str
    after: str


class KeyChange(_Answer):
    """A setting that changes; `waits_for` says why not at once."""

    key: str
    before: str
    after: str
    waits_for: str | None


class Moved(_Answer):
    """The share of a set's hash keys that another backend gets."""

    group: str
    share: float


class Kept(_Answer):
    """What was changed of a backend at run time, and stays so."""

    name: str
    what: str


class Plan(_Answer):
    """What a reload would do."""

    is_empty: bool
    added: list[BackendPlanned]
    removed: list[BackendPlanned]
    changed: list[BackendChange]
    keys: list[KeyChange]
    moved: list[Moved]
    kept: list[Kept]


class Reloaded(_Answer):
    """How a reload went; `behind` are the pids of workers that do not go by it."""

    plan: Plan
    in_force: bool
    generation: int
    workers: int
    behind: list[int]
    took_s: float


class Changed(_Answer):
    """A backend as it was before the change."""

    name: str
    address: str
    set: str
    wish_before: WishName
    weight_before: int
    in_flight: int


class WaitEnded(_Answer):
    """How the wait ended; `cut` were in flight at the deadline."""

    in_time: bool
    waited_s: float
    cut: int
    left: int
    processes_behind: int
    not_up: list[str]


class Change(_Answer):
    """A change that was made, and the wait for it if there was one."""

    change: str
    generation: int
    backends: list[Changed]
    outcome: WaitEnded | None
