"""A collector of spans: a real OTLP/HTTP server, which keeps what it is sent."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.processes import free_port

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass
class Taken:
    """A span as it came; ids in hex, `attributes` as plain values."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    kind: int
    status: int
    began: float
    took_s: float
    attributes: dict[str, Any]


class Collector:
    """Listens on loopback; `status` is its answer, and it hangs while `hangs` is set."""

    def __init__(self) -> None:
        self.port = free_port()
        self.spans: list[Taken] = []
        self.status = 200
        self.requests = 0
        self.hangs = threading.Event()
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        """For `tracing.endpoint`."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self.close()

    def open(self) -> None:
        """Listen (again)."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.requests += 1
        if self.hangs.is_set():
            self._released.wait(60)
            return
        if handler.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        if self.status == 200:
            self.spans += list(taken(ExportTraceServiceRequest.FromString(data)))
        answer = ExportTraceServiceResponse().SerializeToString()
        handler.send_response(self.status)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


def taken(request: ExportTraceServiceRequest) -> Any:
    for resource in request.resource_spans:
        service = plain(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Taken(
                    service=service,
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=span.kind,
                    status=span.status.code,
                    began=span.start_time_unix_nano / 1e9,
                    took_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    attributes=plain(span.attributes),
                )


def plain(attributes: Any) -> dict[str, Any]:
    found: list[KeyValue] = list(attributes)
    return {each.key: value_of(each.value) for each in found}


def value_of(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
