"""What cannot work is said in one clear message, at once; nothing is half started."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.live.client import fetch, get
from tests.live.server import Server, run_cli
from tests.processes import free_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer

pytestmark = pytest.mark.live

SOON_S = 5.0

BAD_SETTINGS = {
    "an unknown setting": ({"LB_HEALTH__INTERVALL": "2"}, "LB_HEALTH__INTERVALL"),
    "an unknown section": ({"LB_HELTH__INTERVAL": "2"}, "LB_HELTH__INTERVAL"),
    "no number": ({"LB_HEALTH__INTERVAL": "soon"}, "soon"),
    "out of range": ({"LB_RETRIES__ATTEMPTS": "99"}, "99"),
    "no address": ({"LB_BACKENDS": "127.0.0.1"}, "127.0.0.1"),
    "no port": ({"LB_BACKENDS": "127.0.0.1:99999"}, "99999"),
    "a backend twice": ({"LB_BACKENDS": "127.0.0.1:1,127.0.0.1:1"}, "127.0.0.1:1"),
    "no backends": ({"LB_BACKENDS": ""}, "backends"),
    "an unknown policy": ({"LB_BALANCE__POLICY": "best"}, "best"),
    "a bad bind": ({"LB_BIND": "nowhere"}, "nowhere"),
    "no such file": ({"LB_CONFIG": "/nonexistent/lb.toml"}, "/nonexistent/lb.toml"),
    "a folder as file": ({"LB_CONFIG": "/"}, "/"),
    "a log in no folder": ({"LB_LOG__ACCESS": "/nonexistent/x.log"}, "x.log"),
    "state in no folder": ({"LB_STATE__PATH": "/nonexistent/x/state"}, "/nonexistent"),
    "a folder as state": ({"LB_STATE__PATH": "/tmp"}, "/tmp"),
}


def refusal_of(server: Server) -> str:
    """What a server that must not start said on its standard error."""
    assert server.process.wait(SOON_S) not in (0, None)
    assert server.living() == []
    said = server.errors()
    assert "Traceback" not in said
    assert "Booting worker" not in said
    assert "Listening" not in said
    return said


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_setting_stops_the_start(start_server: StartServer, name: str) -> None:
    env, named = BAD_SETTINGS[name]
    said = refusal_of(start_server("fast", **env))
    (line,) = [text for text in said.splitlines() if text.startswith("evenhand: ")]
    assert named in line


SOME = ["an unknown setting", "no address", "state in no folder"]


@pytest.mark.parametrize("name", SOME)
def test_the_health_process_refuses_the_same(tmp_path: Path, name: str) -> None:
    env, named = BAD_SETTINGS[name]
    state = {"LB_STATE__PATH": str(tmp_path / "state")}
    ended = run_cli("health", env=state | env)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("evenhand: ")
    assert named in line


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("lane", ["gthread"])
def test_other_lanes_refuse_the_same(
    start_server: StartServer, lane: str, name: str
) -> None:
    env, named = BAD_SETTINGS[name]
    assert named in refusal_of(start_server(lane, **env))


@pytest.mark.parametrize(("lane", "says_so"), [("fast", False), ("gthread", True)])
def test_a_setting_without_effect_in_a_lane_is_said(
    start_server: StartServer, scripted: Scripted, lane: str, says_so: bool
) -> None:
    one = scripted("one")
    server = start_server(lane, LB_BACKENDS=one.address, LB_RETRIES__HEDGE="0.1")
    server.wait_answering()
    assert server.errors().count("retries.hedge has no effect") == says_so
    assert server.stop() == 0


def test_several_mistakes_are_said_at_once(start_server: StartServer) -> None:
    said = refusal_of(
        start_server("fast", LB_BACKENDS="nowhere", LB_HEALTH__RISE="0", LB_TYPO="1")
    )
    lines = [text for text in said.splitlines() if text.startswith("evenhand: ")]
    assert len(lines) == 3


def test_a_broken_file_is_named_with_its_line(
    start_server: StartServer, tmp_path: Path
) -> None:
    path = tmp_path / "lb.toml"
    path.write_text('bind = "127.0.0.1:1"\nbackends = nothing\n')
    said = refusal_of(start_server("fast", LB_CONFIG=str(path)))
    assert str(path) in said
    assert "line 2" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_said(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "lb.toml"
    path.write_text("")
    path.chmod(0)
    assert str(path) in refusal_of(start_server("fast", LB_CONFIG=str(path)))


def test_a_port_in_use_is_said(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        server = start_server("fast", "-b", f"127.0.0.1:{port}")
        said = refusal_of(server)
    assert str(port) in said
    assert "in use" in said


def test_tls_is_refused_by_the_fast_lane(
    start_server: StartServer, tmp_path: Path
) -> None:
    path = tmp_path / "any.pem"
    path.write_text("")
    server = start_server("fast", "--certfile", str(path), "--keyfile", str(path))
    assert server.process.wait(SOON_S) != 0
    assert "does not speak TLS" in server.errors()
    assert server.living() == []


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000], ids=["empty", "garbage"])
def test_a_damaged_state_file_that_nobody_uses_is_made_anew(
    start_server: StartServer, scripted: Scripted, tmp_path: Path, content: bytes
) -> None:
    backend = scripted("one")
    (tmp_path / "state").write_bytes(content)
    server = start_server("fast", LB_BACKENDS=backend.address)
    server.wait_answering()
    assert fetch(server.port, get()).status == 200
    assert server.stop() == 0


def test_a_state_file_of_another_version_is_made_anew(
    start_server: StartServer, scripted: Scripted, tmp_path: Path
) -> None:
    backend = scripted("one")
    first = start_server("fast", LB_BACKENDS=backend.address)
    first.wait_answering()
    assert first.stop() == 0
    path = tmp_path / "state"
    data = bytearray(path.read_bytes())
    data[8] ^= 0xFF  # the version's cell
    for content in (bytes(data), bytes(data[: len(data) // 2])):
        path.write_bytes(content)
        server = start_server("fast", LB_BACKENDS=backend.address)
        server.wait_answering()
        assert server.stop() == 0


def test_a_link_as_state_file_is_refused(
    start_server: StartServer, tmp_path: Path
) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / "state").symlink_to(target)
    assert str(tmp_path / "state") in refusal_of(start_server("fast"))
    assert target.read_bytes() == b"precious"


def test_the_state_file_of_another_running_balancer_is_refused(
    start_server: StartServer, scripted: Scripted
) -> None:
    one, two = scripted("one"), scripted("two")
    first = start_server("fast", LB_BACKENDS=one.address)
    first.wait_answering()
    logged = first.errors()
    second = start_server("fast", LB_BACKENDS=two.address)
    assert second.process.wait(SOON_S) == 1
    said = second.errors().removeprefix(logged)
    assert "is in use by process" in said
    assert "state.path" in said
    assert second.living() == []
    assert fetch(first.port, get()).body == b"one"
    assert first.stop() == 0


def test_flask_says_what_is_wrong_with_its_first_request(
    start_server: StartServer,
) -> None:
    """Importing starts nothing, so this server starts whatever the settings are."""
    server = start_server("flask", LB_HEALTH__INTERVALL="2")
    wait_for(lambda: "Running on" in server.errors(), "the server")
    answer = fetch(server.port, get())
    assert answer.status == 500
    assert answer.value(b"proxy-status").startswith(b"evenhand; error=")
    assert "LB_HEALTH__INTERVALL" in server.errors()
    assert "Traceback" not in server.errors()
