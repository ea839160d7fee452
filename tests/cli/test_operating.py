"""The commands that change what runs: words, JSON and exit statuses."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from lb.cli.progress import Progress
from lb.errors import OperationError
from lb.model import Wish
from lb.operating import Standing
from lb.shm.layout import Counter
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.cli.conftest import Scene


def rows(scene: Scene) -> dict[str, tuple[Wish, int]]:
    return {
        row.backend.name: (row.wish, row.backend.weight) for row in scene.process.rows()
    }


@pytest.mark.parametrize(
    ("command", "wish"),
    [("drain", Wish.DRAIN), ("maint", Wish.MAINT), ("ready", Wish.READY)],
)
def test_a_wish_is_stored_and_told(scene: Scene, command: str, wish: Wish) -> None:
    result = scene.lb(command, "web1")
    assert result.exit_code == 0
    assert f"web1 (127.0.0.1:1): {command}; was ready, weight 1" in result.stdout
    assert rows(scene)["web1"] == (wish, 1)
    assert rows(scene)["web2"] == (Wish.READY, 1)


def test_all_are_meant_by_an_option(scene: Scene) -> None:
    result = scene.lb("drain", "--all")
    assert {wish for wish, _ in rows(scene).values()} == {Wish.DRAIN}
    assert "no backend of the set default is up and ready" in result.stderr
    scene.lb("ready", "--all")
    scene.lb("weight", "--all", "4")
    assert rows(scene) == {"web1": (Wish.READY, 4), "web2": (Wish.READY, 4)}


@pytest.mark.parametrize(
    "arguments",
    [
        ("drain",),
        ("drain", "web1", "--all"),
        ("drain", "web1", "--wait", "-1"),
        ("weight", "web1"),
        ("weight", "web1", "0"),
        ("weight", "web1", "x"),
        ("add",),
        ("remove",),
    ],
)
def test_wrong_usage_changes_nothing(scene: Scene, arguments: tuple[str, ...]) -> None:
    before = scene.process.generation()
    assert scene.lb(*arguments).exit_code == 2
    assert scene.process.generation() == before


def test_an_unknown_name_changes_nothing(scene: Scene) -> None:
    before = scene.process.generation()
    with pytest.raises(OperationError, match="did you mean web1"):
        scene.lb("drain", "web2", "webb1")
    assert scene.process.generation() == before


def test_weight_add_and_remove_are_marked_in_the_status(scene: Scene) -> None:
    scene.lb("weight", "web1", "5")
    scene.lb("add", "web3=127.0.0.1:3", "--weight", "2", "--max-in-flight", "9")
    scene.lb("remove", "web2")
    report = json.loads(scene.lb("status", "--json").stdout)
    told = {b["name"]: (b["weight"], b["changed"]) for b in report["backends"]}
    assert told == {"web1": (5, ["weight, 1 in the settings"]), "web3": (2, ["added"])}
    assert report["removed"] == [{"name": "web2", "address": "127.0.0.1:2"}]
    lines = scene.lb("status").stdout.splitlines()
    head, one, three, gone = lines[:4]
    assert "max" in head
    assert "changed at run time" in head
    assert one.rstrip().endswith("weight, 1 in the settings")
    assert three.rstrip().endswith("added")
    assert gone == "removed at run time: web2 (127.0.0.1:2)"
    result = scene.lb("add", "web2")
    assert "web2 (127.0.0.1:2): added: ready, weight 1" in result.stdout
    assert json.loads(scene.lb("status", "--json").stdout)["removed"] == []


def test_the_status_of_plain_backends_has_no_idle_columns(scene: Scene) -> None:
    head = scene.lb("status").stdout.splitlines()[0]
    for word in ("set", "max", "changed"):
        assert word not in head.split()


def test_a_drain_that_is_waited_for_tells_each_change(scene: Scene) -> None:
    (row,) = (r for r in scene.process.rows() if r.backend.name == "web1")
    cell = scene.slot.row(row.row, row.id).in_flight
    scene.process.cells[cell] = 2

    def serve() -> None:
        wait_for(lambda: rows(scene)["web1"][0] is Wish.DRAIN, "the drain")
        scene.slot.see(scene.process.generation())
        scene.process.cells[cell] = 0

    serving = threading.Thread(target=serve)
    serving.start()
    result = scene.lb("drain", "web1", "--wait", "20")
    serving.join()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "web1 (127.0.0.1:1): drain; was ready, weight 1"
    assert lines[-2].startswith("0 in flight")
    assert lines[-1].startswith("Drained in ")


def test_what_was_cut_is_told_and_the_status_is_1(scene: Scene) -> None:
    (row,) = (r for r in scene.process.rows() if r.backend.name == "web1")
    cells, at = scene.process.cells, scene.slot.row(row.row, row.id)
    cells[at.block] = cells[at.in_flight] = 1

    def cut() -> None:
        wait_for(lambda: rows(scene)["web1"][0] is Wish.MAINT, "the drain")
        cells[at.block + Counter.CUT] += 1
        cells[at.in_flight] = 0
        scene.slot.see(scene.process.generation())

    cutting = threading.Thread(target=cut)
    cutting.start()
    result = scene.lb("maint", "web1", "--wait", "0.1", "--json")
    cutting.join()
    assert result.exit_code == 1
    outcome = json.loads(result.stdout)["outcome"]
    assert (outcome["in_time"], outcome["cut"], outcome["left"]) == (False, 1, 0)


def test_ready_says_who_is_not_up(scene: Scene) -> None:
    result = scene.lb("ready", "web1", "--wait", "0.1")
    assert result.exit_code == 1
    assert "web1 not UP" in result.stdout


def test_names_are_completed_for_the_shell(scene: Scene) -> None:
    from click.shell_completion import ShellComplete

    from lb.cli import cli
    from lb.cli.where import complete_names

    completer = ShellComplete(cli, {}, "lb", "_LB_COMPLETE")
    commands = {item.value for item in completer.get_completions([], "dr")}
    assert commands == {"drain"}
    import click

    context = click.Context(cli)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LB_STATE__PATH", str(scene.path))
        assert complete_names(context, cli.params[0], "web") == ["web1", "web2"]
        patch.setenv("LB_STATE__PATH", str(scene.path.with_name("none")))
        assert complete_names(context, cli.params[0], "") == []


def test_on_a_terminal_one_line_is_written_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    progress = Progress(is_quiet=False)
    for left_s in (9.0, 9.0, 8.0):
        progress.tell(Standing({"a": 2, "b": 0, "c": 1}, behind=1), left_s)
    progress.end()
    written = capsys.readouterr().out
    text = "3 in flight (a 2, c 1), workers yet to see it: 1, {} s left"
    clear = "\r\x1b[K"
    assert written == f"{clear}{text.format(9)}{clear}{text.format(8)}\n"
