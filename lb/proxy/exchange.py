"""What passes between a lane and the engine: a request, its body, a response."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.request import RequestHead
    from lb.http1.response import ResponseHead
    from lb.proxy.upload import Upload
    from lb.upstream.backend import LiveBackend
    from lb.upstream.connection import Body, Connection


class Request:
    """One request on its way.

    `wire` is the head as a backend gets it, with the body behind it when that is
    already here whole; a longer body is an `upload`. What the engine finds out is
    noted in `backend`, `attempts` and `connection` (the one in use now).
    """

    __slots__ = (
        "attempts",
        "backend",
        "connection",
        "head",
        "is_abandoned",
        "on_interim",
        "unsent",
        "upload",
        "upload_cut",
        "wire",
    )

    def __init__(
        self,
        head: RequestHead,
        wire: bytes,
        *,
        upload: Upload | None = None,
        on_interim: Callable[[ResponseHead], None] | None = None,
    ) -> None:
        self.head = head
        self.wire = wire
        self.upload = upload
        self.on_interim = on_interim
        self.attempts = 0
        self.backend: LiveBackend | None = None
        self.connection: Connection | None = None
        self.unsent: bytes = b""
        """What of `wire` the kernel did not take at once."""
        self.is_abandoned = False
        """The client has left; noticed where nobody could be told at once."""
        self.upload_cut = False
        """The backend answered before it had the whole body; the rest is unread."""


class Response:
    """One response: its head, and a body to relay or to drop by `close`."""

    __slots__ = ("_release", "_request", "body", "connection", "head")

    def __init__(
        self,
        request: Request,
        head: ResponseHead,
        body: Body,
        connection: Connection,
        *,
        release: Callable[[Connection], None],
    ) -> None:
        self.head = head
        self.body = body
        self.connection: Connection | None = connection
        self._request = request
        self._release = release

    def finish(self) -> None:
        """The body was read to its end: hand the connection back. Idempotent."""
        connection, self.connection = self.connection, None
        if connection is not None:
            # From here on, a client that leaves must not touch it.
            self._request.connection = None
            self._release(connection)

    def close(self) -> None:
        """Give up, wherever the body stands. Idempotent."""
        if self.connection is not None:
            if not self.body.is_done:
                self.connection.is_reusable = False
            self.finish()
