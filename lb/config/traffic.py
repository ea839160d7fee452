"""The sections that bound live traffic: time, size, attempts, connections, fields.

Every wait, buffer and retry of the data path has its setting here, with its unit,
default, meaning and danger. How they are applied is the business of `lb.proxy`
and `lb.upstream`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from lb.config.fields import (
    Count,
    Number,
    Seconds,
    Section,
    Size,
    choice,
    count,
    seconds,
    setting,
    size,
)
from lb.config.statuses import StatusSet

RetryStatuses = Annotated[StatusSet, BeforeValidator(StatusSet.of_errors)]
KIB, MIB, TIB = 1 << 10, 1 << 20, 1 << 40

Underscores = Literal["drop", "keep", "refuse"]


class Timeouts(Section):
    """How long each kind of wait on live traffic may last."""

    connect: Seconds = seconds(
        3.0, "seconds for a connection to a backend", "Long hides a dead backend."
    )
    response: Seconds = seconds(
        60.0,
        "seconds from a request sent to its response's head",
        "Shorter than the slowest page, that page always fails with 504.",
    )
    idle: Seconds = seconds(
        60.0,
        "seconds between bytes of a body or tunnel, on either side",
        "Quiet tunnels (WebSocket) are cut after it.",
    )
    request_head: Seconds = seconds(
        10.0,
        "seconds for a client to send its whole request head",
        "Long lets slow clients hold connections.",
    )
    keepalive: Seconds = seconds(
        75.0, "seconds that a client's connection may idle between requests"
    )
    request: Seconds = seconds(
        0.0,
        "seconds for a request over all attempts, to its response's head; 0: no bound",
        "Uploads take part of it: shorter than one takes, that always fails with 504.",
        low=0.0,
    )


class Limits(Section):
    """How much a client or a backend may ask the balancer to hold."""

    head_bytes: Size = size(
        64 * KIB,
        "bytes of a request or response head",
        "Each connection may hold this much memory.",
        low=KIB,
        high=MIB,
    )
    body_bytes: Size = size(
        0,
        "bytes of a request body; 0 for no limit",
        "Without a limit the backends must have their own.",
        low=0,
        high=TIB,
    )
    connections: Count = count(
        10000,
        "client connections per worker",
        "Each takes a file descriptor, a busy one two: see ulimit -n.",
        high=1_000_000,
    )


class Retries(Section):
    """When a failed attempt is followed by another, elsewhere."""

    attempts: Count = count(
        3,
        "attempts for one request in all, each at another backend",
        "Many multiply the load when backends fail from overload.",
        high=16,
    )
    body_bytes: Size = size(
        64 * KIB,
        "bytes of a request body kept so that it can be sent again",
        "Each request in flight may hold this much memory.",
        low=0,
        high=64 * MIB,
    )
    budget: Number = setting(
        20.0,
        "percent of a set's requests in flight, over all workers, that may be retries",
        "Much, and a set that fails from overload gets more of it by each retry.",
        allowed="a percentage from 0 to 100",
        ge=0.0,
        le=100.0,
        allow_inf_nan=False,
    )
    min: Count = count(
        3,
        "retries that may be under way in any case, per set and over all workers",
        low=0,
        high=100_000,
    )
    grace: Seconds = seconds(
        0.25,
        "seconds without a budget when a backend begins to fail; 0: none",
        "Long ones let a set that fails from overload get more of it.",
        low=0.0,
        high=10.0,
    )
    statuses: RetryStatuses = setting(
        StatusSet(()),
        "statuses after which an idempotent request goes elsewhere; empty for none",
        "A page that always gives one is made by several backends for one request.",
        allowed="codes and ranges from 400 to 599 with commas between, or empty",
    )
    hedge: Seconds = seconds(
        0.0,
        "seconds after which a second backend is asked beside the first; 0: never",
        "Below a page's usual time, every request for it may be made twice.",
        low=0.0,
    )


class Pool(Section):
    """Which idle connections to backends are kept for the next request."""

    idle_connections: Count = count(
        256,
        "idle connections kept per backend and worker; 0 for none",
        "With 0 every request pays for a new connection.",
        low=0,
        high=65536,
    )
    idle_timeout: Seconds = seconds(
        60.0,
        "seconds that a connection to a backend is kept unused",
        "Longer than the backend's own limit, more requests meet a closed one.",
    )
    max_age: Seconds = seconds(
        3600.0, "seconds after which a connection to a backend is not used again"
    )


class Headers(Section):
    """What happens to header fields on the way."""

    underscores: Underscores = choice(
        "drop",
        "what happens to request fields with _ in their name",
        "Kept, a client can forge X_Real_IP: backends fold _ and - into one.",
        words=Underscores,
    )
    via: str = setting(
        "evenhand",
        "the balancer's name in the Via and Proxy-Status fields",
        allowed="a letter, then up to 63 letters, digits or !#$%&'*+-.^_`|~",
        pattern="^[A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z-]{0,63}$",
    )
