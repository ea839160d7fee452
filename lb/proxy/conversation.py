"""A request and its answer in the fast lane, by a greenlet that can wait anywhere.

It speaks HTTP/1.1 on the client's own stream and does what a WSGI server would do:
gathers heads within their deadlines, frames responses, refuses what is malformed.
The connection's life, and the short cut that most requests take past all this, are
in `lb.proxy.session`. One greenlet runs one conversation; nothing here is shared.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import (
    AttemptError,
    ClientGoneError,
    HttpError,
    RequestError,
    StreamClosedError,
    StreamTimeoutError,
)
from lb.http1 import proxy_protocol
from lb.http1.body import chunk, last_chunk
from lb.http1.forward import interim_head, response_head
from lb.http1.grammar import CHUNKED, UNTIL_CLOSE
from lb.http1.replies import reply_bytes
from lb.proxy.accesslog import line
from lb.proxy.exchange import Request
from lb.proxy.httpdate import http_date
from lb.proxy.linger import linger
from lb.proxy.marks import mark_lines
from lb.proxy.tunnel import Tunnel
from lb.proxy.upload import StreamSource, Upload, check_size
from lb.streams.splice import Pipe

if TYPE_CHECKING:
    from lb.http1.request_head import RequestHead
    from lb.http1.response import ResponseHead
    from lb.proxy.exchange import Response
    from lb.proxy.lane import Lane
    from lb.streams.hub_stream import HubStream

LEFT: Final = "client_left"
LEFT_STATUS: Final = 499
"""What the log says of a request whose client left before it had any answer.

