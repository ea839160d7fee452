"""Changes at run time: seen at once, and what a reload makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import StateFileError
from lb.model import Address, Backend, Wish
from lb.shm import SharedFile, edit_table, publish
from lb.shm.geometry import Geometry
from lb.shm.layout import Head
from lb.shm.table import read_configured, read_removed, read_rows, write_rows
from tests.shm.children import backends
from tests.shm.test_table import memory

if TYPE_CHECKING:
    from pathlib import Path

    from lb.shm import TableRow

FAR = Backend("far", Address("10.0.0.9", 80))


def row_of(file: SharedFile, name: str) -> TableRow:
    (found,) = (row for row in file.rows() if row.backend.name == name)
    return found


def names(file: SharedFile) -> set[str]:
    return {row.backend.name for row in file.rows()}


def reload(path: Path, *said: Backend) -> None:
    publish(path, said, replace=True)


def test_all_changes_of_a_block_are_one_generation(file: SharedFile) -> None:
    before = file.generation()
    with edit_table(file) as table:
        for row in table.rows():
            table.set_wish(row, Wish.DRAIN)
            table.set_weight(row, 7)
    assert file.generation() == before + 1
    rows = file.rows()
    assert {(row.wish, row.backend.weight) for row in rows} == {(Wish.DRAIN, 7)}


def test_a_block_that_changes_nothing_is_not_seen(file: SharedFile) -> None:
    before = file.generation()
    with edit_table(file) as table:
        table.rows()
    assert file.generation() == before


def test_what_was_stored_before_a_failure_is_seen(file: SharedFile) -> None:
    def fail_midway() -> None:
        with edit_table(file) as table:
            table.set_weight(table.rows()[0], 9)
            raise ZeroDivisionError

    before = file.generation()
    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert file.generation() == before + 1


def test_a_replaced_file_is_not_changed(path: Path, file: SharedFile) -> None:
    publish(path, backends(9007))
    with pytest.raises(StateFileError, match="open it again"), edit_table(file):
        pass


def test_a_deadline_is_kept_with_the_wish_and_ends_with_it(file: SharedFile) -> None:
    row = file.rows()[0]
    with edit_table(file) as table:
        table.set_wish(row, Wish.DRAIN, cut_at=1234.5)
    assert file.rows()[0].cut_at == file.backends()[0].cut_at == 1234.5
    assert file.cuts() == {row.id: 1234.5}
    file.set_wish(row.row, Wish.READY)
    assert file.cuts() == {}


def test_an_added_backend_has_a_row_and_nothing_in_the_settings(
    path: Path, file: SharedFile
) -> None:
    file.take_slot()
    with edit_table(file) as table:
        table.add(FAR)
    assert row_of(file, "far").settings_weight is None
    publish(path, backends(9001, 9002))  # a process that joins is not refused
    reload(path, *backends(9001, 9002))
    assert "far" in names(file), "settings that are as they were undo nothing"
    reload(path, *backends(9001), replace(FAR, weight=5))
    assert row_of(file, "far").settings_weight == 5
    assert row_of(file, "far").backend.weight == 5
    reload(path, *backends(9001))
    assert names(file) == {"web9001"}


def test_a_backend_is_added_once(file: SharedFile) -> None:
    with pytest.raises(StateFileError, match="same name"), edit_table(file) as table:
        table.add(backends(9001)[0])


def test_a_full_table_takes_no_more(tmp_path: Path) -> None:
    publish(tmp_path / "state", backends(*range(1, 65), 65, 66)[:32])
    with SharedFile.open(tmp_path / "state") as file:
        with edit_table(file) as table:
            for backend in backends(*range(101, 133)):
                table.add(backend)
        with (
            pytest.raises(StateFileError, match="room for 64 backends"),
            edit_table(file) as table,
        ):
            table.add(FAR)


def test_a_removed_backend_stays_away_until_it_is_added(
    path: Path, file: SharedFile
) -> None:
    file.take_slot()
    before = row_of(file, "web9001")
    with edit_table(file) as table:
        table.remove(before)
    assert [row.backend for row in file.removed()] == [before.backend]
    publish(path, backends(9001, 9002))
    reload(path, *backends(9001, 9002))
    assert names(file) == {"web9002"}
    with edit_table(file) as table:
        table.add(before.backend)
    after = row_of(file, "web9001")
    assert (after.settings_weight, after.id > before.id) == (1, True)
    assert file.removed() == []


def test_a_removed_backend_is_forgotten_when_the_settings_drop_it(
    path: Path, file: SharedFile
) -> None:
    file.take_slot()
    with edit_table(file) as table:
        table.remove(row_of(file, "web9001"))
    reload(path, *backends(9002))
    assert file.removed() == []
    reload(path, *backends(9001, 9002))
    assert names(file) == {"web9001", "web9002"}


def test_an_added_backend_that_is_removed_leaves_nothing(file: SharedFile) -> None:
    with edit_table(file) as table:
        table.add(FAR)
    with edit_table(file) as table:
        table.remove(row_of(file, "far"))
    assert file.removed() == []


def test_a_weight_stays_until_the_settings_say_another(
    path: Path, file: SharedFile
) -> None:
    one, two = backends(9001, 9002)
    file.take_slot()
    with edit_table(file) as table:
        table.set_weight(row_of(file, "web9001"), 9)
    reload(path, one, replace(two, weight=3))
    assert row_of(file, "web9001").backend.weight == 9
    assert row_of(file, "web9001").settings_weight == 1
    reload(path, replace(one, weight=2), two)
    assert row_of(file, "web9001").backend.weight == 2


def test_wishes_stay_over_a_reload(path: Path, file: SharedFile) -> None:
    file.take_slot()
    file.set_wish(row_of(file, "web9001").row, Wish.MAINT)
    reload(path, *backends(9001, 9002, 9003))
    assert row_of(file, "web9001").wish is Wish.MAINT


def test_a_row_that_changed_hands_is_not_changed(file: SharedFile) -> None:
    stale = file.rows()[0]
    with edit_table(file) as table:
        table.remove(stale)
    for change in ("remove", "set_wish"):
        with (
            pytest.raises(StateFileError, match="not in the table"),
            edit_table(file) as table,
        ):
            table.remove(stale) if change == "remove" else table.set_wish(
                stale, Wish.DRAIN
            )


NAMES = "abcde"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("settings"), st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3))),
        st.tuples(st.just("add"), st.sampled_from(NAMES)),
        st.tuples(st.just("remove"), st.sampled_from(NAMES)),
        st.tuples(st.just("weight"), st.sampled_from(NAMES)),
    ),
    max_size=25,
)  # fmt: skip


class Model:
    """What should be: the settings' last word, and the table as it is now."""

    def __init__(self) -> None:
        self.said: dict[str, int] = {}
        self.table: dict[str, int] = {}

    def publish(self, said: dict[str, int]) -> None:
        """For each backend: what settings newly say holds, all else stays."""
        for name in {*self.said, *said}:
            if said.get(name) == self.said.get(name):
                continue
            if name not in said:
                self.table.pop(name, None)
            elif name in self.table or name not in self.said:
                self.table[name] = said[name]
        self.said = dict(said)


