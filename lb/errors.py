"""Every way in which Evenhand fails, as one tree.

An error is translated once, where it happens, and from there carries its own
fate: the status that the client gets, the RFC 9209 label that says whose fault
it was, and whether bytes had already gone to a backend (which decides if the
request may be tried elsewhere). Nothing here does I/O.
"""

from __future__ import annotations

from enum import IntEnum


class LbError(Exception):
    """The root: whatever Evenhand raises on purpose."""


class ConfigError(LbError):
    """The settings cannot be used; the message names key, value and remedy."""


class StateFileError(LbError):
    """The shared file cannot be used; the message says why and what to do."""


class OperationError(LbError):
    """What an operator asks for cannot be done; the message says why."""


class ReachError(LbError):
    """A balancer elsewhere cannot be asked; the message names it and says why."""


class Sent(IntEnum):
    """How much of a request a backend may have seen when its attempt failed."""

    NOTHING = 0
    MAYBE = 1
    """A reused connection died before any answer: it may have been stale."""
    YES = 2


class HttpError(LbError):
    """A request ends with an answer that the balancer makes itself.

    `status` is the HTTP status, `label` the error type of RFC 9209 section 2.3
    for `Proxy-Status`, `detail` a sentence for the log (never for the client).
    """

    status = 500
    label = "proxy_internal_error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class RequestError(HttpError):
    """The client's message cannot be served; its connection is closed."""

    status = 400
    label = "http_request_error"

    def __init__(self, detail: str = "", *, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class FinalRecipientError(HttpError):
    """Max-Forwards ran out: OPTIONS ends here (RFC 9110 section 7.6.2), no fault."""

    status = 200
    label = ""


class NoRouteError(HttpError):
    """Nothing is said of where such requests go: RFC 9209 `destination_not_found`."""

    status = 404
    label = "destination_not_found"


class UnavailableError(HttpError):
    """No backend may be used now: RFC 9209 `destination_unavailable`, 503."""

    status = 503
    label = "destination_unavailable"


class FullError(UnavailableError):
    """Every backend that may be used has as many requests as it may (503)."""

    label = "connection_limit_reached"


class AttemptError(HttpError):
    """One attempt at one backend failed.

    `sent` says how much of the request may have reached that backend.
    """

    status = 502
    label = "destination_unavailable"
    sent = Sent.YES

    def __init__(self, detail: str = "", *, sent: Sent | None = None) -> None:
        super().__init__(detail)
        if sent is not None:
            self.sent = sent


class ConnectRefusedError(AttemptError):
    """The backend's address answered that nobody listens, or did not exist."""

    label = "connection_refused"
    sent = Sent.NOTHING


class ConnectTimeoutError(AttemptError):
    """The backend's address did not answer the connect in time."""

    status = 504
    label = "connection_timeout"
    sent = Sent.NOTHING


class TerminatedError(AttemptError):
    """The backend closed or reset the connection before its answer was whole."""

    label = "connection_terminated"


class ResponseTimeoutError(AttemptError):
    """The backend did not give a response head in time."""

    status = 504
    label = "http_response_timeout"


class DeadlineError(HttpError):
    """The request's time was over before any attempt of it had an answer."""

    status = 504
    label = "http_response_timeout"


class ResponseError(AttemptError):
    """The backend's answer is not HTTP/1.1 that may be passed on."""

    label = "http_protocol_error"


class ResponseTooLargeError(ResponseError):
    """The backend's response head is larger than `limits.head_bytes`."""

    label = "http_response_header_section_size"


class ClientGoneError(LbError):
    """The client left, or cannot be written to: there is nobody to answer."""


class EarlyAnswerError(LbError):
    """The backend has something to say while the request body is on its way.

    Raised out of a read of the client, or out of a write to the backend; then
    `unsent` is what of that write is still to be sent.
    """

    unsent: bytes | memoryview = b""


class StreamError(LbError):
    """A byte stream failed; its user translates this once, by phase."""


class StreamClosedError(StreamError):
    """The peer closed or reset the stream, or it was never there."""


class StreamTimeoutError(StreamError):
    """The stream's deadline passed while waiting."""
