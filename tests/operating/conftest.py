"""A shared file that a serving process uses, and an operator's view of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lb.shm import SharedFile, publish
from lb.shm.layout import Counter
from tests.shm.children import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import Slot


class Scene:
    """Three backends, web1 to web3; `slot` is the serving process's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        publish(path, backends(1, 2, 3))
        self.file = SharedFile.open(path)
        self.process = SharedFile.open(path)
        self.slot: Slot = self.process.take_slot()
        self.see()

    def see(self) -> None:
        """The serving process takes in what is there now."""
        self.slot.see(self.process.generation())

    def begin(self, name: str, count: int = 1) -> None:
        """So many requests to a backend begin, or (below zero) end."""
        (row,) = (row for row in self.process.rows() if row.backend.name == name)
        self.process.cells[self.slot.row(row.row, row.id).in_flight] += count

    def cut(self, name: str, count: int) -> None:
        """So many requests to a backend were cut."""
        (row,) = (row for row in self.process.rows() if row.backend.name == name)
        cells = self.slot.row(row.row, row.id)
        self.process.cells[cells.block] += count  # they were attempts once
        self.process.cells[cells.block + Counter.CUT] += count
        self.process.cells[cells.in_flight] -= count

    def close(self) -> None:
        self.slot.release()
        self.process.close()
        self.file.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "state")
    yield made
    made.close()
