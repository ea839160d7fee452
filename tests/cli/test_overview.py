"""The overview, the ends of the program, and completion in real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lb.cli import cli
from lb.cli.group import SECTIONS
from lb.cli.watching import SORTS
from tests.cli.conftest import Scene, admin_of
from tests.live.test_operating import HEEDS_CTRL_C
from tests.processes import ROOT
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "state")
    yield made
    made.close()


def test_every_command_is_in_one_section() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)


@pytest.mark.parametrize("arguments", [(), ("-h",)])
def test_without_a_command_the_overview_is_shown(arguments: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0
    places = [shown.stdout.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    for name in cli.commands:
        assert f"\n  {name} " in shown.stdout
    assert "..." not in shown.stdout.replace("[ARGS]...", "")


def test_the_columns_to_sort_by_are_those_that_there_are() -> None:
    from lb.cli.top.columns import BY_KEY

    assert set(SORTS) == set(BY_KEY)


HEAVY = ("textual", "requests", "urllib3", "flask", "gevent", "asyncio")


@pytest.mark.parametrize(
    "arguments", [("status", "--json"), ("drain", "web1"), ("-h",)]
)
def test_what_a_command_does_not_need_is_not_imported(
    here: Scene, arguments: tuple[str, ...]
) -> None:
    """Commands start in a quarter of a second, and stay so."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lb", *arguments],
        cwd=ROOT, env=os.environ | {"LB_STATE__PATH": str(here.path)},
        capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "lb.cli.group" in imported
    assert imported.isdisjoint(HEAVY)


class Running:
    """`python -m lb ARGUMENTS` in the background."""

    def __init__(self, scene: Scene, *arguments: str) -> None:
        self._out = scene.path.with_name("out")
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HEEDS_CTRL_C, *arguments],
                cwd=ROOT, env=os.environ | {"LB_STATE__PATH": str(scene.path)},
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def said(self, text: str) -> bool:
        return text in self._out.read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_S)


@pytest.mark.parametrize("way", ["file", "url"])
def test_following_ends_by_ctrl_c_with_130(here: Scene, way: str) -> None:
    with admin_of(here.path) as url:
        where = ("--url", url) if way == "url" else ()
        running = Running(here, "events", "--follow", "--json", "--limit", "0", *where)
        try:

            def is_told() -> bool:
                """Whether it tells of what happens, which began maybe before it did."""
                for wish in ("drain", "ready"):
                    here.by_file(wish, "web2")
                return running.said('"web2"')

            wait_for(is_told, "it to begin")
            here.by_file("maint", "web1")
            wait_for(lambda: running.said('"after": "maint"'), "the maintenance")
            assert running.interrupt() == 130
            assert not running.said("Traceback")
        finally:
            running.process.kill()
            running.process.wait(DEADLINE_S)


@pytest.mark.parametrize("way", ["file", "url"])
def test_a_drain_that_is_interrupted_says_what_stays(here: Scene, way: str) -> None:
    (row,) = (r for r in here.process.rows() if r.backend.name == "web1")
    here.process.cells[here.slot.row(row.row, row.id).in_flight] = 1
    with admin_of(here.path) as url:
        where = ("--url", url) if way == "url" else ()
        running = Running(here, "drain", "web1", "--wait", "60", *where)
        try:
            wait_for(lambda: running.said("1 in flight"), "the wait")
            assert running.interrupt() == 130
            assert running.said("interrupted: web1 still drains")
            assert running.said("lb ready web1")
        finally:
            running.process.kill()
            running.process.wait(DEADLINE_S)
    cut_at = {s.backend.name: s.cut_at for s in here.process.backends()}
    assert cut_at["web1"] > 0


def test_ctrl_c_anywhere_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    from lb.cli import main

    def interrupted(**_: object) -> None:
        raise click.Abort

    monkeypatch.setattr(cli, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_is_printed_for(shell: str) -> None:
    printed = CliRunner().invoke(cli, ["completion", shell])
    assert printed.exit_code == 0
    assert "_LB_COMPLETE" in printed.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_itself_finds_it_good(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = CliRunner().invoke(cli, ["completion", shell]).stdout
    checked = subprocess.run(
        [shell, "-n"], input=script, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def program(folder: Path) -> dict[str, str]:
    """An environment in which `lb` is this project's."""
    path = folder / "lb"
    path.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m lb "$@"\n')
    path.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


def in_bash(folder: Path, line: str, **env: str) -> list[str]:
    """What a real bash completes at the end of a line."""
    script = f"""
        eval "$(lb completion bash)"
        complete -p lb >/dev/null || exit 9
        COMP_LINE='{line}' COMP_POINT={len(line)}
        _lb_completion lb
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", script],
        env=program(folder) | env, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_names_and_options(here: Scene, tmp_path: Path) -> None:
    state = {"LB_STATE__PATH": str(here.path)}
    commands = in_bash(tmp_path, "lb re", **state)
    assert sorted(commands) == ["ready", "recent", "reload", "remove"]
    assert in_bash(tmp_path, "lb drain ", **state) == ["web1", "web2"]
    assert "--token-file" in in_bash(tmp_path, "lb drain --to", **state)
    assert in_bash(tmp_path, "lb completion ", **state) == ["bash", "zsh", "fish"]
    assert in_bash(tmp_path, "lb drain x", LB_STATE__PATH=str(tmp_path / "no")) == []


def test_one_types_and_bash_completes_a_name_of_another_machine(
    here: Scene, tmp_path: Path
) -> None:
    """At a real prompt, which splits the URL at its colons."""
    main, other = pty.openpty()
    written = b""

    def has(text: bytes) -> bool:
        nonlocal written
        while select.select([main], [], [], 0)[0]:
            written += os.read(main, 65536)
        return text in written

    with admin_of(here.path) as url:
        env = program(tmp_path) | {
            "LB_STATE__PATH": str(tmp_path / "none"),
            "PS1": "$ ",
        }
        shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            env=env, stdin=other, stdout=other, stderr=other, start_new_session=True,
        )  # fmt: skip
        try:
            os.write(main, b'eval "$(lb completion bash)"; echo rea""dy\n')
            wait_for(lambda: has(b"ready\r\n"), "the prompt")
            here.by_file("remove", "web2")
            os.write(main, f"lb drain --url {url} w\t".encode())
            wait_for(lambda: has(b" web1 "), "the name")
        finally:
            shell.kill()
            shell.wait(DEADLINE_S)
            os.close(main)
            os.close(other)
