"""Demo backends in processes of their own, ended when their test is over."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.backend.running import RunningBackend
from tests.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StartBackend(Protocol):
    """Starts `python -m backend PORT Demo OPTIONS`, on a free port by default."""

    def __call__(self, *options: str, port: int = 0, **env: str) -> RunningBackend: ...


@pytest.fixture
def start_backend(tmp_path: Path) -> Iterator[StartBackend]:
    with ExitStack() as stack:

        def start(*options: str, port: int = 0, **env: str) -> RunningBackend:
            backend = RunningBackend(tmp_path, port or free_port(), *options, env=env)
            stack.callback(backend.end)
            return backend

        yield start


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    """One backend that answers, for all tests of a module that leave it alone.

    Its folder and its environment hold all that other gunicorns would follow.
    """
    folder = tmp_path_factory.mktemp("backend")
    (folder / "gunicorn.conf.py").write_text("raise RuntimeError('the balancer's')")
    hostile = {
        "FORWARDED_ALLOW_IPS": "nobody",
        "GUNICORN_CMD_ARGS": "--workers 3",
        "PORT": "5000",
        "SCRIPT_NAME": "/other",
        "WEB_CONCURRENCY": "three",
    }
    running = RunningBackend(folder, free_port(), env=hostile)
    try:
        running.wait_answering()
        yield running
    finally:
        running.end()
