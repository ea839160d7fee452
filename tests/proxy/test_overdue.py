"""What still runs when a drain's time is over is ended, and only that."""

from __future__ import annotations

import socket
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import StreamClosedError
from lb.http1.response import ResponseParser
from lb.model import Wish
from lb.operating import set_wish
from lb.proxy.overdue import cut_overdue
from lb.shm import SharedFile, publish
from lb.streams.blocking import BlockingTransport
from lb.upstream.backend import LiveBackend, PoolLimits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.upstream.connection import Connection

PATIENCE_S = 5.0


class Scene:
    """Two backends that listen, as a process has them, and what it logged."""

    def __init__(self, path: Path) -> None:
        from lb.model import Address, Backend

        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        table = [
            Backend(name, Address(*listener.getsockname()))
            for name, listener in zip("ab", self.listeners, strict=True)
        ]
        publish(path, table)
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        limits = PoolLimits(idle=5, idle_s=60, age_s=600)
        parser, transport = ResponseParser(limit_bytes=4096), BlockingTransport()
        self.backends = []
        for row in self.file.rows():
            live = LiveBackend(row.backend, transport, parser, limits)
            live.id, live.row = row.id, row.row
            live.cells = self.slot.row(row.row, row.id)
            self.backends.append(live)
        self.logged: list[str] = []
        self.far: list[socket.socket] = []

    def warning(self, msg: str, /, *args: object) -> None:
        self.logged.append(msg % args)

    def connect(self, name: str) -> Connection:
        index = "ab".index(name)
        connection = self.backends[index].connect(PATIENCE_S)
        far, _ = self.listeners[index].accept()
        far.settimeout(PATIENCE_S)
        self.far.append(far)
        return connection

    def cut(self, now: float) -> float:
        return cut_overdue(self.file, self.backends, self, now=now)

    def drain(self, name: str, cut_at: float) -> None:
        set_wish(self.file, [name], Wish.DRAIN, cut_at=cut_at)

    def close(self) -> None:
        self.file.close()
        for sock in (*self.far, *self.listeners):
            sock.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "state")
    yield made
    made.close()


def test_nothing_is_cut_before_the_deadline_nor_without_one(scene: Scene) -> None:
    connection = scene.connect("a")
    assert scene.cut(1000.0) == inf
    scene.drain("a", 1000.0)
    assert scene.cut(997.5) == 2.5
    scene.drain("a", 0.0)
    assert scene.cut(2000.0) == inf
    assert not connection.is_cut
    connection.close()


def test_who_waits_for_the_backend_hears_of_it_and_so_does_the_backend(
    scene: Scene,
) -> None:
    """An end of ours must not pass for the end of a body."""
    connection, other = scene.connect("a"), scene.connect("b")
    scene.drain("a", 1000.0)
    assert scene.cut(1000.0) == inf
    with pytest.raises(StreamClosedError, match="time to drain is over"):
        connection.stream.read()
    assert scene.far[0].recv(1) == b""
    assert not other.is_cut
    assert scene.logged == [
        "backend a: 1 in flight are cut, its time to drain is over",
    ]
    connection.close()
    other.close()


def test_a_connection_is_cut_once_and_a_later_one_too(scene: Scene) -> None:
    """A connect that was under way at the deadline comes through after it."""
    first = scene.connect("a")
    scene.drain("a", 1000.0)
    scene.cut(1001.0)
    second = scene.connect("a")
    scene.cut(1002.0)
    assert len(scene.logged) == 2
    scene.cut(1003.0)
    assert len(scene.logged) == 2
    scene.file.cells[scene.backends[0].cells.block] = 2  # they were attempts once
    assert scene.file.totals()[scene.backends[0].id].cut == 2
    for connection in (first, second):
        connection.close()
    assert scene.backends[0].under_way() == []


def test_idle_connections_are_left_to_who_closes_them(scene: Scene) -> None:
    connection = scene.connect("a")
    scene.backends[0].put(connection, monotonic())
    assert scene.backends[0].under_way() == []
    scene.backends[0].close_idle()


def test_a_client_that_takes_nothing_is_not_waited_for(scene: Scene) -> None:
    near, far = socket.socketpair()
    from lb.streams.blocking import BlockingStream

    connection, client = scene.connect("a"), BlockingStream(near)
    connection.client = client
    connection.cut("why")
    assert client.deadline == 0.0
    connection.close()
    near.close()
    far.close()


def test_looking_costs_nothing_while_nobody_drains(tmp_path: Path) -> None:
    from tests.shm.children import backends

    publish(tmp_path / "state", backends(*range(1, 2001)))
    with SharedFile.open(tmp_path / "state") as file:
        took_s = []
        for _ in range(10):
            begun = monotonic()
            cut_overdue(file, [], _Mute(), now=1.0)
            took_s.append(monotonic() - begun)
    assert min(took_s) < 0.005


class _Mute:
    def warning(self, msg: str, /, *args: object) -> None: ...
