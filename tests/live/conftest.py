"""Servers and backends in processes of their own, ended when their test is over."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.backend.running import RunningBackend
from tests.live.scripted import ScriptedBackend
from tests.live.server import Server, start_lane
from tests.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HANGS_S = 60
"""No live test may take longer: something hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(HANGS_S))


class StartServer:
    """Starts servers, which end with the `stack`; see `start_lane`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack

    def __call__(self, lane: str, /, *options: str, **env: str) -> Server:
        return self._start(lane, None, *options, **env)

    def into(self, stdout: int, lane: str, /, *options: str, **env: str) -> Server:
        """The same, with a descriptor for its standard output."""
        return self._start(lane, stdout, *options, **env)

    def _start(
        self, lane: str, stdout: int | None, /, *options: str, **env: str
    ) -> Server:
        server = start_lane(lane, self._folder, stdout, *options, **env)
        self._stack.callback(server.kill)
        return server


class StartBackend(Protocol):
    """Starts `python -m backend` with this text, and does not wait for it."""

    def __call__(self, text: str, *options: str, port: int = 0) -> RunningBackend: ...


class Scripted(Protocol):
    """Starts a scripted backend of that name."""

    def __call__(self, name: str) -> ScriptedBackend: ...


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    with ExitStack() as stack:
        yield StartServer(tmp_path, stack)


@pytest.fixture
def start_backend(tmp_path: Path) -> Iterator[StartBackend]:
    with ExitStack() as stack:

        def start(text: str, *options: str, port: int = 0) -> RunningBackend:
            backend = RunningBackend(tmp_path, port or free_port(), *options, text=text)
            stack.callback(backend.end)
            return backend

        yield start


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(ScriptedBackend(name))
