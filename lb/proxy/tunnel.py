"""A tunnel: after 101 Switching Protocols, bytes both ways until both sides end.

Each direction is a greenlet that copies what comes. When one side has said its last
(a half-close), the other is told so and may go on. Silence in both directions for
`idle_s` seconds, or the failure of either side, ends the whole.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

from lb.errors import LbError
from lb.streams.stream import ENDED_LONG_AGO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.streams.stream import Stream


class Joinable(Protocol):
    """A greenlet, as far as a tunnel needs one."""

    def join(self) -> None:
        """Wait until it has ended."""


class Tunnel:
    """One tunnel between `client` and `backend`; `run` it in the client's greenlet."""

    def __init__(
        self,
        client: Stream,
        backend: Stream,
        *,
        idle_s: float,
        spawn: Callable[[Callable[[], None]], Joinable],
    ) -> None:
        self._client = client
        self._backend = backend
        self._idle_s = idle_s
        self._spawn = spawn
        self.to_client = 0
        self.to_backend = 0

    def run(self, to_backend: bytes, to_client: bytes) -> None:
        """Copy both ways until the end; first what was read already."""
        helper = self._spawn(lambda: self._downwards(to_client))
        self._upwards(to_backend)
        helper.join()

    def _upwards(self, first: bytes) -> None:
        for count in self._copy(self._client, self._backend, first):
            self.to_backend += count

    def _downwards(self, first: bytes) -> None:
        for count in self._copy(self._backend, self._client, first):
            self.to_client += count

    def _copy(self, source: Stream, sink: Stream, data: bytes) -> Iterator[int]:
        try:
            while True:
                if data:
                    self._touch()
                    sink.write(data)
                    yield len(data)
                self._touch()
                data = source.read()
                if not data:
                    sink.shut_write()
                    return
        except LbError:
            # One side failed or fell silent: the other has nobody to talk to.
            self._client.deadline = self._backend.deadline = ENDED_LONG_AGO

    def _touch(self) -> None:
        """Something moved: both sides may be silent for a while again."""
        if self._client.deadline != ENDED_LONG_AGO:
            deadline = monotonic() + self._idle_s
            self._client.deadline = self._backend.deadline = deadline
