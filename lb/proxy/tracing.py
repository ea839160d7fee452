"""What of a request becomes a span: noted when it is over, in the shared file alone.

The span's ids are those that its backend was told, so they are read from the head that
was sent (`lb.http1.trace`); nothing is kept beside a request while it is under way.
Sending spans to anybody is the admin process's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.errors import ConfigError
from lb.http1.trace import context_in, ids_in
from lb.proxy.exchange import Request
from lb.shm import IS_1_1, IS_HTTPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.config import Settings
    from lb.shm import Passage, Slot, SpanWriter

HTTPS: Final = b"\r\nX-Forwarded-Proto: https\r\n"


class SpanNotes:
    """Notes a process's spans in its slot, if the settings ask for them."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._writer: SpanWriter | None = None

    def by(self, settings: Settings) -> Callable[[Passage, float], None] | None:
        """What notes a span by these settings, for `Tally.also`; None: they want none.

        Raises:
            ConfigError: there is no space for spans in the shared file.
        """
        if not settings.tracing.endpoint:
            return None
        try:
            self._writer = self._writer or self._slot.spans()
        except OSError as error:
            raise ConfigError(
                "tracing.endpoint: no space for spans in the shared file:"
                f" {error.strerror}"
            ) from error
        return self.note

    def note(self, passage: Passage, now: float) -> None:
        """A request is over, at monotonic `now`. 3 us if it is recorded, else 0.6."""
        if not isinstance(passage, Request) or self._writer is None:
            return  # it was never understood, so no backend was told of it
        wire = passage.wire
        end = wire.find(b"\r\n\r\n")
        ids = ids_in(wire, end)
        if not ids:
            return
        head = passage.head
        parent = context_in(head.traceparent) if head.traceparent else None
        is_https = wire.find(HTTPS, 0, end) >= 0
        traits = (IS_1_1 if head.minor else 0) | (IS_HTTPS if is_https else 0)
        span = parent.span if parent is not None else b""
        self._writer.write(passage, now, (ids, span, head.host, traits))
