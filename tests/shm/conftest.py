"""A shared file for each test, with two backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from lb.shm import SharedFile, publish
from tests.shm.children import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A busy machine is slow, not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is, with two backends in it."""
    path = tmp_path / "state"
    publish(path, backends(9001, 9002))
    return path


@pytest.fixture
def file(path: Path) -> Iterator[SharedFile]:
    """The file, open."""
    with SharedFile.open(path) as opened:
        yield opened
