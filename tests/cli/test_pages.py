"""Each command has a page, with the options, words and answers that it really has."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import jsonschema_rs
import pytest

from lb.admin.openapi import document
from lb.cli import cli
from lb.cli.group import SECTIONS
from lb.cli.top.board import Row, Sum
from tests.processes import ROOT

if TYPE_CHECKING:
    from tests.cli.conftest import Scene

FOLDER = ROOT / "docs" / "commands"
COMMANDS = sorted(cli.commands)


def section(name: str, title: str) -> str:
    """What stands below a heading of a command's page."""
    text = (FOLDER / f"{name}.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(table: str) -> list[str]:
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    return [row.split("|")[1].strip() for row in rows]


def test_there_is_a_page_for_each_command_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(
        [*COMMANDS, "README"]
    )


def test_the_index_has_them_as_the_overview_has() -> None:
    text = (FOLDER / "README.md").read_text()
    for title, names in SECTIONS.items():
        (line,) = (x for x in text.splitlines() if x.startswith(f"| {title} |"))
        assert re.findall(r"\[(\w+)\]\(\1\.md\)", line) == list(names)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_the_options_that_there_are(name: str) -> None:
    command = cli.commands[name]
    context = click.Context(command, info_name=name)
    real = {
        spelled
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        for spelled in (*parameter.opts, *parameter.secondary_opts)
    } | {"-h"}
    told = [
        match
        for cell in first_cells(section(name, "Options"))
        for match in re.findall(r"`(-[-\w]+)", cell)
    ]
    assert sorted(told) == sorted(real)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_begins_with_the_usage(name: str) -> None:
    command = cli.commands[name]
    text = (FOLDER / f"{name}.md").read_text()
    assert text.startswith(f"# lb {name}\n")
    usage = " ".join(
        command.collect_usage_pieces(click.Context(command, info_name=name))
    )
    assert f"\n```\nlb {name} {usage}\n```\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_tells_the_exit_statuses_that_the_help_tells(name: str) -> None:
    command = cli.commands[name]
    told = first_cells(section(name, "Exit status"))
    assert told[0] == "0"
    assert len(told) == len(set(told))
    for status in re.findall(r"^(?:Exit status: )?(\d+) ", command.epilog or "", re.M):
        assert status in told


@pytest.mark.parametrize("name", COMMANDS)
def test_only_what_prints_json_tells_its_shape(name: str) -> None:
    has_json = any(p.name == "as_json" for p in cli.commands[name].params)
    assert bool(section(name, "JSON")) == has_json
    assert has_json == (name not in {"health", "completion"})


def test_links_lead_somewhere() -> None:
    for path in FOLDER.glob("*.md"):
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            file, _, anchor = target.partition("#")
            other = (path.parent / file).resolve() if file else path
            assert other.exists(), f"{path}: {target}"
            titles = re.findall(r"^#+ (.+)$", other.read_text(), re.M)
            anchors = {
                re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles
            }
            assert not anchor or anchor in anchors, f"{path}: {target}"


def schema_of(name: str) -> tuple[bool, dict[str, Any]]:
    """What a page says that its JSON is: whether a list, and of what."""
    text = section(name, "JSON")
    found = re.search(r"(A list of )?`(\w+)` of the \[API\]", text)
    assert found, name
    schema = {"$ref": f"#/components/schemas/{found[2]}"}
    return bool(found[1]), schema | {"components": document()["components"]}


ASKED = {
    "status": (), "recent": (), "explain": ("one",), "events": (), "check": (),
    "drain": ("web1",), "maint": ("web1", "--wait", "0"), "ready": ("web1",),
    "weight": ("web1", "3"), "add": ("web3=127.0.0.1:3",), "remove": ("web2",),
}  # fmt: skip
"""What each is asked for; plan and reload need an arbiter, see tests/live."""


@pytest.mark.parametrize("name", sorted(ASKED))
def test_json_is_what_the_page_says(scene: Scene, name: str) -> None:
    scene.request("web1", request_id=b"one")
    scene.by_file("drain", "web2")
    told = json.loads(scene.lb(name, *ASKED[name], "--json").stdout)
    is_list, schema = schema_of(name)
    assert isinstance(told, list) == is_list
    assert told
    for each in told if is_list else [told]:
        jsonschema_rs.validate(schema, each)


def test_the_json_of_top_has_the_keys_that_its_page_names() -> None:
    text = section("top", "JSON")
    of_all, _, of_each = text.partition("in `backends` for each")
    assert re.findall(r"`(\w+)`", of_all) == [
        field.name for field in fields(Sum) if field.name != "backends"
    ]
    assert re.findall(r"`(\w+)`", of_each) == [field.name for field in fields(Row)]


def test_the_manual_names_every_command() -> None:
    text = Path(ROOT / "README.md").read_text()
    assert "docs/commands/" in text
