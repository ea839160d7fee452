"""`lb events`: what happened, and what happens, over the file and over a URL."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from lb.cli.eventful import WORDS, told
from lb.cli.reach.by_file import FileOperator
from lb.cli.reach.by_url import UrlOperator
from lb.model import Wish
from lb.operating import set_wish
from lb.shm import EventKind, SharedFile, publish
from tests.cli.conftest import Scene, admin_of
from tests.processes import free_port
from tests.shm.children import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.cli.reach.operator import Operator


@pytest.fixture
def operator(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """The scene's balancer, as commands see it."""
    monkeypatch.setenv("LB_STATE__PATH", str(scene.path))
    made = UrlOperator(scene.url) if scene.url else FileOperator()
    with closing(made):
        yield made


def toggle(scene: Scene, times: int) -> None:
    for number in range(times):
        wish = Wish.READY if number % 2 else Wish.DRAIN
        set_wish(scene.process, ["web1"], wish, who="a test")


def test_each_is_a_line(scene: Scene) -> None:
    scene.lb("drain", "web1")
    scene.lb("weight", "web2", "5")
    scene.lb("remove", "web2")
    lines = [line.split(" ", 1)[1] for line in scene.lb("events").stdout.splitlines()]
    who = "api, from 127.0.0.1" if scene.url else ", by command"
    assert all(line.endswith(f"{who}]") for line in lines[-4:])
    assert lines[-4].startswith("web1: drain (was ready)")
    assert lines[-3].startswith("web2: weight 5 (was 1)")
    assert lines[-1].startswith("web2: removed")


def test_they_are_chosen_by_backend_and_number(scene: Scene) -> None:
    toggle(scene, 6)
    scene.lb("drain", "web2")
    listed = json.loads(
        scene.lb("events", "--backend", "web1", "--limit", "3", "--json").stdout
    )
    assert [each["after"] for each in listed] == ["ready", "drain", "ready"]
    assert scene.lb("events", "--limit", "0").stdout == ""
    assert scene.lb("events", "--limit", "1").stdout.count("\n") == 1
    assert scene.lb("events", "--backend", "nobody").stdout == ""
    assert scene.lb("events", "--limit", "9999").exit_code == 2


def test_what_happens_is_followed(scene: Scene, operator: Operator) -> None:
    cursor = operator.events(None, 1).cursor
    toggle(scene, 1)
    news = operator.follow(cursor)
    first = next(news).told
    scene.lb("ready", "web1")
    second = next(each.told for each in news if each.told)
    assert first is not None
    assert [first["after"], second["after"]] == ["drain", "ready"]


def test_lost_events_are_counted(scene: Scene, operator: Operator) -> None:
    cursor = operator.events(None, 1).cursor
    toggle(scene, 600)
    news = operator.follow(cursor)
    found = next(each for each in news if not each.trouble)
    assert (found.lost, found.told) == (88, None)
    rest = [each.told for each in islice(news, 512)]
    assert all(each is not None and each["backend"] == "web1" for each in rest)


def test_a_balancer_that_was_started_again_is_followed(
    scene: Scene, operator: Operator
) -> None:
    """Its file is another, and all that is in it is new."""
    news = operator.follow(operator.events(None, 1).cursor)
    scene.process.close()
    scene.path.unlink()
    publish(scene.path, backends(7))
    with SharedFile.open(scene.path) as file:
        set_wish(file, None, Wish.MAINT)
    found = next(each.told for each in news if each.told)
    assert (found["backend"], found["after"]) == ("web7", "maint")


def test_a_stream_that_broke_goes_on_where_it_was(tmp_path: Path) -> None:
    """With no event lost or told twice."""
    scene, port = Scene(tmp_path / "state"), free_port()
    with closing(scene):
        with (
            admin_of(scene.path, port=port) as url,
            closing(UrlOperator(url)) as operator,
        ):
            news = operator.follow(operator.events(None, 1).cursor)
            toggle(scene, 1)
            assert next(news).told is not None
        set_wish(scene.process, ["web1"], Wish.READY)
        set_wish(scene.process, ["web1"], Wish.MAINT)
        assert next(news).trouble
        with admin_of(scene.path, port=port):
            found = list(islice((each.told for each in news if each.told), 2))
            assert [each["after"] for each in found if each] == ["ready", "maint"]
            news.close()  # type: ignore[attr-defined]


def test_a_stream_that_broke_before_anything_happened_goes_on(tmp_path: Path) -> None:
    scene, port = Scene(tmp_path / "state"), free_port()
    with closing(scene), closing(UrlOperator(f"http://127.0.0.1:{port}")) as operator:
        with admin_of(scene.path, port=port):
            news = operator.follow(operator.events(None, 1).cursor)
        assert "refused" in next(news).trouble
        toggle(scene, 1)
        with admin_of(scene.path, port=port):
            found = next(each.told for each in news if each.told)
            assert found["after"] == "drain"
            news.close()  # type: ignore[attr-defined]


def test_every_kind_has_its_words() -> None:
    kinds = {kind.name.lower() for kind in EventKind} - {"other"}
    assert set(WORDS) == kinds
    for kind in [*kinds, "of a later version"]:
        line = told(
            {"at": 0.0, "kind": kind, "backend": "a", "before": None, "after": 1,
             "reason": "so\x1b", "who": "me"}
        )  # fmt: skip
        assert line.isprintable()
        assert line.startswith("1970-01-01T00:00:00.000Z a: ")
        assert line.endswith(r": so\x1b [me]")
