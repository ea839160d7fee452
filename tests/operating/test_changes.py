"""What an operator may change, and how a slip is answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lb.errors import OperationError
from lb.model import Address, Backend, Wish
from lb.operating import add, find, read_backend, remove, set_weight, set_wish
from tests.shm.children import backends

if TYPE_CHECKING:
    from tests.operating.conftest import Scene

FAR = Backend("far", Address("10.0.0.9", 80))


def wishes(scene: Scene) -> dict[str, Wish]:
    return {row.backend.name: row.wish for row in scene.file.rows()}


def names(scene: Scene) -> set[str]:
    return {row.backend.name for row in scene.file.rows()}


@pytest.mark.parametrize("wish", Wish)
def test_a_wish_is_stored_for_those_that_are_named(scene: Scene, wish: Wish) -> None:
    done = set_wish(scene.file, ["web1", "127.0.0.1:3"], wish, cut_at=77.0)
    assert wishes(scene) == {"web1": wish, "web2": Wish.READY, "web3": wish}
    assert [row.backend.name for row in done.rows] == ["web1", "web3"]
    assert {row.wish for row in done.rows} == {Wish.READY}, "as they were before"
    assert done.generation == scene.file.generation()
    assert set(scene.file.cuts()) == done.ids


def test_all_are_meant_by_none(scene: Scene) -> None:
    set_wish(scene.file, None, Wish.DRAIN)
    assert set(wishes(scene).values()) == {Wish.DRAIN}


def test_with_one_unknown_name_nothing_is_changed(scene: Scene) -> None:
    before = scene.file.generation()
    with pytest.raises(OperationError) as caught:
        set_wish(scene.file, ["web1", "wbe2", "zzz"], Wish.DRAIN)
    first, second = str(caught.value).splitlines()
    assert first.startswith("no backend is called 'wbe2'; did you mean web2")
    assert second == "no backend is called 'zzz'; there are web1, web2, web3"
    assert scene.file.generation() == before


def test_a_name_given_twice_is_one_backend(scene: Scene) -> None:
    rows = find(scene.file.rows(), ["web2", "127.0.0.1:2", "web2"])
    assert [row.backend.name for row in rows] == ["web2"]


def test_an_address_of_several_sets_names_nobody(scene: Scene) -> None:
    """Only one of them would be drained, and who asked would think that all are."""
    twin = Backend("api1", Address("127.0.0.1", 1), group="api")
    add(scene.file, [twin], sets=["api"])
    with pytest.raises(OperationError, match="is web1, api1: say by name which"):
        set_wish(scene.file, ["127.0.0.1:1"], Wish.DRAIN)
    assert set(wishes(scene).values()) == {Wish.READY}
    set_wish(scene.file, ["api1"], Wish.DRAIN)
    assert wishes(scene)["web1"] is Wish.READY


def test_long_lists_are_cut_in_a_message(scene: Scene) -> None:
    add(scene.file, backends(*range(10, 40)))
    with pytest.raises(OperationError, match=r"and 13 more$"):
        find(scene.file.rows(), ["?"])


def test_a_weight_is_stored(scene: Scene) -> None:
    set_weight(scene.file, ["web2"], 9)
    weights = {row.backend.name: row.backend.weight for row in scene.file.rows()}
    assert weights == {"web1": 1, "web2": 9, "web3": 1}


@pytest.mark.parametrize("weight", [-1, 0, 257])
def test_a_weight_out_of_range_is_refused(scene: Scene, weight: int) -> None:
    with pytest.raises(OperationError, match=r"from 1 to 256.*drain it"):
        set_weight(scene.file, ["web2"], weight)


def test_a_backend_is_added_and_removed(scene: Scene) -> None:
    done = add(scene.file, [FAR])
    assert [row.backend for row in done.rows] == [FAR]
    assert names(scene) == {"web1", "web2", "web3", "far"}
    remove(scene.file, done.rows)
    remove(scene.file, done.rows)  # it is gone already
    assert names(scene) == {"web1", "web2", "web3"}


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (replace(FAR, name="web1"), "called web1 already, at 127.0.0.1:1"),
        (replace(FAR, address=Address("127.0.0.1", 2)), "already, called web2"),
        (replace(FAR, group="blue"), "no set 'blue'; there are: default"),
        (replace(FAR, weight=300), "from 1 to 256"),
    ],
)
def test_what_cannot_be_added_leaves_all_out(
    scene: Scene, backend: Backend, message: str
) -> None:
    good = Backend("good", Address("10.0.0.1", 80))
    with pytest.raises(OperationError, match=message):
        add(scene.file, [good, backend])
    assert names(scene) == {"web1", "web2", "web3"}


def test_a_set_of_the_settings_may_be_named(scene: Scene) -> None:
    add(scene.file, [replace(FAR, group="blue")], sets=["blue"])
    # From then on it is known, and an address may stand in another set too.
    add(scene.file, [Backend("b1", Address("127.0.0.1", 1), group="blue")])
    groups = {row.backend.name: row.backend.group for row in scene.file.rows()}
    assert (groups["far"], groups["b1"], groups["web1"]) == ("blue", "blue", "default")


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("far=10.0.0.9:80", FAR),
        ("10.0.0.9:80", replace(FAR, name="10.0.0.9:80")),
        ("sock=unix:/run/x", Backend("sock", Address(path="/run/x"))),
    ],
)
def test_backends_are_written_as_in_the_settings(
    scene: Scene, text: str, backend: Backend
) -> None:
    assert read_backend(scene.file, text) == backend


@pytest.mark.parametrize("text", ["far", "far=", "http://x:1", "a,b", ""])
def test_what_is_no_backend_is_told_with_what_would_be(scene: Scene, text: str) -> None:
    with pytest.raises(OperationError, match="expected NAME=HOST:PORT"):
        read_backend(scene.file, text)


def test_a_removed_backend_comes_back_by_its_name(scene: Scene) -> None:
    rows = find(scene.file.rows(), ["web2"])
    remove(scene.file, rows)
    for text in ("web2", "127.0.0.1:2"):
        assert read_backend(scene.file, text) == rows[0].backend
    add(scene.file, [read_backend(scene.file, "web2")])
    assert names(scene) == {"web1", "web2", "web3"}
    assert scene.file.removed() == []
