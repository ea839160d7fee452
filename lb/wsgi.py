"""The portable lane's door: the balancer as a Flask application.

For any WSGI server: `gunicorn -k gevent|gthread|sync lb.wsgi:app`,
`flask --app lb.wsgi run`, or Flask's test client. Every path and method ends in one
view, which puts the request back into the bytes it came from, so that the same
parser, engine and rules serve both lanes.

What WSGI cannot do, and what happens instead (docs/design.md has the table): no
Upgrade and no interim responses; the server answers `Expect: 100-continue` itself;
repeated request fields arrive joined by commas; `Server` and `Date` are the
server's own; a client that leaves is noticed at the next write.

Importing starts nothing: the first request opens the balancer, or `start`, which
the root gunicorn.conf.py calls in each worker.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from lb import rendering
from lb.errors import HttpError, LbError, RequestError
from lb.http1.replies import reply
from lb.proxy.accesslog import line
from lb.proxy.exchange import Request
from lb.proxy.marks import marks
from lb.proxy.reception import Reception
from lb.proxy.upload import Upload

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from lb.config import Settings
    from lb.errors import AttemptError
    from lb.process import ServingProcess


class Verbatim(Response):
    """A response whose fields leave as the backend wrote them.

    Werkzeug would add a Content-Type where there is none (which browsers then do not
    question), rewrite Location and take fields from a 304.
    """

    default_mimetype = None

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """The fields as they are."""
        return self.headers


class Account:
    """Counts, records and logs one request, once; `ip` is its client's address.

    `request` is None until its head was understood.
    """

    def __init__(self, process: ServingProcess, ip: str) -> None:
        self.ip = ip
        self.began = monotonic()
        self.request: Request | None = None
        self._engine = process.balancer.engine
        self._log = process.balancer.log

    def note_cut(self, status: int, error: AttemptError) -> None:
        """The backend broke off the body of its response of that status."""
        if self.request is not None:
            self._engine.note_cut(self.request, status, error)

    def refuse(self, error: HttpError) -> None:
        """It is over: the balancer answers it by itself."""
        if self.request is not None:
            self.close(error.status, 0, error.label, error.detail)
        else:
            ip = self.ip.encode()
            self._engine.refuse(ip, error.status, error.label, self.began)

    def close(self, status: int, sent_bytes: int, label: str, detail: str = "") -> None:
        """It is over, answered with that status and so many bytes of body."""
        done, now = self.request, monotonic()
        if done is None:
            return
        done.status, done.bytes_out, done.label = status, sent_bytes, label
        done.bytes_in = done.upload.taken_bytes if done.upload else 0
        self._engine.finish(done, now)
        if self._log is not None:
            text = line(
                done,
                self.ip or "unix:",
                status=status,
                sent_bytes=sent_bytes,
                took_s=now - self.began,
            )
            self._log.write(" ".join(filter(None, (text, label, detail))))


class Face(Flask):
    """A Flask application whose every request is balanced."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__("lb", static_folder=None)
        self._settings = settings
        self._starting = threading.Lock()
        self._process: ServingProcess | None = None

    def start(self) -> ServingProcess:
        """The serving process behind this application, opened on the first call.

        Raises:
            ConfigError, StateFileError: it cannot be opened.
        """
        with self._starting:
            if self._process is None:
                from lb.arbiter import generation_in_force, settings_in_force
                from lb.process import ServingProcess
                from lb.streams.blocking import BlockingTransport

                # Settings of one's own: no arbiter has made a file for them.
                generation = 0 if self._settings else generation_in_force()
                self._settings = self._settings or settings_in_force()
                log = logging.getLogger("gunicorn.error")
                if not log.handlers:
                    log = logging.getLogger("evenhand")
                process = ServingProcess(
                    self._settings,
                    BlockingTransport(),
                    log,
                    threads=True,
                    generation=generation,
                )
                process.on_settings = lambda _: self._receive(process)
                self._receive(process)
                self._process = process
            return self._process

    def _receive(self, process: ServingProcess) -> None:
        """Receive clients by the settings that the process goes by now."""
        # Underscores are kept: the server has folded them already.
        self._reception = Reception(process.balancer.settings, underscores="keep")

    def stop(self) -> None:
        """Close what `start` opened."""
        with self._starting:
            if self._process is not None:
                self._process.stop()
                self._process = None

    def dispatch_request(self) -> Response:
        """The one view: any method, any path."""
        try:
            process = self._process or self.start()
        except LbError as error:
            # Only without the root gunicorn.conf.py does this come so late.
            self.logger.error("cannot balance: %s", error)
            return self._error(HttpError(str(error)), "evenhand")
        environ = request.environ
        account = Account(process, environ.get("REMOTE_ADDR") or "")
        try:
            return self._balance(process, environ, account)
        except HttpError as error:
            account.refuse(error)
            return self._error(error, process.balancer.settings.headers.via)

    def _balance(
        self, process: ServingProcess, environ: dict[str, Any], account: Account
    ) -> Response:
        settings = process.balancer.settings
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            raise RequestError("WSGI has no tunnels: use the fast lane", status=501)
        proto = environ["wsgi.url_scheme"].encode()
        peer, parser = self._reception.welcome(account.ip, proto)
        head = rendering.parse_environ(parser, environ)
        wire, request_id = peer.request_head(head)
        exchanged = account.request = Request(
            head,
            wire,
            client=account.ip.encode(),
            request_id=request_id,
            began=account.began,
        )
        if head.length:
            exchanged.upload = Upload(
                rendering.InputSource(environ["wsgi.input"], head.length),
                length=head.length,
                keep_bytes=settings.retries.body_bytes,
                limit_bytes=settings.limits.body_bytes,
            )
        answer = process.balancer.engine.exchange(exchanged)
        body = rendering.BodyIterator(answer, settings.timeouts.idle, account)
        response = Verbatim(
            body,
            status=rendering.status_line(answer.head),
            headers=rendering.header_pairs(answer.head, peer.via, marks(exchanged)),
            direct_passthrough=True,
        )
        response.call_on_close(body.close)
        return response

    def _error(self, error: HttpError, via: str) -> Response:
        status, fields, body = reply(error, via=via)
        return Response(body, status=status, headers=fields)


def create_app(settings: Settings | None = None) -> Face:
    """A balancer as a WSGI application, with these settings or those in force."""
    return Face(settings)


app = create_app()
