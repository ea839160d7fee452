"""The list of backends, from TOML or from one line of environment.

All faults of a list are found in one go, each with its item counted from 1,
because a list of many addresses is mostly generated and fixing it fault by fault
is no way to spend a morning. Nothing is resolved or connected here.
"""

# ruff: noqa: TRY004 - pydantic takes a ValueError, whatever was wrong

from __future__ import annotations

from dataclasses import replace

from lb.config.addresses import address, identity
from lb.config.messages import Fault, UnfitError, nearest
from lb.model import Address, Backend

ALLOWED = (
    "1 to 4096 of host:port, [v6]:port, unix:/path or name=address; "
    "in the file also { name, address, weight, max_in_flight, backup }"
)
BACKENDS_MAX = 4096
NAME_CHARACTERS = 64
NAME_RULE = f"1 to {NAME_CHARACTERS} printable characters without spaces or commas"
WEIGHT_MAX = 256
IN_FLIGHT_MAX = 1_000_000
_TABLE_KEYS = ("name", "address", "weight", "max_in_flight", "backup")


def parse_backends(value: object) -> tuple[Backend, ...]:
    """The backends of a list of texts and tables, or of one text with commas.

    Raises:
        UnfitError: with every fault; duplicates name both items.
    """
    items = _items(value)
    backends: dict[int, Backend] = {}
    faults: list[Fault] = []
    for number, item in enumerate(items, start=1):
        try:
            backends[number] = _backend(item)
        except ValueError as error:
            faults.append(Fault(item, str(error), number))
    faults += _duplicates(backends)
    if faults:
        raise UnfitError(*sorted(faults, key=lambda fault: fault.item))
    return tuple(backends.values())


def _items(value: object) -> list[object]:
    if not isinstance(value, str | list | tuple):
        raise UnfitError(Fault(value, "expected a list"))
    if not value or (isinstance(value, str) and not value.strip()):
        raise UnfitError(Fault(value, "no backend is given"))
    if isinstance(value, str):
        # An empty item is refused later: in LB_BACKENDS="$A,$B" with B unset,
        # dropping it would silently halve the set.
        value = [item.strip() for item in value.split(",")]
    if len(value) > BACKENDS_MAX:
        raise UnfitError(Fault(value, f"these are {len(value)} backends"))
    return list(value)


def _backend(item: object) -> Backend:
    if isinstance(item, Backend):
        return item
    if isinstance(item, dict):
        return _from_table(item)
    if not isinstance(item, str):
        raise ValueError("expected text or a table")
    if not item:
        raise ValueError("it is empty")
    name, equals, where = item.partition("=")
    if not equals or item.startswith("unix:"):
        return _named(None, address(item))
    return _named(name.strip(), address(where.strip()))


def _from_table(table: dict[str, object]) -> Backend:
    for key in table:
        if key not in _TABLE_KEYS:
            close = nearest(key, _TABLE_KEYS)
            hint = f", did you mean {close}?" if close else ""
            raise ValueError(f"unknown key {key!r}{hint}")
    where, name = table.get("address"), table.get("name")
    if not isinstance(where, str):
        raise ValueError("its address must be given, as text")
    if not isinstance(name, str | None):
        raise ValueError("its name must be text")
    backup = table.get("backup", False)
    if not isinstance(backup, bool):
        raise ValueError("its backup must be true or false")
    return replace(
        _named(name, address(where)),
        weight=_number(table.get("weight", 1), "weight", 1, WEIGHT_MAX),
        max_in_flight=_number(
            table.get("max_in_flight", 0), "max_in_flight", 0, IN_FLIGHT_MAX
        ),
        backup=backup,
    )


def _number(value: object, key: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"its {key} must be a whole number")
    if not low <= value <= high:
        raise ValueError(f"its {key} must be from {low} to {high}")
    return value


def _named(name: str | None, where: Address) -> Backend:
    text = str(where) if name is None else name
    if is_name(text):
        return Backend(text, where)
    if name is None:
        raise ValueError(f"its address cannot be its name, give it one of {NAME_RULE}")
    raise ValueError(f"its name must have {NAME_RULE}")


def is_name(text: str) -> bool:
    """Whether a backend may be called so."""
    is_plain = text.isprintable() and " " not in text and "," not in text
    return is_plain and 1 <= len(text) <= NAME_CHARACTERS


def _duplicates(backends: dict[int, Backend]) -> list[Fault]:
    faults = []
    names: dict[str, int] = {}
    places: dict[tuple[object, ...], int] = {}
    for number, backend in backends.items():
        other = places.setdefault(identity(backend.address), number)
        if other != number:
            reason = f"the same address as item {other}, {label(backends[other])}"
            faults.append(Fault(label(backend), reason, number))
            continue
        other = names.setdefault(backend.name, number)
        if other != number:
            reason = f"the same name as item {other}, {label(backends[other])}"
            faults.append(Fault(label(backend), reason, number))
    return faults


def label(backend: Backend) -> str:
    """A backend in the form of one text: `name=address`, or the address alone."""
    where = str(backend.address)
    return where if backend.name == where else f"{backend.name}={where}"
