"""A span in OpenTelemetry's words: names, errors, and what is left out."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lb.admin.otlp import Place, SpanMaker, is_error
from lb.config import load, sections
from lb.errors import ConfigError
from lb.shm import Span

if TYPE_CHECKING:
    from pathlib import Path

SPAN = Span(
    slot=3,
    trace="0af7651916cd43dd8448eb211c80319c",
    span="00f067aa0ba902b7",
    parent="b7ad6b7169203331",
    began=1_700_000_000.25,
    total_s=0.5,
    queued_s=None,
    connect_s=0.001,
    to_head_s=0.4,
    status=200,
    label="",
    attempts=1,
    backend_id=7,
    bytes_in=0,
    bytes_out=5,
    is_1_1=True,
    is_https=True,
    policy="round_robin",
    method="GET",
    request_id="aa01",
    client="192.0.2.1",
    host="[2001:db8::1]:8443",
    target="/a/b?c=d?e",
)


def made(**changed: Any) -> Any:
    return SpanMaker("lb").make(SPAN._replace(**changed), Place("web1", "api"))


def test_ids_and_times_are_those_of_the_request() -> None:
    span = made()
    assert f"{span.context.trace_id:032x}" == SPAN.trace
    assert f"{span.context.span_id:016x}" == SPAN.span
    assert f"{span.parent.span_id:016x}" == SPAN.parent
    assert span.parent.is_remote
    assert span.start_time == 1_700_000_000_250_000_000
    assert span.end_time - span.start_time == 500_000_000
    assert made(parent="").parent is None


def test_attributes_are_those_of_the_conventions() -> None:
    assert dict(made().attributes) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "url.path": "/a/b",
        "url.query": "c=d?e",
        "http.response.status_code": 200,
        "server.address": "2001:db8::1",
        "server.port": 8443,
        "client.address": "192.0.2.1",
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.response.body.size": 5,
        "evenhand.backend": "web1",
        "evenhand.set": "api",
        "evenhand.policy": "round_robin",
        "evenhand.attempts": 1,
        "evenhand.worker.slot": 3,
        "evenhand.request.id": "aa01",
        "evenhand.connect.duration": 0.001,
        "evenhand.response_head.duration": 0.4,
    }


@pytest.mark.parametrize(
    ("status", "label", "error", "kind"),
    [
        (200, "", False, None),
        (404, "", False, None),
        (413, "http_request_error", False, "http_request_error"),
        (500, "", True, "500"),
        (502, "connection_refused", True, "connection_refused"),
        (200, "http_response_incomplete", True, "http_response_incomplete"),
        (0, "client_left", True, "client_left"),
    ],
)
def test_what_a_server_fails_in_is_an_error(
    status: int, label: str, error: bool, kind: str | None
) -> None:
    assert is_error(SPAN._replace(status=status, label=label)) is error
    span = made(status=status, label=label)
    assert span.status.is_ok is not error
    assert span.attributes.get("error.type") == kind


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [("a.test", "a.test", None), ("a.test:81", "a.test", 81), ("", None, None),
     ("[::1]", "::1", None), ("a.test:", "a.test:", None)],
)  # fmt: skip
def test_the_host_is_taken_apart(
    host: str, address: str | None, port: int | None
) -> None:
    attributes = made(host=host).attributes
    assert attributes.get("server.address") == address
    assert attributes.get("server.port") == port


def test_a_method_of_ones_own_names_no_span() -> None:
    span = made(method="PURGE")
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")
    assert span.attributes["http.request.method_original"] == "PURGE"


def test_without_the_package_the_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it; without the setting nobody asks for it."""
    monkeypatch.setattr(sections, "EXPORTER", "a-package-that-nobody-has")
    load({}, tmp_path)
    asked = {"LB_TRACING__ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    with pytest.raises(
        ConfigError, match="pip install -r requirements-tracing"
    ) as info:
        load(asked, tmp_path)
    assert "tracing.endpoint (LB_TRACING__ENDPOINT)" in str(info.value)


def test_nothing_of_ours_loads_it_at_import() -> None:
    """Neither a worker's modules nor the admin app's."""
    code = (
        "import lb.worker, lb.wsgi, lb.process, lb.admin.serving, lb.admin.otlp, sys\n"
        "assert 'opentelemetry' not in sys.modules\n"
        "assert 'google.protobuf' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
