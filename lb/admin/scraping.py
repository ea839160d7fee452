"""`/metrics`: the balancer for Prometheus, and this process by the library itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
    from lb.admin.collecting import Collector

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def blueprint(collector: Collector) -> Blueprint:
    """The route that Prometheus asks."""
    made = Blueprint("scraping", __name__)
    own = CollectorRegistry()
    ProcessCollector(namespace="evenhand_admin", registry=own)

    @made.get("/metrics")
    def metrics() -> Response:
        parts = [family.text() for family in collector.families()]
        body = "".join(parts).encode() + generate_latest(own)
        return Response(body, content_type=MEDIA_TYPE)

    return made