No client ever sees it; nginx made the number known.
"""


class Conversation:
    """The state of one client's connection, and its requests where they must wait.

    `ip` is the client's address, empty for a unix socket.
    """

    __slots__ = (
        "_is_served",
        "_lane",
        "_parser",
        "_peer",
        "_request",
        "_rest",
        "_sent",
        "_stream",
    )

    def __init__(self, lane: Lane, stream: HubStream, ip: str) -> None:
        self._lane = lane
        self._stream = stream
        self._peer, self._parser = lane.welcome(ip)
        self._rest = b""
        self._sent = 0
        self._is_served = False
        self._request: Request | None = None

    def meet_anew(self) -> None:
        """Go by the lane's present rules for this client, who stays who it is."""
        ip = self._peer.ip.decode("latin-1")
        self._peer, self._parser = self._lane.welcome("" if ip == "unix:" else ip)

    def _meet(self) -> bool:
        """Learn from a PROXY header who the client is; False if there is none."""
        data = self._rest
        try:
            while (origin := proxy_protocol.parse(data)) is None:
                if not (more := self._stream.read()):
                    return False
                data += more
        except RequestError as error:
            return self._refuse(error, None, monotonic())
        self._rest = data[origin.size :]
        if origin.ip:
            self._peer, self._parser = self._lane.welcome(origin.ip)
        return True

    # Reading -----------------------------------------------------------------

    def _serve(self) -> bool:
        """One request and its answer; False when the connection is to be closed.

        The request is there already where the short cut ended amid it.
        """
        request = self._request
        if request is None:
            try:
                head = self._read_head()
            except RequestError as error:
                return self._refuse(error, None, monotonic())
            if head is None:
                return False
            now = monotonic()
            try:
                request = self._request = self._receive(head, now)
            except RequestError as error:
                unread = Request(head, b"", client=self._peer.ip, began=now)
                unread.bytes_in = 0
                return self._refuse(error, unread, now)
        request.on_interim = self._send_interim
        return self._exchange(request)

    def _exchange(self, request: Request) -> bool:
        """The answer to `request`; whether another may follow."""
        try:
            response = self._lane.engine.exchange(request)
        except HttpError as error:
            return self._refuse(error, request, request.began)
        except (ClientGoneError, StreamClosedError, StreamTimeoutError):
            self._record(request, LEFT_STATUS, 0, LEFT)
            raise
        if response.connection is not None:
            response.connection.client = self._stream
        try:
            return self._relay(request, response)
        except (ClientGoneError, StreamClosedError, StreamTimeoutError):
            self._record(request, response.head.status, self._sent, LEFT)
            raise
        finally:
            response.close()
            self._request = None

    def _read_head(self) -> RequestHead | None:
        """The next request's head, or None when the client leaves amid it.

        Raises:
            RequestError: it is malformed, too large, or not whole in time.
        """
        data = self._rest
        head = self._parser.parse(data)
        if head is None:
            return self._read_rest_of_head(data)
        self._rest = data[head.size :] if len(data) > head.size else b""
        return head

    def _read_rest_of_head(self, data: bytes) -> RequestHead | None:
        """The same for a head that comes in pieces; parsed again only when whole."""
        stream = self._stream
        if self._is_served:
            # A first head has its time from the connection's start, and keeps to it.
            stream.deadline = monotonic() + self._lane.request_head_s
        buffer = bytearray(data)
        while True:
            try:
                more = stream.read()
            except StreamTimeoutError as error:
                raise RequestError("no whole head in time", status=408) from error
            if not more:
                return None
            seen = max(0, len(buffer) - 3)
            buffer += more
            has_end = (
                buffer.find(b"\n\r\n", seen) >= 0 or buffer.find(b"\n\n", seen) >= 0
            )
            if has_end or len(buffer) > self._lane.head_bytes:
                data = bytes(buffer)
                head = self._parser.parse(data)
                if head is not None:
                    self._rest = data[head.size :]
                    return head

    def _receive(self, head: RequestHead, now: float) -> Request:
        """The request behind `head`, with its body as far as it is here."""
        peer, length, rest = self._peer, head.length, self._rest
        wire, request_id = peer.request_head(head)
        upload = None
        if 0 < length <= len(rest):
            check_size(length, self._lane.body_bytes)
            self._rest = rest[length:]
            wire += rest[:length]
        elif length:
            self._rest = b""
            upload = self._upload(head, rest)
        return Request(
            head,
            wire,
            client=peer.ip,
            request_id=request_id,
            upload=upload,
            began=now,
        )

    def _upload(self, head: RequestHead, rest: bytes) -> Upload:
        """The body behind `head`, of which `rest` is here."""
        lane = self._lane
        source = StreamSource(
            self._stream,
            rest,
            length=head.length,
            idle_s=lane.idle_s,
            clock=monotonic,
            nominated=head.nominated,
        )
        upload = Upload(
            source,
            length=head.length,
            keep_bytes=lane.keep_bytes,
            limit_bytes=lane.body_bytes,
        )
        if rest:
            check_size(source.prime(), lane.body_bytes)
        return upload

    # Writing -----------------------------------------------------------------

    def _send_interim(self, head: ResponseHead) -> None:
        request = self._request
        if request is not None and request.head.minor >= 1:
            self._send(interim_head(head))

    def _send(self, data: bytes | memoryview) -> None:
        self._stream.deadline = monotonic() + self._lane.idle_s
        self._stream.write(data)

    def _relay(self, request: Request, response: Response) -> bool:
        """Send the response on; whether another request may follow."""
        head, body = response.head, response.body
        self._sent = 0
        minor = request.head.minor
        is_chunked = head.length == CHUNKED or head.length == UNTIL_CLOSE
        keep_alive = self._may_keep_alive(request) and not (is_chunked and minor == 0)
        wire = response_head(
            head,
            minor=minor,
            keep_alive=keep_alive,
            via=self._peer.via,
            date=http_date,
            added=mark_lines(request),
        )
        if head.status == 101:
            return self._tunnel(request, response, wire)
        first = body.first
        if body.is_done and not is_chunked:
            # The common case: all of it is here. The backend is free again before
            # the client has it, and both get one system call.
            response.finish()
            self._send(wire + first if first else wire)
            sent = len(first)
        else:
            is_chunked = is_chunked and minor >= 1
            try:
                sent = self._stream_body(response, wire, is_chunked=is_chunked)
            except AttemptError as error:
                self._lane.engine.note_cut(request, head.status, error)
                self._record(request, head.status, self._sent, error.label)
                self._stream.abort()
                return False
        self._record(request, head.status, sent)
        if not keep_alive and (request.upload_cut or not self._stream.is_quiet()):
            return self._linger()
        return keep_alive

    def _stream_body(self, response: Response, wire: bytes, *, is_chunked: bool) -> int:
        """Relay a body as it comes, first byte first; the bytes it had."""
        body, idle_s = response.body, self._lane.idle_s
        stream = response.connection.stream if response.connection else None
        first = body.first
        sent = len(first)
        wire += chunk(first) if is_chunked and first else first
        while not body.is_done:
            if wire:
                self._send(wire)
            self._sent = sent
            if stream is not None:
                stream.deadline = monotonic() + idle_s
            piece = body.take()
            sent += len(piece)
            if isinstance(piece, Pipe):
                self._stream.deadline = monotonic() + idle_s
                self._stream.pass_on(piece)
                wire = b""
            else:
                wire = chunk(piece) if is_chunked and piece else piece
        response.finish()
        if is_chunked:
            wire += last_chunk(body.trailers)
        if wire:
            self._send(wire)
        return sent

    def _tunnel(self, request: Request, response: Response, wire: bytes) -> bool:
        """Switch protocols: from here on, only bytes both ways."""
        connection = response.connection
        if connection is None:
            return False
        self._request = None  # a client that says its last may still listen
        self._send(wire)
        tunnel = Tunnel(
            self._stream,
            connection.stream,
            idle_s=self._lane.idle_s,
            spawn=self._lane.spawn,
        )
        tunnel.run(self._rest, response.body.first)
        request.bytes_in = tunnel.to_backend
        self._record(request, 101, tunnel.to_client)
        return False

    def _may_keep_alive(self, request: Request) -> bool:
        """Whether the connection is fit for another request, seen from its client."""
        upload = request.upload
        if upload is not None:
            if not upload.is_done:
                return False
            self._rest = upload.rest
        return request.head.keep_alive and not self._lane.is_stopping

    def _refuse(self, error: HttpError, request: Request | None, begun: float) -> bool:
        """Answer with an error; whether another request may follow."""
        keep_alive = request is not None and not isinstance(error, RequestError)
        has_body = True
        if request is not None:
            keep_alive = keep_alive and self._may_keep_alive(request)
            has_body = request.head.method != b"HEAD"
        self._request = None
        reply = reply_bytes(
            error,
            via=self._lane.via,
            date=http_date(),
            keep_alive=keep_alive,
            has_body=has_body,
            added=mark_lines(request, is_refused=True) if request else b"",
        )
        if request is not None:
            self._record(request, error.status, 0, error.label, detail=error.detail)
        else:
            self._lane.engine.refuse(self._peer.ip, error.status, error.label, begun)
        if request is None and self._lane.log is not None:
            client, took_s = self._peer.ip.decode("latin-1"), monotonic() - begun
            self._lane.log.write(
                f'{client} "-" - {error.status} 0 0 {took_s * 1000:.2f}ms '
                f"{error.label} {error.detail}".rstrip()
            )
        self._send(reply)
        if not keep_alive:
            return self._linger()
        return True

    def _linger(self) -> bool:
        """Let our answer arrive before the close; False: there is nothing to follow."""
        linger(self._stream)
        return False

    def _record(
        self,
        request: Request,
        status: int,
        sent: int,
        label: str = "",
        *,
        detail: str = "",
    ) -> None:
        """Count, record and log a request that is over."""
        now = monotonic()
        request.status, request.bytes_out, request.label = status, sent, label
        if request.upload is not None:
            request.bytes_in = request.upload.taken_bytes
        lane = self._lane
        lane.engine.finish(request, now)
        if lane.log is not None:
            text = line(
                request,
                self._peer.ip.decode("latin-1"),
                status=status,
                sent_bytes=sent,
                took_s=now - request.began,
            )
            lane.log.write(" ".join(filter(None, (text, label, detail))))
