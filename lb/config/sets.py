"""Sets of backends: which settings a set may have of its own, and how they are named.

The flat settings are those of the set called `default`. `[sets.NAME]` has backends,
and may have `balance`, `health`, `retries` and `queue` of its own; every key that it
leaves out is the flat one's. Reading and reporting is done in `lb.config.loading`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BeforeValidator

from lb.config.backends import (
    ALLOWED,
    BACKENDS_MAX,
    NAME_RULE,
    is_name,
    label,
    parse_backends,
)
from lb.config.balance import Balance, Queue
from lb.config.fields import Section, setting
from lb.config.health import Health
from lb.config.messages import Fault
from lb.config.traffic import Retries
from lb.model import Backend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

DEFAULT: Final = "default"
"""The set of the flat `backends`."""

SECTIONS: Final = ("balance", "health", "retries", "queue")
"""The sections that a set may have for itself."""

SHARED: Final = "health.concurrency"
"""One checker probes all sets."""

NAME_ALLOWED: Final = "1 to 64 of a-z and 0-9, with single - or _ between"
_NAME: Final = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+([_-][a-z0-9]+)*")

Backends = Annotated[tuple[Backend, ...], BeforeValidator(parse_backends)]


class SetSettings(Section):
    """One set as it is in force; what it did not say is what the flat keys say."""

    name: str = DEFAULT
    backends: Backends = setting((), "its servers", allowed=ALLOWED)
    balance: Balance = Balance()
    health: Health = Health()
    retries: Retries = Retries()
    queue: Queue = Queue()


def is_set_name(text: str) -> bool:
    """Whether a set may be called so: `NAME_ALLOWED`.

    So its name fits in a variable of the environment and in the shared file.
    """
    return _NAME.fullmatch(text) is not None


def keys_of_a_set(fields: Mapping[str, FieldInfo]) -> list[str]:
    """Of all dotted keys, those that may stand within `[sets.NAME]`."""
    own = [key for key in fields if key.partition(".")[0] in SECTIONS]
    return ["backends", *(key for key in own if key != SHARED)]


def key_in_set(name: str, key: str) -> str:
    """The dotted key of a set's own setting."""
    return f"sets.{name}.{key}"


def without_set(key: str) -> str:
    """The key of the same setting outside all sets."""
    return key.split(".", 2)[2] if key.startswith("sets.") else key


def settle(sets: Iterable[SetSettings]) -> Iterator[tuple[SetSettings, list[Fault]]]:
    """The sets with backends that know their set, each named unlike all others.

    Sets may share an address, but a name belongs to one backend: it is what people
    and commands call it by. One without a name of its own has its address for that;
    where another set has that already, it is called `SET/ADDRESS`.
    """
    taken: dict[str, str] = {}
    count = 0
    for each in sets:
        backends, faults = [], []
        for number, backend in enumerate(each.backends, start=1):
            named, reason = _settled(backend, each.name, taken)
            taken.setdefault(named.name, each.name)
            backends.append(named)
            if reason:
                faults.append(Fault(label(backend), reason, number))
        count += len(backends)
        if count > BACKENDS_MAX >= count - len(backends):
            reason = f"with these there are {count} backends in all sets"
            faults.append(Fault(f"{len(backends)} backends", reason))
        yield each.model_copy(update={"backends": tuple(backends)}), faults


def _settled(
    backend: Backend, group: str, taken: Mapping[str, str]
) -> tuple[Backend, str]:
    """The backend as it is called, and what is wrong with that."""
    ours = replace(backend, group=group)
    if ours.name not in taken:
        return ours, ""
    if ours.name != str(ours.address):
        return ours, f"the set {taken[ours.name]} has a backend of the same name"
    longer = replace(ours, name=f"{group}/{ours.name}")
    if longer.name in taken:
        return (
            longer,
            f"the set {taken[longer.name]} has a backend called {longer.name}",
        )
    if not is_name(longer.name):
        return longer, f"{longer.name} cannot be its name, give it one of {NAME_RULE}"
    return longer, ""
