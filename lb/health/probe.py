"""Ask a backend's address once whether somebody listens.

A probe does not raise for what the network does: it returns a record whose detail
is a phrase for people (`connected`, `refused`, `timed out after 1.0 s`).  Only
the resolving of a host's name is beyond the deadline's reach; write addresses as
numbers where a slow resolver would matter.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lb.shm import NOT_REACHED, ProbeRecord
from lb.streams.addresses import is_number, resolve

if TYPE_CHECKING:
    from lb.health.settings import HealthSettings
    from lb.model import Address

PHRASES = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "no such socket",
    errno.ENOTSOCK: "not a socket",
    errno.ECONNRESET: "reset by the backend",
    errno.EPIPE: "reset by the backend",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.EACCES: "permission denied",
}
OWN_FAULTS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Failures of this process or machine: they must not take all backends down."""


def probe(address: Address, settings: HealthSettings) -> ProbeRecord:
    """The result of one probe of the kind that the settings ask for.

    Raises:
        OSError: as `failed`.
    """
    if settings.kind == "http":
        # `requests` costs 10 MB and 0.1 s, and must come after gevent's patch.
        from lb.health.probe_http import probe_http

        return probe_http(address, settings)
    return probe_tcp(address, settings.timeout)


def probe_tcp(address: Address, timeout_s: float) -> ProbeRecord:
    """Whether a connection is accepted within `timeout_s`; it is closed at once.

    Raises:
        OSError: as `failed`.
    """
    started = time.monotonic()
    try:
        connect(address, started + timeout_s).close()
    except OSError as error:
        return failed(started, error, timeout_s)
    return result(started, ok=True, detail="connected", connected=True)


def connect(address: Address, deadline: float) -> socket.socket:
    """A connected blocking socket, which the caller closes.

    Tries each address of a name until `deadline` (monotonic).

    Raises:
        OSError: the last address's failure, `TimeoutError` after the deadline.
    """
    failure: OSError = TimeoutError()
    for family, where in _targets(address):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(remaining)
            sock.connect(where)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _targets(address: Address) -> list[tuple[int, Any]]:
    if is_number(address):
        # Under gevent's patch even a number's look-up is a trip to another thread,
        # as dear as all the rest of a probe.
        return list(resolve(address))
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return [(family, where) for family, _, _, _, where in found]


def failed(
    started: float, error: OSError, timeout_s: float, *, connect_s: float = NOT_REACHED
) -> ProbeRecord:
    """The record of a probe that failed with `error`, perhaps after it connected.

    Raises:
        OSError: the error itself, when it says nothing of the backend: this
            process has no more descriptors, or the machine no memory.
    """
    if error.errno in OWN_FAULTS:
        raise error
    detail = phrase(error, timeout_s)
    return replace(result(started, ok=False, detail=detail), connect_s=connect_s)


def phrase(error: OSError, timeout_s: float) -> str:
    """What happened, in a few words."""
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return f"timed out after {timeout_s:.1f} s"
    if isinstance(error, socket.gaierror):
        return f"name not resolved: {error.strerror}"
    number = error.errno or 0
    return PHRASES.get(number) or (os.strerror(number) if number else str(error))


def result(
    started: float, *, ok: bool, detail: str, connected: bool = False
) -> ProbeRecord:
    """The record of a probe that began at `started` (monotonic) and ends now.

    `connected` if it is the connect that ended.
    """
    duration = time.monotonic() - started
    connect_s = duration if connected else NOT_REACHED
    return ProbeRecord(time.time(), duration, ok, detail, connect_s)
