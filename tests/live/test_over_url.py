"""Commands over the URL of a real admin process, beside a real balancer."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest

from lb.model import Wish
from lb.shm import SharedFile
from tests.cli.test_pages import schema_of
from tests.live.client import Client, get
from tests.live.server import run_cli
from tests.live.test_admin import StartAdmin, start_admin
from tests.live.test_operating import Held, running
from tests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer
    from tests.live.server import Server

pytestmark = pytest.mark.live

__all__ = ["start_admin"]

ELSEWHERE = {"LB_STATE__PATH": "/nowhere/at/all"}


def wish_of(server: Server, name: str) -> Wish:
    with SharedFile.open(server.state) as file:
        return next(row.wish for row in file.rows() if row.backend.name == name)


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_drain_is_waited_for_with_progress(
    start_server: StartServer,
    start_admin: StartAdmin,
    scripted: Scripted,
    *,
    is_patient: bool,
) -> None:
    """By the same words and exit statuses as by the file: 0, or 1 if it was cut."""
    one, held = scripted("one"), Held()
    one.scripts[b"/held"] = held
    server = start_server(
        "fast", "-w", "2", LB_BACKENDS=str(one.address), LB_HEALTH__INTERVAL="0.3"
    )
    server.wait_answering(2)
    admin = start_admin(server, LB_ADMIN__TOKEN="open")
    admin.wait_serving()
    with Client(server.port) as client:
        client.send(get(b"/held"))
        assert held.begun.wait(DEADLINE_S)
        wait_s = "20" if is_patient else "1.5"
        with running(
            server, "drain", "one", "--wait", wait_s, "--url", admin.url,
            "--token-file", _token(server, "open"),
        ) as drain:  # fmt: skip
            drain.wait_line(r"1 in flight, .*\d+ s left")
            assert wish_of(server, "one") is Wish.DRAIN
            if is_patient:
                held.let_go()
            status = drain.end()
    held.let_go()
    assert drain.lines[0].startswith("one (")
    if is_patient:
        assert (status, drain.lines[-1][:11]) == (0, "Drained in ")
    else:
        assert status == 1
        assert "1 in flight were cut at the deadline" in drain.lines[-1]


def _token(server: Server, token: str) -> str:
    path = server.state.with_name("token")
    path.write_text(token)
    return str(path)


def test_events_are_followed_over_a_real_stream(
    start_server: StartServer,
    start_admin: StartAdmin,
    scripted: Scripted,
) -> None:
    one = scripted("one")
    server = start_server("fast", LB_BACKENDS=str(one.address))
    server.wait_answering()
    admin = start_admin(server)
    admin.wait_serving()
    with running(server, "events", "-f", "--url", admin.url) as events:
        events.wait_line(r".* one: UP \(was unknown\)")
        server.run_cli("drain", "one")
        events.wait_line(r".* one: drain \(was ready\) \[.*, by command\]$")
        admin.stop()
        events.wait_line(r"evenhand: (cannot ask .*|the stream ended)$")
        events.interrupt()
        assert events.end() == 130


def test_a_reload_is_planned_and_done_over_a_url(
    tmp_path: Path,
    start_server: StartServer,
    start_admin: StartAdmin,
    scripted: Scripted,
) -> None:
    """Also by somebody whose own settings are others; words and JSON are the same."""
    one, two = scripted("one"), scripted("two")
    toml = tmp_path / "lb.toml"
    toml.write_text(f'backends = ["{one.address}"]\n')
    server = start_server("fast", LB_CONFIG=str(toml))
    server.wait_answering()
    admin = start_admin(LB_CONFIG=str(toml))
    admin.wait_serving()

    def far(*arguments: str) -> tuple[int, str]:
        env = os.environ | ELSEWHERE
        done = run_cli(*arguments, "--url", admin.url, env=dict(env))
        assert done.stderr == ""
        return done.returncode, done.stdout

    assert far("plan") == (0, "Nothing would change.\n")
    toml.write_text(
        f'backends = ["{one.address}", "{two.address}"]\nhealth.rise = 7\n'
        'admin.hosts = ["lb.example"]\nretries.attempts = 2\n'
    )
    for more in ((), ("--json",)):
        here = server.run_cli("plan", *more)
        assert far("plan", *more) == (here.returncode, here.stdout)
        assert here.returncode == 1
    _is_as_documented("plan", far("plan", "--json")[1])
    status, told = far("reload")
    lines = told.splitlines()
    assert status == 0
    assert any(line.startswith("+ two=") for line in lines)
    assert any(line.startswith("! admin.hosts: ") for line in lines)
    assert lines[-1].startswith("In force in 1 workers after ")
    for way in (far, lambda *a: (0, server.run_cli(*a).stdout)):
        _is_as_documented("reload", way("reload", "--json")[1])


def _is_as_documented(name: str, text: str) -> None:
    _, schema = schema_of(name)
    jsonschema_rs.validate(schema, json.loads(text))


def test_figures_of_a_second_are_told(
    start_server: StartServer,
    start_admin: StartAdmin,
    scripted: Scripted,
) -> None:
    one = scripted("one")
    server = start_server("fast", LB_BACKENDS=str(one.address))
    server.wait_answering()
    server.wait_verdict("one", "UP")
    admin = start_admin(server)
    admin.wait_serving()
    for where in ((), ("--url", admin.url)):
        told = json.loads(server.run_cli("top", "--json", *where).stdout)
        (row,) = told["backends"]
        assert (row["name"], row["verdict"], told["workers"]) == ("one", "up", 1)
