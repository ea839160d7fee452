"""The fast lane's door: a gunicorn worker that talks HTTP on the sockets itself.

gunicorn supervises it (forks, signals, heartbeat, listening sockets) and gevent
drives it, but no WSGI and none of gunicorn's request objects stand on the data
path. The Flask application named on gunicorn's command line is not even loaded.

A listening socket is watched by the event loop; each turn accepts one connection
(many when this worker is alone), and a worker that has more than its share lets the
others go first for a moment, so that all get as many. At the limit of connections the
watcher is off: what cannot be served waits in the kernel's queue or goes to another
worker, instead of being accepted and dropped.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import hub
from gevent.event import Event
from gunicorn.workers.base import Worker
from gunicorn.workers.ggevent import GeventWorker

from lb import patching
from lb.arbiter import generation_in_force, raise_file_limit, settings_in_force
from lb.errors import LbError
from lb.process import ServingProcess
from lb.proxy.lane import Lane, Terms
from lb.proxy.reception import Reception
from lb.proxy.session import Session
from lb.streams.crew import Crew
from lb.streams.hub import HubTransport
from lb.streams.race import race

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.config import Settings
    from lb.proxy.balancer import Balancer
    from lb.shm import Arrivals

ACCEPTS_ALONE: Final = 64
"""Connections accepted per turn of the loop when no other worker wants them."""

COURTESY_S: Final = 0.002
MOST_COURTESIES: Final = 50
"""How long, and how often in a row, a worker with more than its share lets others go
first: 0.1 s in all, and never again until another accepts one. A worker that gets a
core takes a connection within a millisecond; one that hangs must not hold up clients.
"""

NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
UNSENT_BYTES: Final = 262144
"""What the kernel may hold for one client beyond what is on the wire."""

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
EXHAUSTED_PAUSE_S: Final = 0.1
STOP_POLL_S: Final = 0.02

PARTING_S: Final = 0.25
PARTING_IN_COMPANY_S: Final = 5.0
"""How long a stopping worker waits for the next request of a kept-alive connection.

A busy client's next request is on its way; answered with `Connection: close` it is
not lost, as it would be if the connection were closed under it. Where others go on
serving (SIGTTOU, SIGUSR2), nobody waits for this worker's end, so it has patience with
clients that think between two requests; where all stop, it has not.
"""

PARTING_SHARE: Final = 0.75
"""The same at most, as a share of gunicorn's graceful timeout."""


class Acceptor:
    """Accepts connections from one listening socket, in the event loop."""

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[_socket.socket, str], None],
        *,
        per_turn: int,
        arrivals: Arrivals,
    ) -> None:
        family, kind, proto = listener.family, listener.type, listener.proto
        self._listener = _socket.socket(family, kind, proto, listener.detach())
        self._listener.setblocking(False)
        self._is_unix = family == socket.AF_UNIX
        self._family = family
        self._serve = serve
        self._per_turn = per_turn
        self._loop = gevent.get_hub().loop
        self._watcher = self._loop.io(self._listener.fileno(), 1)
        self._timer = self._loop.timer(COURTESY_S)
        self._arrivals = arrivals
        self._others_seen = 0
        self._courtesies = 0
        self._is_paused = self._is_closed = False
        self.resume()

    def pause(self) -> None:
        """Accept nothing until `resume`."""
        self._is_paused = True
        self._watcher.stop()

    def resume(self) -> None:
        """Accept (again)."""
        self._is_paused = False
        self._watch()

    def close(self) -> None:
        """Close this process's hold on the listening socket."""
        self._is_closed = True
        for watcher in (self._watcher, self._timer):
            watcher.stop()
            watcher.close()
        self._listener.close()

    def _watch(self) -> None:
        if not (self._is_paused or self._is_closed or self._watcher.active):
            self._watcher.start(self._on_ready)

    def _rest(self, seconds: float) -> None:
        self._watcher.stop()
        self._timer.stop()
        self._timer.close()
        self._timer = self._loop.timer(seconds)
        self._timer.start(self._watch)

    def _lets_others_go_first(self) -> bool:
        """Whether this worker has more than its share, and they may still come."""
        if not self._arrivals.is_ahead():
            return False
        others = self._arrivals.others()
        if others != self._others_seen:
            self._others_seen, self._courtesies = others, 0
        self._courtesies += 1
        return self._courtesies <= MOST_COURTESIES

    def _on_ready(self) -> None:
        if self._lets_others_go_first():
            self._rest(COURTESY_S)
            return
        for _ in range(self._per_turn):
            if not self._watcher.active:
                return
            try:
                fd, address = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._rest(EXHAUSTED_PAUSE_S)
                return
            sock = _socket.socket(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            if not self._is_unix:
                with contextlib.suppress(OSError):  # it may be gone already
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    # So that a slow reader is seen to take something in good time.
                    sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, UNSENT_BYTES)
            self._serve(sock, "" if self._is_unix else address[0])


