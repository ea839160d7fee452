"""What would change if settings were put in force: a pure comparison.

Between what is in force (the settings that the arbiter took, and the table with what
operators made of it since) and settings as they would be loaded now. The same plan is
what `lb plan` prints, what `lb reload` asks for, and what the arbiter logs and goes by.
Nothing is read or changed here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb.balance.buckets import Buckets
from lb.config import changed_keys
from lb.config.listing import item_text
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

WISHES: Final = {Wish.DRAIN: "drained", Wish.MAINT: "taken into maintenance"}


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


class Kept(NamedTuple):
    """What was changed of a backend at run time, and stays so."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload would do, and what it would leave; empty where nothing is."""

    added: tuple[Backend, ...] = ()
    removed: tuple[Backend, ...] = ()
    changed: tuple[BackendChange, ...] = ()
    keys: tuple[KeyChange, ...] = ()
    moved: tuple[Moved, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change; `kept` is no change."""
        return not (self.added or self.removed or self.changed or self.keys)

    @property
    def waiting(self) -> dict[str, str]:
        """The changed keys that a reload leaves as they are, and why."""
        return {change.key: why for change in self.keys if (why := _why(change.key))}

    def lines(self) -> Iterator[str]:
        """The plan for people, a line for each change; nothing if there is none."""
        yield from (f"+ {item_text(backend)}" for backend in self.added)
        yield from (f"- {b.name} ({b.address})" for b in self.removed)
        for name, what, before, after in self.changed:
            yield f"~ {name}: {what} {before} -> {after}"
        for group, share in self.moved:
            yield f"~ {group}: {share:.1%} of its hash keys go to another backend"
        for key, before, after in self.keys:
            why = _why(key)
            note = f" ({why})" if why else ""
            yield f"{'!' if why else '~'} {key}: {before} -> {after}{note}"
        yield from (f"= {kept.name}: {kept.what} at run time" for kept in self.kept)

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
            "kept": [kept._asdict() for kept in self.kept],
        }


def make_plan(
    old: Settings,
    rows: Sequence[TableRow],
    new: Settings,
    *,
    away: Sequence[TableRow] = (),
) -> Plan:
    """What putting `new` in force would change.

    `old` are the settings in force, `rows` the table, and `away` the backends that
    were removed from it at run time. What operators changed stays, unless the settings
    say something else of it than they did, as `lb.shm.table` has it. Costs 0.1 s for
    each set whose policy is hash.
    """
    wanted = {identity(backend): backend for backend in new.all_backends}
    gone = {identity(row.backend) for row in away}
    there = {identity(row.backend) for row in rows}
    added = [b for key, b in wanted.items() if key not in there | gone]
    after = [(row, _settled(row, wanted.get(identity(row.backend)))) for row in rows]
    kept = [Kept(row.backend.name, text) for row, b in after if b for text in _own(row)]
    kept += [
        Kept(row.backend.name, "removed")
        for row in away
        if identity(row.backend) in wanted
    ]
    return Plan(
        added=tuple(added),
        removed=tuple(row.backend for row, backend in after if backend is None),
        changed=tuple(c for row, b in after if b for c in _changes(row.backend, b)),
        keys=tuple(changed_keys(old, new)),
        moved=tuple(_moved(old, new, after, added)),
        kept=tuple(kept),
    )


def _settled(row: TableRow, wanted: Backend | None) -> Backend | None:
    """What a row's backend will be; None if the settings take it out."""
    if wanted is None:
        # One that was added at run time is none of the settings' business.
        return row.backend if row.settings_weight is None else None
    if row.settings_weight == wanted.weight:
        return replace(wanted, weight=row.backend.weight)
    return wanted


def _own(row: TableRow) -> Iterator[str]:
    """What an operator has made of a backend."""
    if row.wish is not Wish.READY:
        yield WISHES[row.wish]
    if row.settings_weight is None:
        yield "added"
    elif row.settings_weight != row.backend.weight:
        yield f"given weight {row.backend.weight}"


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


def _moved(
    old: Settings,
    new: Settings,
    rows: Sequence[tuple[TableRow, Backend | None]],
    added: Sequence[Backend],
) -> Iterator[Moved]:
    """Keys move between the backends that may be chosen, whatever their verdict."""
    ready = [(row.backend, after) for row, after in rows if row.wish is Wish.READY]
    hashed_before = _hashed(old)
    for group in _hashed(new):
        if group not in hashed_before:
            continue
        before = _keyed(group, (was for was, _ in ready))
        after = _keyed(group, (*(will for _, will in ready if will), *added))
        if sorted(before) != sorted(after) and before and after:
            yield Moved(group, Buckets(before).moved(Buckets(after)))


def _hashed(settings: Settings) -> list[str]:
    """The sets that share out keys."""
    return [each.name for each in settings.sets if each.balance.policy == HASH]


def _keyed(group: str, backends: Iterable[Backend]) -> list[_Keyed]:
    """A set's backends that keys are shared out among: backups only if all are."""
    members = [b for b in backends if b.group == group]
    first = [b for b in members if not b.backup] or members
    return [_Keyed(0, backend.name, backend.weight) for backend in first]


def _listed(backend: Backend) -> dict[str, Any]:
    return asdict(backend) | {"address": str(backend.address)}
