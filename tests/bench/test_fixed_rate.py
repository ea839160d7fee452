"""The open loop and the wire backend, met in one process over a real connection."""

from __future__ import annotations

import socket
import threading

import pytest

from bench import bodies, exact, fixed_rate, wire_backend
from bench.errors import RunVoidError
from bench.workloads import Load, Source, Workload

COUNTED = Workload(
    "counted",
    "",
    "/length",
    load=Load.RATE,
    source=Source.WIRE,
    method="POST",
    upload_bytes=3,
    connections=4,
    rate=500,
)
CHUNKED = Workload("chunked", "", "/chunked", source=Source.WIRE)


@pytest.fixture(scope="module")
def address() -> tuple[str, int]:
    """A wire backend in a thread that ends with this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=wire_backend.serve, args=(listener,), daemon=True).start()
    found: tuple[str, int] = listener.getsockname()
    return found


def test_as_many_requests_are_sent_as_are_due(address: tuple[str, int]) -> None:
    result = fixed_rate.run(address, COUNTED, seconds=0.2)
    assert result.requests == 100
    assert result.elapsed_s >= 99 / 500
    assert 0 < result.p50_us <= result.p99_us <= result.p999_us


def test_a_short_response_voids_the_run(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend answers a length, not the whole body that is expected."""
    monkeypatch.setattr(fixed_rate, "PATIENCE_S", 0.1)
    wrong = Workload("wrong", "", "/length", load=Load.RATE, rate=100)
    with pytest.raises(RunVoidError, match="only 0 were answered"):
        fixed_rate.run(address, wrong, seconds=0.1)


def test_a_refused_connection_voids_the_run() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(RunVoidError, match="connection failed"):
            fixed_rate.run(sock.getsockname(), COUNTED, seconds=0.1)


def test_chunks_arrive_whole_and_in_order(address: tuple[str, int]) -> None:
    reply = exact.check(address, CHUNKED)
    assert reply.body == bodies.unchunked()
    assert reply.head_bytes == wire_backend.CHUNKED.index(b"\r\n\r\n") + 4


def test_a_body_that_is_not_the_backends_is_refused(address: tuple[str, int]) -> None:
    other = Workload("other", "", "/length", source=Source.WIRE)
    with pytest.raises(RunVoidError, match="a wrong body of 1 bytes"):
        exact.check(address, other)