@given(STEPS)
def test_settings_and_run_time_changes_are_merged_as_the_model_says(steps) -> None:  # type: ignore[no-untyped-def]
    from lb.shm.edit import TableEditor

    geometry, model = Geometry(rows=8, slots=2), Model()

    def backend(name: str, weight: int) -> Backend:
        return Backend(name, Address(name, 1), weight)

    with memory() as cells:
        cells[Head.TABLE_GENERATION] = 1
        for kind, what in steps:
            table = TableEditor(cells, geometry)
            rows = {row.backend.name: row for row in read_rows(cells, geometry)}
            if kind == "settings":
                write_rows(cells, geometry, [backend(*item) for item in what.items()])
                model.publish(what)
            elif kind == "add" and what not in rows:
                table.add(backend(what, 7))
                model.table[what] = 7
            elif kind == "remove" and what in rows:
                table.remove(rows[what])
                del model.table[what]
            elif kind == "weight" and what in rows:
                table.set_weight(rows[what], 5)
                model.table[what] = 5
            now = {r.backend.name: r.backend.weight for r in read_rows(cells, geometry)}
            said = {
                r.backend.name: r.backend.weight
                for r in read_configured(cells, geometry)
            }
            away = {r.backend.name for r in read_removed(cells, geometry)}
            assert (now, said) == (model.table, model.said)
            assert away == model.said.keys() - model.table.keys()
