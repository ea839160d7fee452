"""What would change if settings were put in force: a pure comparison.

Between what is in force (the settings that the arbiter took, and the table with what
operators made of it since) and settings as they would be loaded now. The same plan is
what `lb plan` prints, what `lb reload` asks for, and what the arbiter logs and goes by.
Nothing is read or changed here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb.balance.buckets import Buckets
from lb.config import changed_keys
from lb.model import Backend, Wish
from lb.shm import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lb.config import KeyChange, Settings
    from lb.shm import TableRow

RESTART: Final = {
    "bind": "the listening sockets stay until a restart",
    "state.path": "all processes meet there until a restart",
}
"""Keys that stay as they are until everything is started again, and why."""

ELSEWHERE: Final = {
    "admin": "the admin process takes it at its next start",
    "demo": "the admin process takes it at its next start",
}
"""Sections that no balancing process looks at, and who does."""

HASH: Final = "hash"


class BackendChange(NamedTuple):
    """One thing about a backend that stays."""

    name: str
    what: str
    before: str
    after: str


class Moved(NamedTuple):
    """The share, 0 to 1, of a set's hash keys that another backend would get."""

    group: str
    share: float


class Standing(NamedTuple):
    """A backend that an operator has taken out, which no reload changes."""

    name: str
    wish: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload would do, and what it would leave; empty where nothing is."""

    added: tuple[Backend, ...] = ()
    removed: tuple[Backend, ...] = ()
    changed: tuple[BackendChange, ...] = ()
    keys: tuple[KeyChange, ...] = ()
    moved: tuple[Moved, ...] = ()
    taken_out: tuple[Standing, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change; `taken_out` is no change."""
        return not (self.added or self.removed or self.changed or self.keys)

    @property
    def waiting(self) -> dict[str, str]:
        """The changed keys that a reload leaves as they are, and why."""
        return {change.key: why for change in self.keys if (why := _why(change.key))}

    def lines(self) -> Iterator[str]:
        """The plan for people, a line for each change; nothing if there is none."""
        yield from (
            f"+ {b.name} ({b.address}) {_limits(b)}".rstrip() for b in self.added
        )
        yield from (f"- {b.name} ({b.address})" for b in self.removed)
        for name, what, before, after in self.changed:
            yield f"~ {name}: {what} {before} -> {after}"
        for group, share in self.moved:
            yield f"~ {group}: {share:.1%} of its hash keys go to another backend"
        for key, before, after in self.keys:
            why = _why(key)
            yield f"{'!' if why else '~'} {key}: {before} -> {after}" + (
                f" ({why})" if why else ""
            )
        yield from (
            f"= {s.name}: {s.wish}, as an operator wants" for s in self.taken_out
        )

    def report(self) -> dict[str, Any]:
        """The plan for programs: plain values."""
        return {
            "is_empty": self.is_empty,
            "added": [_listed(backend) for backend in self.added],
            "removed": [_listed(backend) for backend in self.removed],
            "changed": [change._asdict() for change in self.changed],
            "keys": [
                change._asdict() | {"waits_for": _why(change.key) or None}
                for change in self.keys
            ],
            "moved": [moved._asdict() for moved in self.moved],
            "taken_out": [standing._asdict() for standing in self.taken_out],
        }


def make_plan(old: Settings, rows: Sequence[TableRow], new: Settings) -> Plan:
    """What putting `new` in force would change.

    `old` are the settings in force and `rows` the table. Costs 0.1 s for each set
    whose policy is hash.
    """
    before = {identity(row.backend): row.backend for row in rows}
    after = {identity(backend): backend for backend in new.backends}
    stay = [identity(row.backend) for row in rows if identity(row.backend) in after]
    return Plan(
        added=tuple(b for key, b in after.items() if key not in before),
        removed=tuple(b for key, b in before.items() if key not in after),
        changed=tuple(c for key in stay for c in _changes(before[key], after[key])),
        keys=tuple(changed_keys(old, new)),
        moved=tuple(_moved(old, rows, new)),
        taken_out=tuple(
            Standing(row.backend.name, row.wish.name.lower())
            for row in rows
            if row.wish is not Wish.READY and identity(row.backend) in after
        ),
    )


def _why(key: str) -> str:
    """Why a key that changes stays as it is for now; empty where it does not."""
    return RESTART.get(key) or ELSEWHERE.get(key.partition(".")[0], "")


def _changes(before: Backend, after: Backend) -> Iterator[BackendChange]:
    for field in fields(Backend):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new:
            what = "set" if field.name == "group" else field.name
            yield BackendChange(before.name, what, str(old), str(new))


class _Keyed(NamedTuple):
    """A backend as the buckets of hash keys know it."""

    id: int
    name: str
    weight: int


def _moved(old: Settings, rows: Sequence[TableRow], new: Settings) -> Iterator[Moved]:
    """Keys move between the backends that may be chosen, whatever their verdict."""
    if old.balance.policy != HASH or new.balance.policy != HASH:
        return
    out = {identity(row.backend) for row in rows if row.wish is not Wish.READY}
    before = _keyed(row.backend for row in rows if identity(row.backend) not in out)
    after = _keyed(b for b in new.backends if identity(b) not in out)
    if sorted(before) != sorted(after) and before and after:
        yield Moved("default", Buckets(before).moved(Buckets(after)))


def _keyed(backends: Iterable[Backend]) -> list[_Keyed]:
    return [_Keyed(0, backend.name, backend.weight) for backend in backends]


def _limits(backend: Backend) -> str:
    return "" if backend.weight == 1 else f"weight {backend.weight}"


def _listed(backend: Backend) -> dict[str, Any]:
    return asdict(backend) | {"address": str(backend.address)}
