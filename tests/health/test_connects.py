"""Many connects at once, on real sockets."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lb.health.connects import Connects
from lb.model import Address
from lb.shm import ProbeRecord
from tests.health.listeners import free_port, listening


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def all_ended(connects: Connects) -> dict[int, ProbeRecord | OSError]:
    found: dict[int, ProbeRecord | OSError] = {}
    deadline = time.monotonic() + 10
    while len(connects):
        assert time.monotonic() < deadline
        found |= dict(connects.poll())
        time.sleep(min(0.01, connects.wait_s()))
    return found


def test_many_end_each_as_it_should() -> None:
    """Connected or refused, with the time it took, and no descriptor is left."""
    connects = Connects()
    before = descriptors()
    found: dict[int, ProbeRecord | OSError] = {}
    with listening() as good:
        bad = Address("127.0.0.1", free_port())
        for key in range(100):  # half of them: what the backlog holds
            connects.start(key, bad if key % 2 else good, 1.0)
            if key % 25 == 0:
                found |= dict(connects.poll())
        found |= all_ended(connects)
        assert descriptors() == before + 1  # that of who listens
    assert len(found) == 100
    for key, record in found.items():
        assert isinstance(record, ProbeRecord)
        assert (record.ok, record.detail) == (
            (False, "refused") if key % 2 else (True, "connected")
        )
        assert record.is_connected is record.ok
        assert 0 <= record.duration_s < 1
    connects.close()


def test_who_does_not_answer_is_given_up_in_time() -> None:
    """By each one's own timeout, though others come and go."""
    connects = Connects()
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        address = Address("127.0.0.1", server.getsockname()[1])
        for _ in range(8):  # more than the backlog: the kernel drops what comes
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        connects.start(1, address, 0.2)
        connects.start(2, address, 0.4)
        began = time.monotonic()
        found = all_ended(connects)
        took = time.monotonic() - began
    one, two = found[1], found[2]
    assert isinstance(one, ProbeRecord)
    assert isinstance(two, ProbeRecord)
    assert (one.detail, two.detail) == (
        "timed out after 0.2 s",
        "timed out after 0.4 s",
    )
    assert not one.is_connected
    assert 0.2 <= one.duration_s < two.duration_s
    assert took < 3


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_kinds_of_numbers(host: str) -> None:
    """A name or a unix socket is not for here."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    connects = Connects()
    with server:
        connects.start(7, Address(host, server.getsockname()[1]), 1.0)
        found = all_ended(connects)[7]
    assert isinstance(found, ProbeRecord)
    assert found.ok
    assert not Connects.is_for(Address("localhost", 1))
    assert not Connects.is_for(Address(path="/x"))


def test_what_only_looks_like_a_number_fails() -> None:
    """And is not taken for this machine's own fault."""
    connects = Connects()
    connects.start(1, Address("256.1.1.1", 80), 1.0)
    found = all_ended(connects)[1]
    assert isinstance(found, ProbeRecord)
    assert not found.ok


def test_our_own_faults_are_handed_on() -> None:
    """Without descriptors nobody may be found to be down."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connects = Connects()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        connects.start(1, Address("127.0.0.1", 9), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ((key, error),) = connects.poll()
    assert key == 1
    assert isinstance(error, OSError)
    assert error.errno == errno.EMFILE
