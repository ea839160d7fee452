"""The four verbs of a byte stream, and who makes streams to backends.

A stream has a deadline (absolute, `time.monotonic()` seconds) that bounds every
wait of its next operations; the user sets it, so one rule per phase is enough.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.model import Address
    from lb.streams.splice import Pipe

NEVER: Final = math.inf
"""A deadline that does not come."""

ENDED_LONG_AGO: Final = 0.0
"""A deadline in the past: the next sweep ends whatever waits."""

READ_BYTES: Final = 65536
"""Bytes taken at once: a pipe's and a default socket buffer's size on Linux."""


class Stream(Protocol):
    """One connection's bytes."""

    deadline: float

    on_event: Callable[[], None] | None
    """Called (by streams that can) when bytes or a close come while nobody reads."""

    stays_armed: bool
    """Whether `on_event` is called each time and takes what came; set by `watch`."""

    def watch(self) -> None:
        """Have `on_event` called, in the event loop, when `read_nowait` has something.

        And for an interruption or the deadline, which `read` then raises. Until
        `stays_armed` is set to False. A stream that cannot but wait ignores it.
        """

    def read_nowait(self) -> bytes | None:
        """What has arrived, without waiting; empty when the peer closed.

        None where there is nothing, or something else that only `read` can tell,
        and always from a stream that cannot but wait.
        """

    def write_nowait(self, data: bytes) -> int:
        """How many bytes of `data` went out without waiting; `write` the others."""

    def read(self) -> bytes:
        """What has arrived, at most `READ_BYTES`; empty when the peer closed.

        Raises:
            StreamClosedError: the peer reset the connection.
            StreamTimeoutError: nothing came before the deadline.
        """

    def write(self, data: bytes | memoryview) -> None:
        """Hand over all of `data`.

        Raises:
            StreamClosedError: the peer is gone.
            StreamTimeoutError: the peer did not take it before the deadline.
            EarlyAnswerError: `wake_writer` was called with it; it knows what is unsent.
        """

    def take(self, limit_bytes: int) -> bytes | Pipe:
        """As `read`, but a stream that can leaves up to `limit_bytes` in the kernel."""

    def pass_on(self, pipe: Pipe) -> None:
        """As `write`, of what lies in `pipe`, which is released whatever happens."""

    def is_quiet(self) -> bool:
        """Whether neither bytes nor a close are waiting to be read."""

    def has_input(self) -> bool:
        """The same question turned round, and asked of the kernel now."""

    def shut_write(self) -> None:
        """Say that nothing more will be written (TCP half-close); reading goes on.

        Raises:
            StreamClosedError: the peer is gone.
        """

    def close(self) -> None:
        """Close at once; may be called twice."""

    def interrupt(self, error: Exception) -> None:
        """Make the read or write that waits now, or the next one, raise `error`.

        Streams whose readers cannot be woken ignore it.
        """

    def cut(self, error: Exception) -> None:
        """End it for both sides: who waits here, or asks next, gets `error`.

        The peer is told at once, and nothing more goes either way. `close` it still.
        """

    def wake_reader(self, error: Exception) -> bool:
        """The same for a read that waits now; False where none does."""

    def wake_writer(self, error: Exception) -> bool:
        """The same for a write that waits now; False where none does."""


class Transport(Protocol):
    """Makes streams: one per process and lane."""

    def connect(self, address: Address, timeout_s: float) -> Stream:
        """A new stream to `address`.

        Raises:
            ConnectRefusedError: nobody listens there, or the name is unknown.
            ConnectTimeoutError: no answer within `timeout_s`.
        """