class ProxyWorker(GeventWorker):  # type: ignore[misc] # gunicorn is not typed
    """See the module. Use it by `worker_class = "lb.worker.ProxyWorker"`."""

    @staticmethod
    def check_config(cfg: Any, log: Any) -> None:
        """Refuse what this lane cannot do; called by gunicorn before it forks.

        All that workers need is loaded by now, once for all of them.
        """
        if cfg.is_ssl:
            log.error("the fast lane does not speak TLS: unset --certfile/--keyfile")
            sys.exit(1)
        patching.prepare()

    def load_wsgi(self) -> None:
        """Load nothing: this lane serves without the WSGI application."""

    def init_process(self) -> None:
        """Patch, then start; settings that do not hold stop the whole server."""
        with patching.cheaply():
            self.patch()
        hub.reinit()
        self._wake = Event()
        Worker.init_process(self)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: stop accepting, finish what runs."""
        super().handle_exit(sig, frame)
        self._wake.set()

    def handle_usr1(self, sig: int, frame: Any) -> None:
        """SIGUSR1: go on in new log files, as whoever moved the old ones away asks."""
        super().handle_usr1(sig, frame)
        # It may come before `run` has opened one.
        if hasattr(self, "_process") and (log := self._process.balancer.log):
            log.reopen()

    def run(self) -> None:
        """Serve until told to stop, then finish requests under way."""
        self._process, transport = self._open()
        process = self._process
        crew = Crew(self._report)
        self._lane = lane_for(
            process, run=crew.run, report=self._report, on_leave=self._on_leave
        )
        self._transport = transport
        self._arrivals = process.balancer.slot.arrivals()
        self._arrivals.open()
        per_turn = ACCEPTS_ALONE if self.cfg.workers == 1 else 1
        self._acceptors = [
            Acceptor(s, self._serve, per_turn=per_turn, arrivals=self._arrivals)
            for s in self.sockets
        ]
        process.on_settings = self._renew
        while self.alive:
            self.notify()
            self._wake.wait(1.0)
        self._drain()
        process.stop()
        transport.close()

    def _open(self) -> tuple[ServingProcess, HubTransport]:
        transport = HubTransport()
        try:
            process = ServingProcess(
                settings_in_force(),
                transport,
                self.log,
                threads=False,
                generation=generation_in_force(),
                race=race,
            )
        except LbError as error:
            self.log.error("%s", error)
            # Worker.WORKER_BOOT_ERROR: the arbiter stops instead of forking anew.
            sys.exit(3)
        return process, transport

    def _renew(self, before: Settings) -> None:
        """Go by the settings in force now, in the place of `before`.

        What gunicorn's command line has set otherwise stays.
        """
        settings = self._process.balancer.settings
        self._lane.renew(terms_of(self._process.balancer))
        if self.cfg.loglevel == before.log.level:
            self.cfg.set("loglevel", settings.log.level)
            self.log.error_log.setLevel(settings.log.level.upper())
        if self.worker_connections == before.limits.connections:
            self._limit(settings.limits.connections)

    def _limit(self, connections: int) -> None:
        """Serve at most so many clients; more, who are there already, may stay."""
        self.worker_connections: int = connections
        raise_file_limit(connections)
        if self._lane.is_stopping:
            return
        has_room = len(self._lane.sessions) < connections
        if has_room:
            self._arrivals.open()
        else:
            self._arrivals.close()
        for acceptor in self._acceptors:
            if has_room:
                acceptor.resume()
            else:
                acceptor.pause()

    def _serve(self, sock: _socket.socket, ip: str) -> None:
        lane = self._lane
        Session(lane, self._transport.adopt(sock), ip)
        held = len(lane.sessions)
        self._arrivals.accepted(held)
        if held >= self.worker_connections:
            self._arrivals.close()
            for acceptor in self._acceptors:
                acceptor.pause()

    def _on_leave(self) -> None:
        held = len(self._lane.sessions)
        self._arrivals.left(held)
        if held == self.worker_connections - 1 and not self._lane.is_stopping:
            self._arrivals.open()
            for acceptor in self._acceptors:
                acceptor.resume()

    def _report(self) -> None:
        self.log.exception("a connection failed in an unexpected way")

    def _drain(self) -> None:
        """Close the listening sockets, and every session as it comes to rest."""
        self._arrivals.close()
        for acceptor in self._acceptors:
            acceptor.close()
        self._lane.stop()
        slot = self._process.balancer.slot
        slot.leave()
        patience_s = min(
            PARTING_IN_COMPANY_S, PARTING_SHARE * self.cfg.graceful_timeout
        )
        begun = now = time.monotonic()
        while self._lane.sessions and now - begun < self.cfg.graceful_timeout:
            self.notify()
            gevent.sleep(STOP_POLL_S)
            now = time.monotonic()
            waited_s = now - begun
            if waited_s > PARTING_S and (
                waited_s > patience_s or not slot.has_company()
            ):
                self._lane.close_idle()
        if left := len(self._lane.sessions):
            self.log.warning("graceful timeout: %d connections are cut", left)


def lane_for(
    process: ServingProcess,
    *,
    run: Callable[[Callable[[], None]], None],
    report: Callable[[], None],
    on_leave: Callable[[], None],
) -> Lane:
    """What all sessions of this process share; the last three as in `Lane`."""
    return Lane(
        **terms_of(process.balancer).values(),
        engine=process.balancer.engine,
        spawn=gevent.spawn,
        run=run,
        report=report,
        on_leave=on_leave,
    )


def terms_of(balancer: Balancer) -> Terms:
    """What its settings say of sessions."""
    settings = balancer.settings
    return Terms(
        log=balancer.log,
        via=settings.headers.via,
        welcome=Reception(settings).welcome,
        takes_proxy_header=settings.proxy_protocol,
        keepalive_s=settings.timeouts.keepalive,
        request_head_s=settings.timeouts.request_head,
        idle_s=settings.timeouts.idle,
        head_bytes=settings.limits.head_bytes,
        body_bytes=settings.limits.body_bytes,
        keep_bytes=settings.retries.body_bytes,
    )
