"""The settings beside the file: whole, private, and there before the rows are."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from lb.errors import StateFileError
from lb.shm import SharedFile, publish, retire
from lb.shm.document import LIMIT_BYTES, beside
from tests.shm.children import Child, backends
from tests.shm.test_publish import HOLD_SLOT, damage, decide

if TYPE_CHECKING:
    from pathlib import Path


def test_a_document_is_private_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert publish(path, backends(9001), document=b"first") == 1
    assert stat.S_IMODE(beside(path).stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [path, beside(path)]
    with SharedFile.open(path) as file:
        assert file.settings_generation() == 1
        assert file.document() == b"first"


def test_without_one_there_is_none_to_be_read(path: Path, file: SharedFile) -> None:
    """Not even one that lies there from an earlier file."""
    beside(path).write_bytes(b"stale")
    assert file.settings_generation() == 0
    with pytest.raises(StateFileError, match="no settings"):
        file.document()


@pytest.mark.parametrize("how", ["", "verdicts", "other backends", "empty", "version"])
def test_a_file_without_users_gets_it_whatever_was_there(path: Path, how: str) -> None:
    if how == "verdicts":
        decide(path)
    elif how == "other backends":
        publish(path, backends(9009))
    elif how:
        damage(path, how)
    assert publish(path, backends(9001, 9002), document=b"new") == 1
    with SharedFile.open(path) as file:
        assert file.document() == b"new"
        assert file.generation() == 1
        assert len(file.rows()) == 2


def test_one_that_only_has_a_document_is_not_made_anew(path: Path) -> None:
    """A `health` process that starts beside an arbiter leaves its settings."""
    publish(path, backends(9001, 9002), document=b"kept")
    publish(path, backends(9001, 9002))
    with SharedFile.open(path) as file:
        assert file.document() == b"kept"


def test_processes_that_use_the_file_see_a_change_at_their_next_look(
    path: Path, file: SharedFile
) -> None:
    """Also where no row changes."""
    slot = file.take_slot()
    before = file.generation()
    assert publish(path, backends(9001, 9002), document=b"one") == 1
    assert publish(path, backends(9001), replace=True, document=b"two") == 2
    assert file.generation() == before + 2
    assert file.document() == b"two"
    assert slot.is_ours


def test_what_is_refused_leaves_the_settings_in_force(
    path: Path, file: SharedFile
) -> None:
    publish(path, backends(9001, 9002), document=b"good")
    with Child(HOLD_SLOT, path) as child:
        child.line()
        for ports in (range(1, 3), range(1, file.geometry.rows + 2)):
            replace = len(ports) > 2
            with pytest.raises(StateFileError):
                publish(path, backends(*ports), replace=replace, document=b"bad")
    assert file.document() == b"good"
    assert file.settings_generation() == 1


def test_the_document_is_there_before_its_rows_and_its_number(
    path: Path, file: SharedFile
) -> None:
    """A reader that is woken by the last store finds all of it."""
    file.take_slot()
    beside(path).mkdir()  # so it cannot be written
    with pytest.raises(StateFileError):
        publish(path, backends(9003), replace=True, document=b"new")
    assert file.settings_generation() == 0
    assert [row.backend.name for row in file.rows()] == ["web9001", "web9002"]
    assert sorted(path.parent.iterdir()) == [path, beside(path)]


@pytest.mark.parametrize("kind", ["link", "missing", "folder", "too long"])
def test_what_is_no_document_is_not_read(
    path: Path, file: SharedFile, kind: str
) -> None:
    publish(path, backends(9001, 9002), document=b"x")
    beside(path).unlink()
    if kind == "link":
        (path.parent / "elsewhere").write_bytes(b"x")
        beside(path).symlink_to(path.parent / "elsewhere")
    elif kind == "folder":
        beside(path).mkdir()
    elif kind == "too long":
        with beside(path).open("wb") as long:
            os.truncate(long.fileno(), LIMIT_BYTES + 1)
    with pytest.raises(StateFileError):
        file.document()


def test_it_goes_with_the_file_or_before_it(path: Path) -> None:
    publish(path, backends(9001, 9002), document=b"x")
    assert retire(path, keep=True)
    assert list(path.parent.iterdir()) == [path]
    assert retire(path)
    assert list(path.parent.iterdir()) == []
