"""The sections around the traffic: each key's unit, default, meaning and danger.

These declarations are the one source: validation, the messages of a failed
start, `lb check` and the test of the manual (`lb.toml`) all read them. What
bounds the traffic itself is in `traffic.py`, how backends are chosen in
`balance.py`, how they are judged in `health.py`. Nothing is read or chosen here.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, model_validator

from lb.config.addresses import is_local, listen_text
from lb.config.fields import (
    Count,
    Number,
    Seconds,
    Section,
    choice,
    count,
    seconds,
    setting,
)
from lb.config.messages import Fault, UnfitError

LISTEN = "host:port, [v6]:port, :port or unix:/path"

Level = Literal["debug", "info", "warning", "error"]
Listen = Annotated[str, BeforeValidator(listen_text)]
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:.]+\]?")


def _host_names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",") if value.strip() else []
    if not isinstance(value, list | tuple):
        raise UnfitError(Fault(value, "expected a list"))
    names = [name.strip() if isinstance(name, str) else name for name in value]
    faults = [
        Fault(name, "not a host's name", number)
        for number, name in enumerate(names, start=1)
        if not (isinstance(name, str) and _HOST.fullmatch(name))
    ]
    if faults:
        raise UnfitError(*faults)
    return tuple(str(name).strip("[]").lower() for name in names)


Hosts = Annotated[tuple[str, ...], BeforeValidator(_host_names)]


class Log(Section):
    """What is written about each request, and where."""

    access: str = setting(
        "-",
        "where a line per request goes: - is standard output, or off, or a file",
        "The file grows without end: rotate it.",
        allowed="-, off, or the path of a file",
        pattern=r"^[^\x00-\x1f\x7f]+$",
    )
    level: Level = choice(
        "info", "the least serious events that are logged", words=Level
    )
    buffer_lines: Count = count(
        10000,
        "lines that wait to be written, per worker",
        "What does not fit is dropped, counted and reported.",
        high=1_000_000,
    )


class State(Section):
    """Where the processes meet."""

    path: str = setting(
        "",
        "the shared file; empty for one chosen by user and settings",
        "On a disk instead of memory, stores may wait for it.",
        allowed="the path of a file, or empty",
        pattern=r"^[^\x00-\x1f\x7f]*$",
    )


class Admin(Section):
    """The admin API, dashboard and metrics."""

    bind: Listen = setting(
        "127.0.0.1:9900",
        "where the admin app listens",
        "Whoever reaches it may take backends out.",
        allowed=f"{LISTEN}; beyond loopback only with admin.token",
    )
    token: str = setting(
        "",
        "the password of the admin app; empty for none",
        "Give it by environment: files are copied about.",
        allowed="up to 256 ASCII characters without spaces, or empty for none",
        secret=True,
        pattern="^[!-~]{0,256}$",
    )
    hosts: Hosts = setting(
        (),
        "further names under which browsers may reach the admin app",
        "A name that others control lets their pages read it.",
        allowed="names or IP addresses without ports, with commas between",
    )

    @model_validator(mode="after")
    def _guarded(self) -> Admin:
        if not self.token and not is_local(self.bind):
            fault = Fault(self.bind, "reachable from other machines without a token")
            raise UnfitError(fault, key="admin.bind")
        return self


EXPORTER: Final = "opentelemetry-exporter-otlp-proto-http"
"""The package that exports spans; it brings all others that are needed."""


class Tracing(Section):
    """Spans for OpenTelemetry; what it costs is in `lb.http1.trace` and `lb.shm.spans`.

    Whether the package is there is asked without importing it: only the admin process
    ever does.
    """

    endpoint: str = setting(
        "",
        "where spans go by OTLP over HTTP; empty for no tracing",
        "Spans hold clients' addresses and targets.",
        allowed="http://HOST:PORT/PATH or https://..., or empty for no tracing",
        pattern=r"^(https?://[^\s/]+(/[!-~]*)?)?$",
    )
    ratio: Number = setting(
        1.0,
        "the part of the traces that are recorded, where the client did not decide",
        "Clients decide for traces that they begin.",
        allowed="a number from 0 to 1",
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
    )
    service: str = setting(
        "evenhand",
        "the name of this balancer in traces (service.name)",
        allowed="1 to 64 visible ASCII characters",
        pattern="^[!-~]{1,64}$",
    )
    timeout: Seconds = seconds(
        5.0,
        "seconds until a batch of spans is given up",
        "While one is awaited, spans wait in memory for 2,048 requests a worker.",
        high=60.0,
    )

    @model_validator(mode="after")
    def _exportable(self) -> Tracing:
        if self.endpoint and not _is_installed(EXPORTER):
            fault = Fault(
                self.endpoint,
                f"tracing needs the package {EXPORTER}:"
                " pip install -r requirements-tracing.txt",
            )
            raise UnfitError(fault, key="tracing.endpoint")
        return self


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


class Demo(Section):
    """What only the demo wants."""

    controls: bool = setting(
        False,
        "whether the dashboard may kill and slow the demo's backends",
        "Never where people depend on the backends.",
        allowed="true or false",
    )
