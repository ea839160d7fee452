"""The idle connections of one backend: which are kept, taken and closed."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from lb.http1.response import ResponseParser
from lb.model import Address, Backend
from lb.streams.blocking import BlockingTransport
from lb.streams.hub import HubTransport
from lb.upstream.backend import LiveBackend, PoolLimits
from tests.streams.pairs import hub_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.upstream.connection import Connection

PATIENCE_S = 5.0


class Place:
    """A backend that listens for real, and the process's view of it."""

    def __init__(self, transport: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.transport = transport
        self.far: list[socket.socket] = []
        self.backend = self.live()

    def live(self, *, address: Address | None = None, **limits: float) -> LiveBackend:
        where = address or Address(*self.listener.getsockname())
        bounds = {"idle": 3, "idle_s": 60.0, "age_s": 600.0, **limits}
        return LiveBackend(
            Backend("b", where),
            self.transport,
            ResponseParser(limit_bytes=4096),
            PoolLimits(**bounds),  # type: ignore[arg-type]
        )

    def connect(self, backend: LiveBackend | None = None) -> Connection:
        connection = (backend or self.backend).connect(PATIENCE_S)
        far, _ = self.listener.accept()
        far.settimeout(PATIENCE_S)
        self.far.append(far)
        return connection

    def close(self) -> None:
        for far in self.far:
            far.close()
        self.listener.close()


@pytest.fixture(params=["hub", "blocking"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    is_hub = request.param == "hub"
    made = Place(HubTransport() if is_hub else BlockingTransport())
    yield made
    made.backend.close_idle()
    if is_hub:
        made.transport.close()
    made.close()


@pytest.fixture
def hub_place() -> Iterator[Place]:
    made = Place(HubTransport())
    yield made
    made.transport.close()
    made.close()


def is_closed(far: socket.socket) -> bool:
    return far.recv(1) == b""


def test_an_empty_pool_gives_nothing(place: Place) -> None:
    assert place.backend.take_idle(monotonic()) is None


def test_the_connection_used_last_is_taken_first(place: Place) -> None:
    """The surplus of a burst so grows old instead of being kept warm."""
    a, b, c = (place.connect() for _ in range(3))
    for connection in (a, b, c):
        place.backend.put(connection, monotonic())
    assert place.backend.idle_connections == 3
    assert [place.backend.take_idle(monotonic()) for _ in range(4)] == [c, b, a, None]
    for connection in (a, b, c):
        assert not connection.is_idle
        connection.close()


def test_no_more_than_the_bound_are_kept(place: Place) -> None:
    connections = [place.connect() for _ in range(5)]
    for connection in connections:
        place.backend.put(connection, monotonic())
    assert place.backend.idle_connections == 3
    assert [is_closed(far) for far in place.far[3:]] == [True, True]


def test_a_bound_of_none_keeps_none(place: Place) -> None:
    backend = place.live(idle=0)
    backend.put(place.connect(backend), monotonic())
    assert backend.idle_connections == 0
    assert is_closed(place.far[0])


def test_a_connection_that_must_not_be_reused_is_closed(place: Place) -> None:
    connection = place.connect()
    connection.is_reusable = False
    place.backend.put(connection, monotonic())
    assert place.backend.idle_connections == 0
    assert is_closed(place.far[0])


def test_a_connection_older_than_its_age_is_closed_when_put(place: Place) -> None:
    backend = place.live(age_s=10)
    connection = place.connect(backend)
    connection.born = monotonic() - 11
    backend.put(connection, monotonic())
    assert is_closed(place.far[0])


def test_a_connection_that_grew_too_old_in_the_pool_is_not_taken(place: Place) -> None:
    backend = place.live(age_s=10)
    old, young = place.connect(backend), place.connect(backend)
    old.born -= 9
    backend.put(young, monotonic())
    backend.put(old, monotonic())
    assert backend.take_idle(monotonic() + 2) is young
    assert is_closed(place.far[0])
    young.close()


def test_a_connection_idle_for_too_long_is_not_taken(place: Place) -> None:
    backend = place.live(idle_s=0)
    backend.put(place.connect(backend), monotonic())
    assert backend.take_idle(monotonic()) is None
    assert is_closed(place.far[0])


def test_a_connection_that_the_backend_closed_is_not_taken(place: Place) -> None:
    connection = place.connect()
    place.backend.put(connection, monotonic())
    place.far[0].close()
    gevent.sleep(0.01)
    assert place.backend.take_idle(monotonic()) is None


def test_a_precious_request_gets_none_that_was_closed_this_very_moment(
    place: Place,
) -> None:
    """The event loop has had no turn since; the kernel knows all the same."""
    place.backend.put(place.connect(), monotonic())
    place.far[0].close()
    assert place.backend.take_idle(monotonic(), is_precious=True) is None


def test_a_connection_with_bytes_nobody_asked_for_is_not_taken(place: Place) -> None:
    """They would be read as the answer to the next request."""
    connection = place.connect()
    place.backend.put(connection, monotonic())
    place.far[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    gevent.sleep(0.01)
    assert place.backend.take_idle(monotonic()) is None


def test_a_connection_that_is_not_quiet_is_not_kept(place: Place) -> None:
    connection = place.connect()
    place.far[0].sendall(b"surplus")
    gevent.sleep(0.01)
    place.backend.put(connection, monotonic())
    assert place.backend.idle_connections == 0


@pytest.mark.parametrize(
    ("limit_s", "stays_s"), [(75, 74), (5, 4), (2, 1), (1, 0.5), (0, 0)]
)
def test_a_connection_stays_idle_for_less_than_its_backend_keeps_it(
    place: Place, limit_s: int, stays_s: float
) -> None:
    """Else our request and its close would cross (`Keep-Alive: timeout=`)."""
    connection = place.connect()
    answer = b"HTTP/1.1 204 X\r\nKeep-Alive: timeout=%d, max=9\r\n\r\n" % limit_s
    place.far[0].sendall(answer)
    connection.take_body(connection.read_head(b"GET"))
    begun = monotonic()
    place.backend.put(connection, monotonic())
    left_s = connection.stream.deadline - begun
    assert left_s == pytest.approx(min(stays_s, 60), abs=0.5)


def test_a_taken_connection_has_no_deadline_left(place: Place) -> None:
    connection = place.connect()
    place.backend.put(connection, monotonic())
    taken = place.backend.take_idle(monotonic())
    assert taken is connection
    assert taken.stream.deadline > monotonic() + 1e6
    taken.close()


def test_a_backend_is_dead_when_nobody_listens(place: Place) -> None:
    """Who was alive is believed to be for a moment."""
    backend, anew = place.backend, place.live()
    assert not backend.is_dead(PATIENCE_S)
    place.listener.close()
    assert not backend.is_dead(PATIENCE_S)
    assert anew.is_dead(PATIENCE_S)


def test_a_full_queue_is_no_death(place: Place, tmp_path: Path) -> None:
    """A unix socket refuses as if nobody listened, but for the error's number."""
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as stack:
        listener.bind(path)
        listener.listen(0)
        backend = place.live(address=Address(path=path))
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        assert not backend.is_dead(0.1)


def test_idle_connections_of_a_backend_that_is_down_are_closed(place: Place) -> None:
    for connection in [place.connect() for _ in range(3)]:
        place.backend.put(connection, monotonic())
    place.backend.close_idle()
    assert place.backend.idle_connections == 0
    assert all(is_closed(far) for far in place.far)


def test_a_backend_that_is_not_usable_keeps_none(place: Place) -> None:
    """A request that ran while it went down gives its connection back too late."""
    connection = place.connect()
    place.backend.is_usable = False
    place.backend.put(connection, monotonic())
    assert place.backend.idle_connections == 0
    assert is_closed(place.far[0])


def test_repr_tells_the_state(place: Place) -> None:
    connection = place.connect()
    assert repr(connection) == "<Connection b busy requests=0>"
    place.backend.put(connection, monotonic())
    assert repr(connection) == "<Connection b idle requests=0>"
    assert repr(place.backend) == "<LiveBackend b idle=1>"


def test_a_close_while_idle_is_noticed_at_once(hub_place: Place) -> None:
    hub_place.backend.put(hub_place.connect(), monotonic())
    hub_place.far[0].close()
    hub_until(lambda: hub_place.backend.idle_connections == 0)
    assert hub_place.transport.streams == set()


def test_bytes_while_idle_close_the_connection_at_once(hub_place: Place) -> None:
    hub_place.backend.put(hub_place.connect(), monotonic())
    hub_place.far[0].sendall(b"HTTP/1.1 408 Timeout\r\n\r\n")
    hub_until(lambda: hub_place.backend.idle_connections == 0)


def test_the_idle_timeout_closes_without_anybody_asking(hub_place: Place) -> None:
    backend = hub_place.live(idle_s=0.01)
    backend.put(hub_place.connect(backend), monotonic())
    hub_until(lambda: backend.idle_connections == 0)
    assert is_closed(hub_place.far[0])
