"""One proxy under examination, with a backend whose every byte a case decides.

The proxy is only a port: Evenhand in the tests, and nginx or HAProxy in
`scripts/compare.py`. `is_own` tells a case that it may also hold the proxy to what
Evenhand promises beyond the RFC.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from typing import TYPE_CHECKING, Any

import h11

from tests.live.client import Answer, Client, get
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.scripted import Script, ScriptedBackend, Talk
    from tests.live.server import Server

CASE = b"/case"
"""The target of the one request that a case is about."""

SMUGGLED = b"/smuggled"
"""The target that must never reach a backend."""

PATIENCE_S = 5.0


def echo_target(talk: Talk) -> None:
    """Answer with the target, so that answers to others' requests stand out."""
    talk.read_body()
    talk.reply(talk.target)


class Scripts(dict[bytes, "Script"]):
    """What to do per target; for any other, `echo_target`."""

    def get(self, key: bytes, default: Any = None) -> Any:
        return super().get(key, echo_target)


class Exam:
    """A proxy at `port` in front of `backends`, examined case by case."""

    def __init__(
        self,
        name: str,
        port: int,
        backends: tuple[ScriptedBackend, ...],
        *,
        server: Server | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.backends = backends
        self.server = server
        self.is_own = server is not None
        self.patience_s = PATIENCE_S
        self._numbers = itertools.count()
        for backend in backends:
            backend.scripts = Scripts()

    def begin(self) -> None:
        """Forget the case before."""
        for backend in self.backends:
            backend.scripts.clear()
            backend.talks.clear()

    def connect(self) -> Client:
        """A connection to the proxy, whose waits are bounded."""
        client = Client(self.port)
        client.sock.settimeout(self.patience_s)
        return client

    def script(self, script: Script, target: bytes = CASE) -> None:
        """Let every backend do this for that target."""
        for backend in self.backends:
            backend.scripts[target] = script

    @property
    def talks(self) -> list[Talk]:
        """The requests that came to a backend since the case began."""
        return [talk for backend in self.backends for talk in backend.talks]

    def seen(self, target: bytes = CASE) -> list[Talk]:
        """Those for one target."""
        return [talk for talk in self.talks if talk.target == target]

    def ask(self, data: bytes) -> Answer:
        """The answer to `data` on a connection of its own."""
        with self.connect() as client:
            return client.ask(data)

    def check_unharmed(self, times: int = 2) -> None:
        """Further requests, each on a new connection, get each their own answer."""
        for _ in range(times):
            target = b"/good/%d" % next(self._numbers)
            answer = self.ask(get(target))
            assert (answer.status, answer.body) == (200, target)

    def check_nothing_reached(self) -> None:
        """No backend has seen anything of this case."""
        reached = [t.line for t in self.talks if not t.target.startswith(b"/good/")]
        assert reached == [], f"reached a backend: {reached}"


def send(client: Client, data: bytes) -> None:
    """Send what the proxy takes; it may refuse and close amid it."""
    with contextlib.suppress(ConnectionError):
        client.send(data)


def answer_or_none(client: Client, method: bytes = b"GET") -> Answer | None:
    """The next answer, or None when the proxy closed without one.

    Raises:
        AssertionError: what came is no answer, or nothing came in time.
    """
    client.expect(method)
    try:
        first = client.sock.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return None
    except TimeoutError:
        raise AssertionError("neither an answer nor a close") from None
    if not first:
        return None
    try:
        return client.answer(method)
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"no HTTP answer: {error}") from None


def is_closed(client: Client) -> bool:
    """Whether the proxy closes the connection, without another byte, in time."""
    try:
        return client.is_closed()
    except TimeoutError:
        return False


def is_gone(talk: Talk) -> bool:
    """Whether the proxy has closed that backend connection."""
    if talk.sock.fileno() < 0:
        return True
    try:
        talk.sock.settimeout(PATIENCE_S)
        return talk.sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def wait_seen(exam: Exam, target: bytes = CASE) -> Talk:
    """The request for that target, as soon as a backend has its head."""
    wait_for(lambda: exam.seen(target), f"{target!r} to reach a backend")
    return exam.seen(target)[0]
