"""Spans as OpenTelemetry's SDK has them, sent to a collector by OTLP over HTTP.

The one door to that library, which is imported when tracing is first asked for. Names
and attributes are those of the semantic conventions for HTTP servers, stable since
1.23 (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span);
what they have no name for begins with `evenhand.`. Ids were given when the request was
served, so the SDK is told them instead of making its own. What else the exporter can be
told (headers, certificates, compression) it takes from its own variables,
`OTEL_EXPORTER_OTLP_*`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from lb.config.sections import Tracing
    from lb.shm import Span

METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
"""Methods that a span may be called by; others have no bound."""

LEAST_ERROR: Final = 500
"""A server's span is an error from this status on; what clients did wrong is none."""


class Place(NamedTuple):
    """Where a backend belongs."""

    name: str
    set: str


class Sender:
    """Sends batches to one collector; `close` ends a wait for it, too.

    Raises:
        ImportError: the packages of requirements-tracing.txt are not there.
    """

    def __init__(self, tracing: Tracing) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,
        )

        self.tracing = tracing
        self.last_word = _silenced()
        self._exporter = OTLPSpanExporter(
            endpoint=tracing.endpoint, timeout=tracing.timeout
        )
        self._maker = _Maker(tracing.service)

    def send(self, spans: list[Span], places: Mapping[int, Place]) -> bool:
        """Whether the collector took them all; waits for `tracing.timeout` at most."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        made = [self._maker.make(span, places.get(span.backend_id)) for span in spans]
        return self._exporter.export(made) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Send nothing any more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _LastWord(logging.Handler):
    """Keeps what the library logged last, instead of printing each failure."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def _silenced() -> _LastWord:
    log, last_word = logging.getLogger("opentelemetry"), _LastWord()
    log.handlers[:] = [last_word]
    log.propagate = False
    return last_word


class _Maker:
    """Makes the SDK's spans of ours. For one thread."""

    def __init__(self, service: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.id_generator import IdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        maker = self
        self._ids = (0, 0)
        self._ended: ReadableSpan | None = None

        class Given(IdGenerator):
            def generate_trace_id(self) -> int:
                return maker._ids[0]

            def generate_span_id(self) -> int:
                return maker._ids[1]

        class Keeping(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                maker._ended = span

        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": service}),
            id_generator=Given(),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Keeping())
        self._tracer = provider.get_tracer("evenhand", __version__)

    def make(self, span: Span, place: Place | None) -> ReadableSpan:
        """The span as the SDK has it. 60 us."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        self._ids = int(span.trace, 16), int(span.span, 16)
        begun = self._tracer.start_span(
            span.method if span.method in METHODS else "HTTP",
            context=_parent(span),
            kind=SpanKind.SERVER,
            attributes={k: v for k, v in _attributes(span, place) if v is not None},
            start_time=round(span.began * 1e9),
        )
        if is_error(span):
            begun.set_status(Status(StatusCode.ERROR, span.label or None))
        begun.end(round((span.began + span.total_s) * 1e9))
        ended, self._ended = self._ended, None
        if ended is None:
            raise RuntimeError("the SDK kept a span to itself")
        return ended


def is_error(span: Span) -> bool:
    """Whether the span's status says so; a 4xx is no error of a server's."""
    if span.status:
        return span.status >= LEAST_ERROR or bool(span.label and span.status < 400)
    return True


def _parent(span: Span) -> Any:
    """The context that the span is a child in; an empty one for a trace's first."""
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if not span.parent:
        return Context()
    parent = SpanContext(
        trace_id=int(span.trace, 16),
        span_id=int(span.parent, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _attributes(span: Span, place: Place | None) -> list[tuple[str, Any]]:
    """What is told of it; None is left out."""
    is_known = span.method in METHODS
    path, _, query = span.target.partition("?")
    address, port = _authority(span.host)
    return [
        ("http.request.method", span.method if is_known else "_OTHER"),
        ("http.request.method_original", None if is_known else span.method),
        ("url.scheme", "https" if span.is_https else "http"),
        ("url.path", path),
        ("url.query", query or None),
        ("http.response.status_code", span.status or None),
        ("error.type", _error_type(span)),
        ("server.address", address or None),
        ("server.port", port),
        ("client.address", None if span.client == "unix:" else span.client),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1" if span.is_1_1 else "1.0"),
        ("http.request.body.size", span.bytes_in or None),
        ("http.response.body.size", span.bytes_out or None),
        ("evenhand.backend", place.name if place else None),
        ("evenhand.set", place.set if place else None),
        ("evenhand.policy", span.policy or None),
        ("evenhand.attempts", span.attempts),
        ("evenhand.worker.slot", span.slot),
        ("evenhand.request.id", span.request_id),
        ("evenhand.queue.duration", span.queued_s),
        ("evenhand.connect.duration", span.connect_s),
        ("evenhand.response_head.duration", span.to_head_s),
    ]


def _error_type(span: Span) -> str | None:
    if span.label:
        return span.label
    return str(span.status) if is_error(span) else None


def _authority(host: str) -> tuple[str, int | None]:
    """The name and port that a Host field says."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        return host.strip("[]"), None
    return name.strip("[]"), int(port)
