"""A plain reverse proxy on aiohttp and uvloop, with the duties of the other peers.

What one writes after reading aiohttp's manual: one handler, one client session, bodies
streamed. A program of its own, so that only it needs aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import logging.handlers
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Final

import aiohttp
import uvloop
from aiohttp import web

HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
VIA: Final = "1.1 aiohttp"


class Proxy:
    """The handler, its backends in turn, its client session."""

    def __init__(self, backends: list[str], session: aiohttp.ClientSession) -> None:
        self._backends = itertools.cycle(backends)
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass the request on and stream the response back."""
        url = f"http://{next(self._backends)}{request.raw_path}"
        async with self._session.request(
            request.method,
            url,
            headers=self._fields(request),
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as upstream:
            response = web.StreamResponse(status=upstream.status)
            for name, value in upstream.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            response.headers.add("Via", VIA)
            await response.prepare(request)
            async for data in upstream.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    @staticmethod
    def _fields(request: web.Request) -> dict[str, str]:
        fields = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP
        }
        client = request.remote or ""
        fields["X-Forwarded-For"] = client
        fields["X-Forwarded-Proto"] = "http"
        fields["X-Forwarded-Host"] = request.host
        fields["Forwarded"] = f'for={client};proto=http;host="{request.host}"'
        fields["X-Request-Id"] = uuid.uuid4().hex
        fields["Via"] = VIA
        return fields


async def serve(options: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=options.keepalive)
    async with aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    ) as session:
        proxy = Proxy(options.backends.read_text().split(), session)
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(
            application,
            access_log=access_log(options.log),
            keepalive_timeout=options.keepalive,
            auto_decompress=False,
        )
        await runner.setup()
        site = web.TCPSite(
            runner, "127.0.0.1", options.port, backlog=4096, reuse_port=True
        )
        await site.start()
        await asyncio.Event().wait()


def access_log(path: Path | None) -> logging.Logger | None:
    """A logger that writes to `path` in blocks."""
    if path is None:
        return None
    log = logging.getLogger("access")
    log.setLevel(logging.INFO)
    log.propagate = False
    target = logging.FileHandler(path)
    log.addHandler(logging.handlers.MemoryHandler(500, target=target))
    return log


def main() -> None:
    """Fork the workers and serve in each of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--backends", type=Path, required=True)
    parser.add_argument("--keepalive", type=float, default=75.0)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    children: list[int] = []
    for _ in range(options.workers - 1):
        child = os.fork()
        if not child:
            children.clear()
            break
        children.append(child)

    def end(signum: int, frame: object) -> None:
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options))


if __name__ == "__main__":
    main()
