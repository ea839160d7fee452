"""The demo backend under gunicorn: real bytes in, real bytes out."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests

from backend.content import pieces
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from tests.backend.conftest import StartBackend
    from tests.backend.running import RunningBackend

pytestmark = pytest.mark.live


def exchange(backend: RunningBackend, request: bytes) -> bytes:
    """All that comes back for `request`, which asks to close the connection."""
    address = ("127.0.0.1", backend.port)
    with socket.create_connection(address, DEADLINE_S) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def echo(backend: RunningBackend, request: bytes) -> dict[str, Any]:
    answer = exchange(backend, request)
    echoed: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return echoed


def test_it_runs_as_told_whatever_others_are_told(backend: RunningBackend) -> None:
    """The working folder's gunicorn.conf.py, PORT and the like are not meant for it."""
    answer = requests.get(backend.url, timeout=DEADLINE_S)
    assert answer.text == "Demo\n"
    assert len(backend.living()) == 2  # an arbiter and one worker


def test_the_line_at_the_start_names_port_pid_and_url(backend: RunningBackend) -> None:
    pid = backend.process.pid
    wanted = f"backend {backend.port} runs as pid {pid} at {backend.url}\n"
    assert backend.output() == wanted


def test_echo_tells_target_and_headers_byte_by_byte(backend: RunningBackend) -> None:
    """Case, order, repetition and underscores survive; WSGI would lose them."""
    request = (
        b"PURGE /echo//a%2Fb/../c?x=%20&y HTTP/1.1\r\n"
        b"hOst: somewhere\r\nX-Twice: 1\r\nx_under:  2 \r\nx-TWICE: \xe9\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Protocol: http\r\n"
        b"Connection: close\r\n\r\n"
    )
    echoed = echo(backend, request)
    assert echoed["method"] == "PURGE"
    assert echoed["target"] == "/echo//a%2Fb/../c?x=%20&y"
    assert echoed["http_version"] == "HTTP/1.1"
    assert echoed["headers"] == [
        ["hOst", "somewhere"],
        ["X-Twice", "1"],
        ["x_under", "2"],
        ["x-TWICE", "\xe9"],
        ["X-Forwarded-Proto", "https"],
        ["X-Forwarded-Protocol", "http"],
        ["Connection", "close"],
    ]


def test_echo_tells_requests_of_one_connection_apart(backend: RunningBackend) -> None:
    with requests.Session() as session:
        first = session.get(f"{backend.url}/echo?1", headers={"X-First": "1"}).json()
        second = session.get(f"{backend.url}/echo?2").json()
    assert ["X-First", "1"] in first["headers"]
    assert ["X-First", "1"] not in second["headers"]
    assert first["peer"] == second["peer"]


def test_pipelined_heads_are_told_apart(backend: RunningBackend) -> None:
    first = b"GET /echo HTTP/1.1\r\nHost: a\r\nX-N: 1\r\n\r\n"
    second = b"GET /echo HTTP/1.1\r\nHost: a\r\nX-N: 2\r\nConnection: close\r\n\r\n"
    answers = exchange(backend, first + second)
    assert answers.count(b'"X-N"') == 2
    assert answers.index(b'"1"') < answers.index(b'"2"')


def test_a_long_head_is_taken(backend: RunningBackend) -> None:
    head = f"GET /echo?{'x' * 30_000} HTTP/1.1\r\nHost: a\r\n"
    head += f"X-Long: {'y' * 60_000}\r\nConnection: close\r\n\r\n"
    echoed = echo(backend, head.encode())
    assert len(echoed["target"]) == 30_006
    assert ["X-Long", "y" * 60_000] in echoed["headers"]


def test_upload_reads_a_body_sent_in_chunks(backend: RunningBackend) -> None:
    answer = requests.post(
        f"{backend.url}/upload", data=pieces(3_000_000), timeout=DEADLINE_S
    )
    assert answer.json()["length"] == 3_000_000


def test_an_upload_cut_short_is_not_taken_for_whole(backend: RunningBackend) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    with socket.create_connection(("127.0.0.1", backend.port), DEADLINE_S) as sock:
        sock.sendall(head + b"12345")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_large_body_comes_whole(backend: RunningBackend) -> None:
    answer = requests.get(f"{backend.url}/bytes/20000000", timeout=DEADLINE_S)
    assert answer.content == b"".join(pieces(20_000_000))


def test_a_wait_does_not_hold_up_others(backend: RunningBackend) -> None:
    with requests.get(
        f"{backend.url}/stream?chunks=2&ms=60000", stream=True, timeout=DEADLINE_S
    ) as slow:
        first = next(slow.iter_lines())
        assert first == b"Demo, chunk 1 of 2"
        assert requests.get(backend.url, timeout=DEADLINE_S).text == "Demo\n"


@pytest.mark.parametrize("options", [(), ("--restart",)])
def test_a_port_in_use_is_said_in_one_line(
    backend: RunningBackend, start_backend: StartBackend, options: tuple[str, ...]
) -> None:
    second = start_backend(*options, port=backend.port)
    assert second.process.wait(DEADLINE_S) == 1
    assert second.output() == (
        f"backend: port {backend.port} on 127.0.0.1 is in use: "
        "stop what runs there, or choose another port\n"
    )


@pytest.mark.parametrize(
    ("port", "options", "named"),
    [
        (70000, (), "'70000' is not a port from 1 to 65535"),
        (-1, (), "-1"),
        (9001, ("--restart=soon",), "'soon' is not a number of seconds"),
        (9001, ("--restart=-1",), "'-1' is not a number of seconds"),
        (9001, ("--restart=nan",), "'nan' is not a number of seconds"),
        (9001, ("--host=no.invalid",), "'no.invalid'"),
    ],
)
def test_a_bad_command_line_is_said_in_one_line(
    start_backend: StartBackend, port: int, options: tuple[str, ...], named: str
) -> None:
    bad = start_backend(*options, port=port)
    assert bad.process.wait(DEADLINE_S) in {1, 2}
    assert named in bad.output()
    assert bad.output().count("\n") == 1


def test_sigterm_ends_it_with_status_0(start_backend: StartBackend) -> None:
    running = start_backend()
    running.wait_answering()
    running.process.terminate()
    assert running.process.wait(DEADLINE_S) == 0
    wait_for(lambda: not running.living(), "all its processes to end")
