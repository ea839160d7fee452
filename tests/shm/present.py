"""The cells in which a process counts what it has to do with the backend of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.shm.layout import Row

if TYPE_CHECKING:
    from lb.shm import SharedFile, Slot
    from lb.shm.blocks import RowCells


def present(file: SharedFile, slot: Slot, row: int) -> RowCells:
    """The cells of the backend that has the row now, in that slot."""
    return slot.row(row, file.cells[file.geometry.row(row) + Row.ID])
