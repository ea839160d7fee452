"""What the API answers to changes, plans and reloads, as models; see `answers`."""

from __future__ import annotations

from lb.admin.answers import Answer, WishName
from lb.admin.asking import Mode  # noqa: TC001 - pydantic needs it


class BackendPlanned(Answer):
    """A backend that comes or goes; `group` is its set."""

    name: str
    address: str
    weight: int
    group: str
    max_in_flight: int
    backup: bool


class BackendChange(Answer):
    """One thing about a backend that changes."""

    name: str
    what: str
    before: str
    after: str


class KeyChange(Answer):
    """A setting that changes; `waits_for` says why not at once."""

    key: str
    before: str
    after: str
    waits_for: str | None


class Moved(Answer):
    """The share of a set's hash keys that another backend gets."""

    group: str
    share: float


class Kept(Answer):
    """What was changed of a backend at run time, and stays so."""

    name: str
    what: str


class Plan(Answer):
    """What a reload would do."""

    is_empty: bool
    added: list[BackendPlanned]
    removed: list[BackendPlanned]
    changed: list[BackendChange]
    keys: list[KeyChange]
    moved: list[Moved]
    kept: list[Kept]


class Planned(Plan):
    """The same, and the shared file of the balancer that it is about."""

    state_path: str


class Reloaded(Answer):
    """How a reload went; `behind` are the pids of workers that do not go by it."""

    plan: Plan
    in_force: bool
    generation: int
    workers: int
    behind: list[int]
    took_s: float


class Changed(Answer):
    """A backend as it was before the change."""

    name: str
    address: str
    set: str
    wish_before: WishName
    weight_before: int
    in_flight: int


class WaitEnded(Answer):
    """How the wait ended; `cut` were in flight at the deadline."""

    in_time: bool
    waited_s: float
    cut: int
    left: int
    processes_behind: int
    not_up: list[str]


class Change(Answer):
    """A change that was made, and the wait for it if there was one."""

    change: str
    generation: int
    backends: list[Changed]
    outcome: WaitEnded | None


class DemoBackend(Answer):
    """A demo backend, and what it was told to do until when (unix time)."""

    name: str
    modes: list[Mode]
    mode: Mode | None
    until: float | None


class DemoLoad(Answer):
    """Whether somebody is there to send load, and until when it does (unix time)."""

    is_there: bool
    until: float | None


class Demo(Answer):
    """Whether the demo's controls work; if not, `reason` says why."""

    controls: bool
    reason: str
    backends: list[DemoBackend]
    load: DemoLoad
