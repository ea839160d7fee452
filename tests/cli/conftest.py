"""Commands run in this process, on a shared file that a serving process has filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lb.cli import cli
from lb.shm import SharedFile, publish
from tests.shm.children import backends
from tests.shm.requests import passage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from lb.shm import Passage


class Scene:
    """Two backends, web1 and web2, one serving process, and the command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        publish(path, backends(1, 2))
        self.process = SharedFile.open(path)
        self.slot = self.process.take_slot()
        self.slot.see(self.process.generation())
        self.recorder = self.slot.recorder()
        self.recorder.set_clock(unix=1_800_000_000.0, monotonic=0.0)
        self.ids = {row.backend.name: row.id for row in self.process.rows()}

    def lb(self, *arguments: str) -> Result:
        """`lb ARGUMENTS`, run to its end; errors of ours are raised."""
        env = {"LB_STATE__PATH": str(self.path)}
        return CliRunner(env=env).invoke(cli, arguments, catch_exceptions=False)

    def request(self, name: str, *, took_s: float = 0.001, **told: object) -> Passage:
        """A request to a backend ("" for none) that ended `took_s` after 1,000 s."""
        cells = self.slot.no_backend
        if name:
            (row,) = (r for r in self.process.rows() if r.backend.name == name)
            cells = self.slot.row(row.row, row.id)
        made = passage(cells, took_s=took_s)
        for key, value in told.items():
            setattr(made, key, value)
        self.recorder.finish(made, made.began + took_s)
        return made

    def close(self) -> None:
        self.process.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "state")
    yield made
    made.close()
