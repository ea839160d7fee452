"""One request on a connection of its own, its response taken apart to the byte.

Before and after each run it decides whether a proxy passes bodies on intact; how
long its heads are tells afterwards whether the load saw whole responses too. Too slow
to make load with.
"""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.errors import RunVoidError

if TYPE_CHECKING:
    from bench.measurement import LoadResult
    from bench.workloads import Workload

TIMEOUT_S: Final = 30.0
HEAD_LIMIT: Final = 65_536

HEAD_VARIES: Final = 2
"""Bytes by which heads of one peer may differ, on average over a run."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status, the length of its head on the wire, its body."""

    status: int
    head_bytes: int
    body: bytes


def fetch(address: Address, request: bytes, *, body: bytes = b"") -> Reply:
    """Send one request and take its response.

    Raises:
        OSError: no connection, or it broke.
        RunVoidError: what came is not HTTP, or ended early.
    """
    with socket.create_connection(address, TIMEOUT_S) as sock:
        sock.sendall(request)
        sock.sendall(body)
        head_bytes = _peek_head(sock)
        response = http.client.HTTPResponse(sock, method=request.split()[0].decode())
        try:
            response.begin()
            return Reply(response.status, head_bytes, response.read())
        except http.client.HTTPException as error:
            raise RunVoidError(f"not a whole HTTP response: {error!r}") from error


def _peek_head(sock: socket.socket) -> int:
    """The length of the head that comes next, which stays to be read."""
    seen = 0
    while True:
        sock.recv(seen + 1, socket.MSG_PEEK | socket.MSG_WAITALL)
        data = sock.recv(HEAD_LIMIT, socket.MSG_PEEK)
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            return end + 4
        if len(data) <= seen or len(data) == HEAD_LIMIT:
            raise RunVoidError("the response has no whole head")
        seen = len(data)


def check(address: Address, workload: Workload) -> Reply:
    """The proxy's response to the workload's own request, which must be right.

    Raises:
        RunVoidError: another status or body than the backend gave.
    """
    try:
        reply = fetch(address, workload.head(0), body=workload.sent())
    except OSError as error:
        raise RunVoidError(f"no response: {error}") from error
    if reply.status != 200:
        raise RunVoidError(f"status {reply.status}")
    if reply.body != workload.answer():
        raise RunVoidError(f"a wrong body of {len(reply.body)} bytes")
    return reply


def check_bytes(result: LoadResult, reply: Reply, *, connections: int) -> None:
    """Hold what the load received against one response that is known to be right.

    Framing of chunks may differ from response to response, so above there is room;
    below there is none but for `HEAD_VARIES`.

    Raises:
        RunVoidError: bodies were too short, or too long.
    """
    whole = reply.head_bytes + len(reply.body)
    least = result.requests * (whole - HEAD_VARIES)
    most = (result.requests + connections) * (whole * 1.1 + HEAD_VARIES)
    if not least <= result.received_bytes <= most:
        mean = result.received_bytes / result.requests
        raise RunVoidError(f"{mean:.0f} bytes a response instead of {whole}")
