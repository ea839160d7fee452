"""The cases, one file per subject; `tables.ALL` is their sum."""

from __future__ import annotations

from tests.rfc.tables import (
    connections,
    errors,
    fields,
    forwarding,
    interim,
    limits,
    request_framing,
    response_framing,
    retries,
    robustness,
    routing,
    smuggling,
    streaming,
    syntax,
    tunnels,
)

SUBJECTS = {
    "message syntax": syntax.CASES,
    "framing of requests": request_framing.CASES,
    "framing of responses": response_framing.CASES,
    "connections": connections.CASES,
    "routing, Host and target": routing.CASES,
    "fields": fields.CASES,
    "forwarding": forwarding.CASES,
    "interim responses": interim.CASES,
    "upgrade and tunnels": tunnels.CASES,
    "retries": retries.CASES,
    "timeouts and limits": limits.CASES,
    "smuggling": smuggling.CASES,
    "errors": errors.CASES,
    "streaming": streaming.CASES,
    "robustness": robustness.CASES,
}

ALL = [case for cases in SUBJECTS.values() for case in cases]
