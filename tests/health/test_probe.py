"""Probes against real sockets, good and bad."""

from __future__ import annotations

import errno
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lb.health.probe import failed, probe, probe_tcp
from lb.model import Address
from tests.health.listeners import free_port, listening, reply, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.health.conftest import Quick

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def web(quick: Quick) -> Quick:
    return replace(quick, kind="http", path="/healthz?a=%2F")


def test_a_listener_is_connected() -> None:
    """Also when it never accepts."""
    with listening() as address:
        record = probe_tcp(address, 1.0)
    assert (record.ok, record.detail) == (True, "connected")
    assert 0 <= record.duration_s < 1


def test_nobody_there_is_refused() -> None:
    """At once."""
    record = probe_tcp(Address("127.0.0.1", free_port()), 1.0)
    assert (record.ok, record.detail) == (False, "refused")


def test_a_full_backlog_times_out() -> None:
    """A hung server does not even refuse; the probe ends with its timeout."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = Address(*server.getsockname())
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            fillers.append(filler)
        record = probe_tcp(address, 0.2)
        for filler in fillers:
            filler.close()
    assert (record.ok, record.detail) == (False, "timed out after 0.2 s")
    assert record.duration_s < 2


def test_a_unix_socket_is_probed(tmp_path: Path) -> None:
    """Connected while somebody listens; refused, and missing, said apart."""
    path = tmp_path / "s"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    address = Address(path=str(path))
    assert probe_tcp(address, 1.0).detail == "connected"
    server.close()
    assert probe_tcp(address, 1.0).detail == "refused"
    path.unlink()
    assert probe_tcp(address, 1.0).detail == "no such socket"


def test_our_own_faults_are_not_the_backends() -> None:
    """A checker without descriptors must not take all backends down."""
    with pytest.raises(OSError, match="many"):
        failed(0.0, OSError(errno.EMFILE, "too many open files"), 1.0)


def test_a_good_answer_is_good(web: Quick) -> None:
    """One request, with the target as given and nothing of the environment."""
    with serving(reply(OK)) as (address, heads):
        record = probe(address, web)
    assert (record.ok, record.detail) == (True, "status 200")
    head = heads[0].decode()
    assert head.startswith("GET /healthz?a=%2F HTTP/1.1\r\n")
    assert f"Host: {address}\r\n" in head
    assert "User-Agent: evenhand-health\r\n" in head
    assert "Connection: close\r\n" in head


def test_host_is_as_told(web: Quick) -> None:
    """For backends that serve several sites."""
    with serving(reply(OK)) as (address, heads):
        assert probe(address, replace(web, host="shop.example")).ok
    assert b"Host: shop.example\r\n" in heads[0]


def test_http_over_a_unix_socket(web: Quick, tmp_path: Path) -> None:
    """The same request through another door."""
    with serving(reply(OK), tmp_path / "s") as (address, heads):
        assert probe(address, web).ok
    assert b"Host: localhost\r\n" in heads[0]


def test_the_environments_proxy_is_not_used(
    web: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe must go where the traffic goes."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving(reply(OK)) as (address, _):
        assert probe(address, web).ok


LONG = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000 + b"hello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    ("answer", "body", "detail"),
    [
        (b"HTTP/1.1 503 No\r\n\r\n", "", "status 503, expected range(200, 400)"),
        (b"HTTP/1.1 301 Go\r\nLocation: /x\r\n\r\n", "", "status 301"),
        (OK, "hello", "status 200"),
        (CHUNKED, "hello", "status 200"),
        (OK, "goodbye", "the expected text is not in the body"),
        (LONG, "hello", "the expected text is not in the body"),
        (b"", "", "closed before it answered"),
        (b"SSH-2.0-x\r\n\r\n", "", "no valid HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", "hello", "no valid"),
    ],
)
def test_answers_are_judged(web: Quick, answer: bytes, body: str, detail: str) -> None:
    """Each row: what the backend says, what is expected, what is found."""
    with serving(reply(answer)) as (address, heads):
        record = probe(address, replace(web, body=body))
    assert record.detail.startswith(detail)
    assert record.ok is record.detail.startswith(("status 200", "status 301"))
    assert len(heads) == 1


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", LONG[:19]])
def test_a_backend_that_dribbles_is_cut_off(web: Quick, start: bytes) -> None:
    """A byte now and then resets a socket's timeout, but not the probe's."""
    over = threading.Event()

    def dribble(peer: socket.socket, _: bytes) -> None:
        peer.sendall(start)
        while not over.wait(0.05):
            peer.sendall(b"x")

    settings = replace(web, timeout=0.3, body="never")
    with serving(dribble) as (address, _):
        record = probe(address, settings)
        over.set()
    assert (record.ok, record.detail) == (
        False,
        f"timed out after {settings.timeout:.1f} s",
    )
    assert record.duration_s < settings.timeout + 0.5


def test_a_refused_http_probe_says_so(web: Quick) -> None:
    """In the same words as a TCP probe."""
    record = probe(Address("127.0.0.1", free_port()), web)
    assert (record.ok, record.detail) == (False, "refused")
