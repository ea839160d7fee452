"""Large bodies, one after the other on one kept-alive connection.

A transfer counts only when all its bytes came, or were counted by the backend; their
content is compared before and after the run (`exact.check`), not here, where it
would take longer than the transfer.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from bench import bodies
from bench.errors import RunVoidError
from bench.figures import percentile
from bench.measurement import LoadResult

if TYPE_CHECKING:
    from bench.exact import Address
    from bench.workloads import Workload

TIMEOUT_S: Final = 30.0
LEAST: Final = 3
"""Transfers of a run, however short it is."""


def run(address: Address, workload: Workload, *, seconds: float) -> LoadResult:
    """Transfer again and again for `seconds`; latencies are of whole transfers.

    Raises:
        RunVoidError: a transfer failed or was not whole.
    """
    taken_us: list[float] = []
    received = 0
    begun = last = time.perf_counter()
    try:
        with socket.create_connection(address, TIMEOUT_S) as sock:
            while last - begun < seconds or len(taken_us) < LEAST:
                received += _transfer(sock, workload)
                now = time.perf_counter()
                taken_us.append((now - last) * 1e6)
                last = now
    except OSError as error:
        raise RunVoidError(f"a transfer failed: {error}") from error
    taken_us.sort()
    return LoadResult(
        requests=len(taken_us),
        elapsed_s=last - begun,
        received_bytes=received,
        p50_us=percentile(taken_us, 0.5),
        p99_us=percentile(taken_us, 0.99),
        p999_us=percentile(taken_us, 0.999),
    )


def _transfer(sock: socket.socket, workload: Workload) -> int:
    """One request and its response; the bytes received."""
    sock.sendall(workload.head(0))
    sock.sendall(workload.sent())
    answer = workload.answer()
    room = memoryview(bytearray(bodies.MIB))
    head = b""
    while b"\r\n\r\n" not in head:
        count = sock.recv_into(room)
        if not count:
            raise RunVoidError("the connection was closed before a response")
        head += room[:count]
    text, _, body = head.partition(b"\r\n\r\n")
    if not text.startswith(b"HTTP/1.1 200 "):
        raise RunVoidError(f"a wrong response: {text[:40]!r}")
    left = len(answer) - len(body)
    while left > 0:
        count = sock.recv_into(room)
        if not count:
            raise RunVoidError(f"the body ended {left} bytes early")
        left -= count
    if left or not answer.startswith(body):
        raise RunVoidError("a wrong body")
    return len(text) + 4 + len(answer)
