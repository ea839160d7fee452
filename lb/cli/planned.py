"""A plan for people, from the plain values of `Plan.report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lb.config import KeyChange
from lb.model import Address, Backend
from lb.plan import BackendChange, Kept, Moved, Plan

if TYPE_CHECKING:
    from lb.report import Report


def plan_of(told: Report) -> Plan:
    """The plan that was reported so."""
    return Plan(
        added=tuple(_backend(each) for each in told["added"]),
        removed=tuple(_backend(each) for each in told["removed"]),
        changed=tuple(BackendChange(**each) for each in told["changed"]),
        keys=tuple(_key(**each) for each in told["keys"]),
        moved=tuple(Moved(**each) for each in told["moved"]),
        kept=tuple(Kept(**each) for each in told["kept"]),
    )


def _backend(told: dict[str, Any]) -> Backend:
    return Backend(**{**told, "address": Address.parse(told["address"])})


def _key(*, key: str, before: str, after: str, waits_for: str | None) -> KeyChange:
    del waits_for  # a plan finds it out again
    return KeyChange(key, before, after)
