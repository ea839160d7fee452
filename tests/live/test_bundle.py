"""`honcho start`: the whole bundle comes up, serves, and ends without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from honcho.environ import parse_procfile  # type: ignore[import-untyped]

from tests.live.client import fetch, get
from tests.live.server import run_cli
from tests.processes import ROOT, carriers, free_port
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

BUNDLE = "EVENHAND_TEST_BUNDLE"
"""The variable that tells the processes of one bundle."""

HONCHO_PATIENCE_S = 5.0
"""How long after a stop honcho kills what is left."""


def lines_of(text: str) -> dict[str, str]:
    lines: dict[str, str] = parse_procfile(text).processes
    return lines


def test_the_procfile_says_what_the_manual_promises() -> None:
    lines = lines_of((ROOT / "Procfile").read_text())
    assert list(lines) == [
        "lb", "health", "admin", "backend1", "backend2", "backend3", "load"
    ]  # fmt: skip
    commands = {
        name: re.sub(r"\b(LB_\w+)=\$\{\1:-\w+\} ", "", line).replace("env ", "")
        for name, line in lines.items()
    }
    assert re.fullmatch(r"exec gunicorn lb\.wsgi:app( .*)?", commands["lb"])
    assert commands["health"] == "exec python -m lb health"
    app = '"lb.admin.serving:app()"'
    assert commands["admin"] == f"exec gunicorn -c admin.conf.py {app}"
    assert lines["load"] == "exec python -m backend.load --controls"
    for i in (1, 2, 3):
        text = f'"Response from Backend {i}"'
        wanted = f"exec python -m backend 900{i} {text} --restart --controls"
        assert lines[f"backend{i}"] == wanted


def test_the_demos_own_settings_are_in_the_procfile_alone() -> None:
    """They show what happens sooner; whoever sets one of them anew is heard."""
    text = (ROOT / "Procfile").read_text()
    assert dict(re.findall(r"\b(LB_\w+)=\$\{\1:-(\w+)\}", text)) == {
        "LB_DEMO__CONTROLS": "true",
        "LB_HEALTH__KIND": "http",
        "LB_HEALTH__SLOW_START": "10",
    }
    health = re.compile(r"(LB_HEALTH__\w+)=")
    lines = lines_of(text)
    assert health.findall(lines["lb"]) == health.findall(lines["health"])


class Bundle:
    """A running `honcho start` of the real Procfile, moved to free ports."""

    def __init__(self, folder: Path) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.backend_ports = [free_port() for _ in range(3)]
        self._mark = uuid.uuid4().hex
        self._output = folder / "honcho.log"
        procfile = folder / "Procfile"
        text = (ROOT / "Procfile").read_text()
        for i, port in enumerate(self.backend_ports, start=1):
            text = text.replace(f"backend 900{i} ", f"backend {port} ")
        procfile.write_text(text)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = {
            "LB_BIND": f"127.0.0.1:{self.port}",
            "LB_ADMIN__BIND": f"127.0.0.1:{self.admin_port}",
            "LB_BACKENDS": ",".join(f"127.0.0.1:{p}" for p in self.backend_ports),
            "PATH": path,
            "PYTHONUNBUFFERED": "1",
            BUNDLE: self._mark,
        }
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "honcho", "start", "-f", procfile, "-d", ROOT],
                cwd=ROOT,
                env=os.environ | self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text()

    def living(self) -> list[int]:
        return carriers(BUNDLE, self._mark)

    def bodies(self, count: int) -> set[bytes]:
        """What so many requests were answered; an empty one for no answer."""
        try:
            return {fetch(self.port, get()).body for _ in range(count)}
        except OSError:
            return {b""}

    def wait_serving(self) -> None:
        wanted = {b"Response from Backend %d\n" % i for i in (1, 2, 3)}
        wait_for(lambda: self.bodies(6) == wanted, "all three backends", timeout_s=20)

    def stop(self) -> None:
        """End it in order, so that its file in memory goes too; else by force."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(HONCHO_PATIENCE_S + 1.0)
        self.kill()

    def kill(self) -> None:
        while left := self.living():
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)


@pytest.fixture
def bundles(tmp_path: Path) -> Iterator[list[Bundle]]:
    """Two bundles side by side."""
    with ExitStack() as stack:
        both = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            bundle = Bundle(tmp_path / name)
            stack.callback(bundle.stop)
            both.append(bundle)
        yield both


def test_two_bundles_serve_side_by_side_and_end_without_a_trace(
    bundles: list[Bundle],
) -> None:
    """No shared path collides; Ctrl-C ends one within 5 s, and only that one."""
    first, second = bundles
    first.wait_serving()
    second.wait_serving()
    status = run_cli("status", "--json", env=first.env)
    assert status.returncode == 0
    state_file = Path(json.loads(status.stdout)["state_path"])
    assert state_file.exists()
    for bundle in bundles:
        url = f"http://127.0.0.1:{bundle.admin_port}/api/v1/backends"
        told = requests.get(url, timeout=DEADLINE_S).json()
        ports = {int(b["address"].split(":")[1]) for b in told["backends"]}
        assert ports == set(bundle.backend_ports)
    for bundle in bundles:
        others = {
            b"%d" % p for b in bundles if b is not bundle for p in b.backend_ports
        }
        assert not any(port.decode() in bundle.output() for port in others)

    first.process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    first.process.wait(HONCHO_PATIENCE_S + 1.0)
    took_s = time.monotonic() - begun
    assert took_s < HONCHO_PATIENCE_S
    assert "Killing" not in first.output()
    assert "sending SIGKILL" not in first.output()
    assert "Traceback" not in first.output()
    assert first.living() == []
    assert not state_file.exists()

    second.wait_serving()
    assert second.process.poll() is None


def test_a_killed_backend_returns_and_the_bundle_goes_on(tmp_path: Path) -> None:
    """Its small parent starts it again; nothing else notices."""
    bundle = Bundle(tmp_path)
    try:
        bundle.wait_serving()
        port = bundle.backend_ports[0]
        wait_for(lambda: said(bundle, port), "the backend's pid")
        os.kill(said(bundle, port)[-1], signal.SIGKILL)
        wait_for(lambda: len(said(bundle, port)) == 2, "its return", timeout_s=20)
        bundle.wait_serving()
        bundle.process.send_signal(signal.SIGTERM)
        bundle.process.wait(HONCHO_PATIENCE_S + 1.0)
        assert bundle.living() == []
    finally:
        bundle.kill()


def said(bundle: Bundle, port: int) -> list[int]:
    """The pids that the backend of that port said it runs as."""
    found = re.findall(rf"backend {port} runs as pid (\d+)", bundle.output())
    return [int(pid) for pid in found]
