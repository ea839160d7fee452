"""What all client connections of one worker share in the fast lane."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.forward import Peer
    from lb.http1.request import RequestParser
    from lb.proxy.accesslog import AccessLog
    from lb.proxy.engine import Engine
    from lb.proxy.session import Session
    from lb.proxy.tunnel import Joinable


@dataclass(slots=True, kw_only=True)
class Terms:
    """What the settings say of sessions. Times are seconds, sizes bytes."""

    log: AccessLog | None
    via: str
    keepalive_s: float
    request_head_s: float
    idle_s: float
    welcome: Callable[[str], tuple[Peer, RequestParser]]
    """From a client's address to how it is named upstream, and the rules for it."""
    takes_proxy_header: bool
    head_bytes: int
    body_bytes: int
    keep_bytes: int

    def values(self) -> dict[str, Any]:
        """These, by name."""
        return {each.name: getattr(self, each.name) for each in fields(Terms)}


@dataclass(slots=True, kw_only=True)
class Lane(Terms):
    """What all sessions of a worker share."""

    engine: Engine
    spawn: Callable[[Callable[[], None]], Joinable]
    run: Callable[[Callable[[], None]], None]
    """Runs a task in a greenlet, from the event loop."""
    report: Callable[[], None]
    """Tells of the exception that is being handled."""
    on_leave: Callable[[], None]
    """Called when a session has ended."""
    is_stopping: bool = False
    sessions: set[Session] = field(default_factory=set)

    def stop(self) -> None:
        """From now on, let every answer be the last of its connection, and say so."""
        self.is_stopping = True

    def renew(self, terms: Terms) -> None:
        """Go by what other settings say, on all connections from now on. O(sessions).

        A request that is under way keeps the deadlines that run.
        """
        for name, value in terms.values().items():
            setattr(self, name, value)
        for session in self.sessions:
            session.meet_anew()

    def leave(self, session: Session) -> None:
        """Forget a session that has closed."""
        self.sessions.discard(session)
        self.on_leave()

    def close_idle(self) -> None:
        """Close the connections on which no request has come, after `stop`."""
        for session in list(self.sessions):
            session.leave_if_idle()
