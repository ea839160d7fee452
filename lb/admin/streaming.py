"""Server-Sent Events: what happens as it happens, and a snapshot each second.

A stream holds a thread for as long as somebody listens, so their number is bounded. It
looks at two cells four times a second and reads only when they have changed. The id of
each event is a cursor: who comes back with it as Last-Event-ID misses nothing that is
still kept, and is told by `lost` how many are not.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, request

from lb.admin.problems import ProblemError
from lb.admin.snapshots import EVERY_S
from lb.errors import StateFileError
from lb.report import event_report
from lb.shm import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lb.admin.snapshots import Snapshots
    from lb.admin.source import Source

MOST_STREAMS: Final = 24
LOOK_S: Final = 0.25
ALIVE_S: Final = 10.0
"""How often a quiet stream says that it lives, so that proxies do not cut it."""

RETRY_MS: Final = 1000
"""How soon a browser connects again."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    # nginx in front would hold events back.
    "X-Accel-Buffering": "no",
}


def message(kind: str, data: str, cursor: Cursor | None = None) -> bytes:
    """One event of a stream; `data` is one line."""
    identity = f"id: {cursor}\n" if cursor else ""
    return f"{identity}event: {kind}\ndata: {data}\n\n".encode()


class Streams:
    """The routes, and how many streams there are; `is_stopping` ends them all."""

    def __init__(self, source: Source, snapshots: Snapshots) -> None:
        self._source = source
        self._snapshots = snapshots
        self._room = threading.BoundedSemaphore(MOST_STREAMS)
        self.is_stopping: Callable[[], bool] = lambda: False

    def blueprint(self) -> Blueprint:
        """The routes that go on."""
        made = Blueprint("streaming", __name__, url_prefix="/api/v1")
        made.add_url_rule("/events/stream", view_func=self.events)
        made.add_url_rule("/stream", view_func=self.snapshots)
        return made

    def events(self) -> Response:
        """What happens from now on, or since the cursor in Last-Event-ID."""
        given = request.headers.get("Last-Event-ID")
        return self._stream(self._tell_events(Cursor.parse(given) if given else None))

    def snapshots(self) -> Response:
        """A snapshot now and each second."""
        return self._stream(self._tell_snapshots())

    def _stream(self, parts: Iterator[bytes]) -> Response:
        if not self._room.acquire(blocking=False):
            raise ProblemError(
                503,
                f"{MOST_STREAMS} streams are open already",
                headers={"Retry-After": "5"},
            )
        response = Response(parts, mimetype="text/event-stream", headers=HEADERS)
        response.call_on_close(self._room.release)
        return response

    def _turns(self, every_s: float) -> Iterator[None]:
        """A turn each `every_s`, until this process is to stop."""
        pause = threading.Event()
        while not self.is_stopping():
            began = time.monotonic()
            yield
            left_s = every_s - (time.monotonic() - began)
            while left_s > 0 and not self.is_stopping():
                pause.wait(min(left_s, LOOK_S))
                left_s -= LOOK_S

    def _tell_events(self, cursor: Cursor | None) -> Iterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        said = time.monotonic()
        trouble = ""
        for _ in self._turns(LOOK_S):
            parts = b""
            try:
                cursor, parts = self._news(cursor)
                trouble = ""
            except StateFileError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    parts = message("unavailable", json.dumps({"detail": trouble}))
            if not parts and time.monotonic() - said >= ALIVE_S:
                parts = b": alive\n\n"
            if parts:
                said = time.monotonic()
                yield parts

    def _news(self, cursor: Cursor | None) -> tuple[Cursor, bytes]:
        """What happened after `cursor`, as parts of a stream; from now on without."""
        with self._source.use() as file:
            end = file.events_end()
            if cursor is None:
                return end, message("begin", json.dumps({"cursor": str(end)}), end)
            if cursor == end:
                return end, b""
            found = file.events(cursor)
        parts = []
        if found.lost:
            parts.append(message("lost", json.dumps({"lost": found.lost})))
        reached = cursor if cursor.born == end.born else Cursor(end.born, 0, 0)
        for event in found.found:
            reached = reached.after(event)
            told: dict[str, Any] = event_report(event)
            parts.append(message("transition", json.dumps(told), reached))
        return found.cursor, b"".join(parts)

    def _tell_snapshots(self) -> Iterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        for _ in self._turns(EVERY_S):
            try:
                yield message("snapshot", self._snapshots.latest().decode())
            except StateFileError as error:
                yield message("unavailable", json.dumps({"detail": str(error)}))
