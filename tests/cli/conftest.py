"""Commands run in this process, on a shared file that a serving process has filled.

Every test of a scene runs twice: by the file, and by the URL of the admin app over it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from werkzeug.serving import WSGIRequestHandler, make_server

from lb.admin import create_app
from lb.cli import cli
from lb.config import load
from lb.shm import SharedFile, publish
from tests.shm.children import backends
from tests.shm.requests import passage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result
    from flask import Flask

    from lb.shm import Passage


HANGS_S = 30
"""No test of a command may take longer: something hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(HANGS_S))


NO_URL = {"check", "completion", "health"}
"""Commands that are about this machine only."""


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log(self, *_: object) -> None:
        pass


@contextmanager
def served(app: Flask, port: int = 0) -> Iterator[str]:
    """The application's URL while it is served by threads of this process."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        app.extensions["streams"].is_stopping = lambda: True
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["source"].close()


@contextmanager
def admin_of(path: Path, *, port: int = 0, **env: str) -> Iterator[str]:
    """The URL of an admin app over that shared file."""
    settings = load({"LB_STATE__PATH": str(path), **env}, path.parent)
    with served(create_app(settings), port) as url:
        yield url


class Scene:
    """Backends web1, web2 and so on, one serving process, and the command line.

    With a `url` commands are given that, and no way to the file.
    """

    def __init__(self, path: Path, url: str = "", *, count: int = 2) -> None:
        self.path = path
        self.url = url
        publish(path, backends(*range(1, count + 1)))
        self.process = SharedFile.open(path)
        self.slot = self.process.take_slot()
        self.slot.see(self.process.generation())
        self.recorder = self.slot.recorder()
        self.recorder.set_clock(unix=1_800_000_000.0, monotonic=0.0)
        self.ids = {row.backend.name: row.id for row in self.process.rows()}

    def lb(self, *arguments: str) -> Result:
        """`lb ARGUMENTS`, run to its end; errors of ours are raised."""
        if self.url and arguments[0] not in NO_URL:
            return self.by_url(*arguments)
        return self.by_file(*arguments)

    def by_file(self, *arguments: str) -> Result:
        """The same over the shared file, whatever the scene is."""
        env = {"LB_STATE__PATH": str(self.path)}
        return CliRunner(env=env).invoke(cli, arguments, catch_exceptions=False)

    def by_url(self, *arguments: str) -> Result:
        """The same over the admin app; the settings here lead nowhere."""
        env = {"LB_STATE__PATH": str(self.path.with_name("nothing"))}
        command, *more = arguments
        given = [command, "--url", self.url, *more]
        return CliRunner(env=env).invoke(cli, given, catch_exceptions=False)

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


@pytest.fixture(params=["file", "url"])
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    path = tmp_path / "state"
    made = Scene(path)
    if request.param == "file":
        yield made
    else:
        with admin_of(path) as made.url:
            yield made
    made.close()
