"""`python -m lb COMMAND`, as a person or a script runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lb import __version__
from tests.live.client import fetch, get
from tests.live.server import run_cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer

pytestmark = pytest.mark.live

COMMANDS = (
    "add", "check", "drain", "explain", "health", "maint", "ready", "recent",
    "remove", "status", "weight",
)  # fmt: skip


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_the_commands(option: str) -> None:
    ended = run_cli(option, env={})
    assert ended.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    ended = run_cli(command, "-h", env={})
    assert ended.returncode == 0
    assert "Usage: " in ended.stdout


def test_its_version_is_the_products() -> None:
    assert __version__ in run_cli("--version", env={}).stdout


def test_an_unknown_command_is_refused() -> None:
    ended = run_cli("chekc", env={})
    assert ended.returncode == 2
    assert "chekc" in ended.stderr


def test_check_prints_each_setting_with_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "lb.toml"
    path.write_text('backends = ["10.0.0.1:80"]\n[health]\nrise = 7\n')
    ended = run_cli(
        "check", env={"LB_CONFIG": str(path), "LB_TIMEOUTS__CONNECT": "1.5"}
    )
    assert ended.returncode == 0
    assert ended.stderr == ""
    rows = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines()}
    assert rows["backends"] == ["10.0.0.1:80", str(path)]
    assert rows["health.rise"] == ["7", str(path)]
    assert rows["timeouts.connect"] == ["1.5", "LB_TIMEOUTS__CONNECT"]
    assert rows["health.fall"] == ["3", "default"]
    assert ended.stdout.splitlines()[-1] == "The settings are good."


def test_check_prints_json() -> None:
    ended = run_cli("check", "--json", env={"LB_BIND": "127.0.0.1:1"})
    assert ended.returncode == 0
    rows = {row["key"]: row for row in json.loads(ended.stdout)}
    assert rows["bind"]["value"] == "127.0.0.1:1"
    assert rows["bind"]["origin"] == "LB_BIND"
    assert rows["state.path"]["value"].endswith(".state")


def test_check_keeps_secrets() -> None:
    ended = run_cli("check", env={"LB_ADMIN__TOKEN": "hush-hush"})
    assert "hush-hush" not in ended.stdout


def test_check_says_every_mistake() -> None:
    env = {"LB_BACKENDS": "x", "LB_TYPO": "1", "LB_BALANCE__POLICY": "best!"}
    ended = run_cli("check", env=env)
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("evenhand: ") for line in lines)


def test_status_without_a_balancer_says_so(tmp_path: Path) -> None:
    ended = run_cli("status", env={"LB_STATE__PATH": str(tmp_path / "none")})
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert str(tmp_path / "none") in line


def test_status_tells_what_is_known(
    start_server: StartServer, scripted: Scripted
) -> None:
    """With status 0 while a backend may be used, and 1 when none may."""
    one, two = scripted("one"), scripted("two")
    server = start_server(
        "fast",
        LB_BACKENDS=f"{one.address},{two.address}",
        LB_HEALTH__INTERVAL="0.3",
        LB_HEALTH__FAST_INTERVAL="0.15",
    )
    server.wait_answering()
    server.wait_verdict("one", "UP")
    two.close()
    server.wait_verdict("two", "DOWN")
    for _ in range(3):
        assert fetch(server.port, get()).status == 200
    report = server.ask_status()
    assert report["state_path"] == str(server.state)
    assert report["checker_pid"] == server.worker_pids()[0]
    first, second = report["backends"]
    assert (first["name"], first["address"]) == ("one", f"127.0.0.1:{one.port}")
    assert (first["verdict"], first["available"]) == ("up", True)
    assert first["requests"] >= 3
    assert (second["verdict"], second["available"]) == ("down", False)
    assert "refused" in second["reason"]
    assert second["last_probe"]["ok"] is False
    table = server.run_cli("status")
    assert table.returncode == 0
    lines = table.stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["one", "UP", "ready"],
        ["two", "DOWN", "ready"],
    ]
    assert second["reason"] in lines[2]
    one.close()
    server.wait_verdict("one", "DOWN")
    for options in ((), ("--json",)):
        assert server.run_cli("status", *options).returncode == 1
