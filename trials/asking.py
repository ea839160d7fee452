"""One request over a connection, and whether what came back is the right answer to it.

Bytes in and out, with no client library between: what a proxy cut off, doubled or
mixed up must be seen, and not be mended or retried by anybody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from trials.content import body_of

PIECE: Final = 16384
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE"})
BODILESS: Final = frozenset({b"GET", b"HEAD"})
REST_S: Final = 0.002
ECHOES: Final = 10
GIVE_UP_S: Final = 40.0
"""No answer is awaited longer: far above any fault of a trial."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; `sends` is the length of its body, `wants` that of its answer's."""

    request_id: bytes
    method: bytes = b"GET"
    wants: int = 2
    takes_ms: int = 0
    sends: int = 0
    is_chunked: bool = False
    """Whether both bodies are."""
    keeps: bool = True
    """Whether its connection may be used again."""
    expects: bool = False
    """Whether the body waits for `100 Continue`."""
    reads_slowly: bool = False
    """Whether the answer is taken in pieces, with a rest after each."""
    upgrades: bool = False
    """Whether it asks for a tunnel."""

    @property
    def is_idempotent(self) -> bool:
        """Whether a balancer may send it twice."""
        return self.method in IDEMPOTENT

    def head(self) -> bytes:
        """The request's head as it is sent."""
        framing = b"chunked" if self.is_chunked else b"length"
        head = b"%b /%d/%d/%b HTTP/1.1\r\nHost: trial\r\nX-Id: %b\r\n" % (
            *(self.method, self.wants, self.takes_ms, framing, self.request_id),
        )
        if not self.keeps:
            head += b"Connection: close\r\n"
        if self.upgrades:
            head += b"Connection: upgrade\r\nUpgrade: echo\r\n"
        if self.expects:
            head += b"Expect: 100-continue\r\n"
        if self.method in BODILESS:
            return head + b"\r\n"
        if self.is_chunked:
            return head + b"Transfer-Encoding: chunked\r\n\r\n"
        return head + b"Content-Length: %d\r\n\r\n" % self.sends

    def body(self) -> bytes:
        """Its body as it is sent."""
        if self.method in BODILESS:
            return b""
        body = body_of(self.request_id, self.sends)
        if not self.is_chunked:
            return body
        pieces = (body[at : at + PIECE] for at in range(0, len(body), PIECE))
        framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return framed + b"0\r\n\r\n"


@dataclass(slots=True)
class Answer:
    """What a client got. `status` is 0 without a whole head, `why` says what is wrong.

    Times are monotonic seconds; `port` is the client's own, 0 if it never connected.
    """

    ask: Ask
    began: float
    ended: float = 0.0
    port: int = 0
    status: int = 0
    backend: str = ""
    is_whole: bool = False
    may_go_on: bool = False
    fields: dict[bytes, bytes] = field(default_factory=dict)
    why: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it is whole, right, and of the status that was asked for."""
        wanted = 101 if self.ask.upgrades else 200
        return self.is_whole and self.status == wanted and not self.why

    @property
    def took_s(self) -> float:
        """From the request's first byte to the answer's last, or to giving up."""
        return self.ended - self.began


class Line:
    """A client's connection to the proxy."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.port: int = writer.get_extra_info("sockname")[1]

    @classmethod
    async def to(cls, port: int) -> Line:
        """A new connection to that port of loopback.

        Raises:
            OSError: there is none.
        """
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=PIECE))

    @property
    def is_usable(self) -> bool:
        """Whether the other side has not closed it, as far as is known here."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        """At once, whatever is under way."""
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Bytes on their way, without waiting."""
        self._writer.write(data)

    async def ask(self, ask: Ask) -> Answer:
        """The answer, whatever it is; never raises for what the other side does."""
        began = monotonic()
        self.send(ask.head() if ask.expects else ask.head() + ask.body())
        return await self.hear(ask, began)

    async def hear(self, ask: Ask, began: float) -> Answer:
        """The answer to what was sent at `began`; closes the line if that is its last.

        Never raises for what the other side does.
        """
        answer = Answer(ask, began, port=self.port)
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await self._read(answer)
        except TimeoutError:
            answer.why = f"gave up after {GIVE_UP_S:g} s"
        except (OSError, EOFError) as error:
            answer.why = repr(error)
        except (ValueError, LookupError, asyncio.LimitOverrunError) as error:
            answer.why = f"no HTTP: {error!r}"
        answer.ended = monotonic()
        if not answer.may_go_on:
            self.close()
        return answer

    async def _read(self, answer: Answer) -> None:
        status, fields = await self._head()
        if status == 100 and answer.ask.expects:
            self.send(answer.ask.body())
        while status == 100:  # that of the balancer, then perhaps a late backend's
            status, fields = await self._head()
        answer.status, answer.fields = status, fields
        answer.backend = fields.get(b"x-backend", b"").decode()
        if status == 101:
            await self._echo(answer)
            return
        body = await self._body(answer)
        answer.is_whole = True
        answer.may_go_on = fields.get(b"connection", b"").lower() != b"close"
        if status == 200:
            answer.why = wrong_in(answer, body)

    async def _head(self) -> tuple[int, dict[bytes, bytes]]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        pairs = (line.partition(b":") for line in lines)
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        return int(first.split(b" ", 2)[1]), fields

    async def _body(self, answer: Answer) -> bytes:
        fields, ask = answer.fields, answer.ask
        if ask.method == b"HEAD":
            return body_of(ask.request_id, int(fields[b"content-length"]))
        if fields.get(b"transfer-encoding") != b"chunked":
            length = int(fields[b"content-length"])
            return await self._exactly(length, is_slow=ask.reads_slowly)
        body = bytearray()
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += (await self._reader.readexactly(size + 2))[:size]
        await self._reader.readexactly(2)
        return bytes(body)

    async def _exactly(self, length: int, *, is_slow: bool) -> bytes:
        if not is_slow:
            return await self._reader.readexactly(length)
        body = bytearray()
        while len(body) < length:
            body += await self._reader.readexactly(min(PIECE, length - len(body)))
            await asyncio.sleep(REST_S)
        return bytes(body)

    async def _echo(self, answer: Answer) -> None:
        """Send the body's lines through a tunnel, and expect them back."""
        for _ in range(ECHOES):
            piece = body_of(answer.ask.request_id, answer.ask.wants)
            self.send(piece)
            if await self._reader.readexactly(len(piece)) != piece:
                answer.why = "a tunnel that mixes up its bytes"
            await asyncio.sleep(answer.ask.takes_ms / 1000)
        answer.is_whole = True


def wrong_in(answer: Answer, body: bytes) -> str:
    """What is wrong with an answer that looks well, or nothing."""
    ask = answer.ask
    echoed = answer.fields.get(b"x-echo")
    if echoed != ask.request_id:
        return f"the answer to another request: {echoed!r}"
    if body != body_of(ask.request_id, ask.wants):
        return f"a body of {len(body)} bytes that is not its own"
    return ""
