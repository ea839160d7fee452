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
from lb.config.balance import Balance, Queue
from lb.config.fields import Count, Section, count, setting
from lb.config.health import Health
from lb.config.routes import Route  # noqa: TC001 - pydantic needs it
from lb.config.sections import LISTEN, Admin, Demo, Listen, Log, State, Tracing
from lb.config.sets import Backends, SetSettings
from lb.config.traffic import Headers, Limits, Pool, Retries, Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    from lb.config.sources import Found
    from lb.model import Backend

WORKERS_MAX = 256

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
    found: Found | None = None

    @property
    def origins(self) -> dict[str, str]:
        """Where each key was given."""
        if self.found is None:
            return {}
        origins = {key: given.origin for key, given in self.found.values.items()}
        if self.found.routes:
            origins["routes"] = self.found.routes.origin
        return origins


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
    queue: Queue = Queue()
    health: Health = Health()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    retries: Retries = Retries()
    pool: Pool = Pool()
    headers: Headers = Headers()
    log: Log = Log()
    state: State = State()
    admin: Admin = Admin()
    tracing: Tracing = Tracing()
    demo: Demo = Demo()
    other_sets: tuple[SetSettings, ...] = ()
    """The sets besides the one called `default`."""
    routes: tuple[Route, ...] = ()

    _provenance: Provenance = PrivateAttr(default_factory=Provenance)

    def model_post_init(self, context: Any, /) -> None:
        """Keep where the values came from, when the loader says so."""
        if isinstance(context, Provenance):
            self._provenance = context

    @property
    def sets(self) -> tuple[SetSettings, ...]:
        """All sets. The first is `default`; it may have no backends if others have."""
        default = SetSettings.model_construct(
            backends=self.backends,
            balance=self.balance,
            health=self.health,
            retries=self.retries,
            queue=self.queue,
        )
        return (default, *self.other_sets)

    @property
    def all_backends(self) -> tuple[Backend, ...]:
        """The backends of all sets; each knows its set, and no two names are alike."""
        return tuple(backend for each in self.sets for backend in each.backends)

    @property
    def file(self) -> Path | None:
        """The settings file that was read, absolute, or None."""
        return self._provenance.file

    @property
    def folder(self) -> Path:
        """The working folder of the load: relative paths start here."""
        return self._provenance.folder

    @property
    def found(self) -> Found | None:
        """What the sources gave, as it was written; None if there were none."""
        return self._provenance.found

    @property
    def origins(self) -> Mapping[str, str]:
        """Each dotted key to `default`, the file's path or the variable's name.

        Of a set, only keys that it has itself: `sets.NAME.health.path`.
        """
        given = self._provenance.origins
        return MappingProxyType({**dict.fromkeys(FIELDS, "default"), **given})


def health_by_set(settings: Settings) -> dict[str, Health]:
    """How the backends of each set are probed."""
    return {each.name: each.health for each in settings.sets}


def _declared(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in section.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _declared(kind, f"{prefix}{name}.")
        elif info.description:  # sets and routes are no keys: what they hold is
            yield prefix + name, info


FIELDS: Mapping[str, FieldInfo] = MappingProxyType(dict(_declared(Settings, "")))
"""Every dotted key in the order of the manual, with its declaration.

`lb.config.sets` says which of them may also stand in a set.
"""
