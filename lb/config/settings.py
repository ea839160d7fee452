"""All settings of one start, validated, fixed, and each with its origin.

Pydantic validates; finding and ordering the sources is `sources.py`, since
pydantic-settings neither says where a value came from nor refuses a misspelled
variable. `Settings()` without arguments is the defaults, for tests.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, PrivateAttr

from lb.config.addresses import Network, networks
from lb.config.backends import ALLOWED, parse_backends
from lb.config.fields import Count, Section, count, setting
from lb.config.sections import (
    LISTEN,
    Admin,
    Balance,
    Demo,
    Health,
    Listen,
    Log,
    State,
)
from lb.config.traffic import Headers, Limits, Pool, Retries, Timeouts
from lb.model import Backend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

WORKERS_MAX = 256

Backends = Annotated[tuple[Backend, ...], BeforeValidator(parse_backends)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(networks)]


def usable_cores() -> int:
    """The number of cores that this process may run on, at most 256."""
    try:
        cores = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux
        cores = os.cpu_count() or 1
    return min(cores, WORKERS_MAX)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where settings came from; keys without an entry have their default."""

    folder: Path = field(default_factory=Path)
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    """What was given for each key, as it was written."""


class Settings(Section):
    """The settings in force; see `lb.toml` for the manual."""

    backends: Backends = setting(
        parse_backends("backend1=127.0.0.1:9001,backend2=127.0.0.1:9002"),
        "the servers that requests go to",
        "All must answer alike: any may get any request.",
        allowed=ALLOWED,
    )
    bind: Listen = setting(
        "0.0.0.0:8080",
        "where clients connect; gunicorn's -b wins",
        "0.0.0.0 is every network of this machine.",
        allowed=LISTEN,
    )
    workers: Count = count(
        usable_cores,
        "worker processes, by default one per usable core; gunicorn's -w wins",
        "Beyond the number of cores they only cost memory.",
        high=WORKERS_MAX,
    )
    trusted_proxies: Networks = setting(
        (),
        "proxies in front whose X-Forwarded fields are believed",
        "Whoever is in here can claim any client address.",
        allowed="IP addresses and networks such as 10.0.0.0/8, with commas between",
    )
    proxy_protocol: bool = setting(
        False,
        "whether each connection begins with a PROXY protocol header (v1 or v2)",
        "Whoever can connect can then claim any client address; others are refused.",
        allowed="true or false",
    )
    balance: Balance = Balance()
    health: Health = Health()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    retries: Retries = Retries()
    pool: Pool = Pool()
    headers: Headers = Headers()
    log: Log = Log()
    state: State = State()
    admin: Admin = Admin()
    demo: Demo = Demo()

    _provenance: Provenance = PrivateAttr(default_factory=Provenance)

    def model_post_init(self, context: Any, /) -> None:
        """Keep where the values came from, when the loader says so."""
        if isinstance(context, Provenance):
            self._provenance = context

    @property
    def file(self) -> Path | None:
        """The settings file that was read, absolute, or None."""
        return self._provenance.file

    @property
    def folder(self) -> Path:
        """The working folder of the load: relative paths start here."""
        return self._provenance.folder

    def value_of(self, key: str) -> object:
        """The value in force of a dotted key."""
        section, _, name = key.rpartition(".")
        return getattr(getattr(self, section) if section else self, name)

    @property
    def values(self) -> Mapping[str, object]:
        """What was given for each dotted key that has not its default, as written."""
        return self._provenance.values

    @property
    def origins(self) -> Mapping[str, str]:
        """Each dotted key to `default`, the file's path or the variable's name."""
        given = self._provenance.origins
        return MappingProxyType({key: given.get(key, "default") for key in FIELDS})


def _declared() -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = {}
    for name, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner = kind.model_fields.items()
            fields |= {f"{name}.{key}": value for key, value in inner}
        else:
            fields[name] = info
    return fields


FIELDS: Mapping[str, FieldInfo] = MappingProxyType(_declared())
"""Every dotted key in the order of the manual, with its declaration."""
