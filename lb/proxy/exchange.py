"""What passes between a lane and the engine: a request, its body, a response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.balance.ask import cookie_in
from lb.shm import Passage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.request_head import RequestHead
    from lb.http1.response import ResponseHead
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.explain import Explanation
    from lb.proxy.upload import Upload
    from lb.shm import RowCells
    from lb.upstream.backend import LiveBackend
    from lb.upstream.connection import Body, Connection

NOT_REACHED: Final = -1.0
NONE_TRIED: Final = (0, 0, 0)


class Request(Passage):
    """One request on its way; what a policy may ask of it, and what is told of it.

    `wire` is the head as a backend gets it, with the body behind it when that is
    already here whole; a longer body is an `upload`. What the engine finds out is
    noted in `backend`, `attempts` and `connection` (the one in use now), and what
    the recorder is told in what it has of a `Passage`. It is an
    `lb.balance.ask.Ask`.
    """

    __slots__ = (
        "backend",
        "backend_set",
        "connection",
        "entered",
        "explanation",
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
        client: bytes = b"",
        request_id: bytes = b"",
        upload: Upload | None = None,
        began: float = 0.0,
    ) -> None:
        self.head = head
        self.wire = wire
        self.upload = upload
        self.on_interim: Callable[[ResponseHead], None] | None = None
        self.backend: LiveBackend | None = None
        self.backend_set: BackendSet | None = None
        self.connection: Connection | None = None
        self.entered: RowCells | None = None
        """Where the attempt under way is counted as in flight."""
        self.explanation: Explanation | None = None
        self.unsent: bytes = b""
        """What of `wire` the kernel did not take at once."""
        self.is_abandoned = False
        """The client has left; noticed where nobody could be told at once."""
        self.upload_cut = False
        """The backend answered before it had the whole body; the rest is unread."""
        # What follows is `Passage.begin`, written out: 0.1 us less.
        self.client = client
        self.began = began
        self.method = head.method
        self.target = head.target
        self.request_id = request_id
        self.policy = b""
        self.label = ""
        self.queued_s = self.connect_s = self.to_head_s = NOT_REACHED
        self.attempts = self.status = self.bytes_out = 0
        self.bytes_in = head.length if head.length > 0 else 0
        self.tried = NONE_TRIED

    @property
    def host(self) -> bytes:
        """See `Ask.host`."""
        return self.head.host

    def header(self, name: bytes) -> bytes:
        """See `Ask.header`; what is not passed on counts as absent. 1 us."""
        fields = self.head.fields
        at = fields.lower().find(b"\r\n%b: " % name)
        if at < 0:
            return b""
        start = at + len(name) + 4
        end = fields.find(b"\r\n", start)
        return fields[start:] if end < 0 else fields[start:end]

    def cookie(self, name: bytes) -> bytes:
        """See `Ask.cookie`."""
        return cookie_in(self.header(b"cookie"), name)


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
        release: Callable[[Request, Connection], None],
    ) -> None:
        self.head = head
        self.body = body
        self.connection: Connection | None = connection
        self._request = request
        self._release = release

    def is_of(self, request: Request) -> bool:
        """Whether it answers that very object."""
        return self._request is request

    def hand_to(self, request: Request) -> None:
        """From here on it is that request's, which knows the attempt by now."""
        self._request = request

    def finish(self) -> None:
        """The body was read to its end: hand the connection back. Idempotent."""
        connection, self.connection = self.connection, None
        if connection is not None:
            # From here on, a client that leaves must not touch it.
            self._request.connection = None
            connection.client = None
            self._release(self._request, connection)

    def close(self) -> None:
        """Give up, wherever the body stands. Idempotent."""
        if self.connection is not None:
            if not self.body.is_done:
                self.connection.is_reusable = False
            self.finish()
