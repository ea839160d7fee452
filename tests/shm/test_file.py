"""An open file: generation, wishes, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lb.errors import StateFileError
from lb.model import Wish
from lb.shm import SharedFile, publish
from tests.shm.children import backends

if TYPE_CHECKING:
    from pathlib import Path


def test_the_generation_can_be_read_inline(file: SharedFile) -> None:
    """A hot loop adds the two cells itself."""
    table, verdicts = file.generation_cells
    assert file.cells[table] + file.cells[verdicts] == file.generation()


def test_a_wish_is_seen_by_another_open(path: Path, file: SharedFile) -> None:
    """With a new generation, and for that backend only."""
    with SharedFile.open(path) as other:
        before = other.generation()
        file.set_wish(1, Wish.DRAIN)
        assert other.generation() == before + 1
        wishes = [state.wish for state in other.backends()]
    assert wishes == [Wish.READY, Wish.DRAIN]


def test_a_wish_for_an_empty_row_is_refused(file: SharedFile) -> None:
    """Nobody would obey it."""
    with pytest.raises(StateFileError, match="row 5"):
        file.set_wish(5, Wish.DRAIN)


def test_a_wish_does_not_hit_the_next_tenant(path: Path, file: SharedFile) -> None:
    """When the caller says whom it means."""
    file.take_slot()
    state = file.backends()[0]
    publish(path, backends(9002, 9003), replace=True)
    with pytest.raises(StateFileError, match="no such backend"):
        file.set_wish(state.row, Wish.MAINT, row_id=state.id)
    assert {state.wish for state in file.backends()} == {Wish.READY}


def test_closing_twice_is_closing_once(path: Path) -> None:
    """And the object says that it is closed."""
    file = SharedFile.open(path)
    assert "generation 1" in repr(file)
    file.close()
    file.close()
    assert "closed" in repr(file)


def test_a_file_that_was_removed_is_not_current(path: Path, file: SharedFile) -> None:
    """Nobody can come to it any more."""
    path.unlink()
    assert not file.is_current()


def test_a_slice_that_is_kept_does_not_keep_the_locks(
    path: Path, file: SharedFile
) -> None:
    """Such as one in the traceback of an error that was logged."""
    other = SharedFile.open(path)
    assert other.take_slot().index == 0
    kept = other.cells[:4]
    other.close()
    assert file.take_slot().index == 0
    kept.release()
