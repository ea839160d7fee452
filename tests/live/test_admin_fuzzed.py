"""Whatever fits the admin API's document is answered as it says, beside live traffic.

By schemathesis, from the document that the process serves, while clients ask the
balancer all the time: backends come and go, are drained and weighed by chance, and no
request of theirs breaks off, nor does a process fall over.
"""

from __future__ import annotations

import time
import warnings
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tests.admin.test_openapi import CHECKS, STREAMS
from tests.live.load import Load
from tests.live.test_admin import Admin
from tests.processes import free_port

with warnings.catch_warnings():
    # What others deprecate in each other is not this test's business.
    warnings.simplefilter("ignore")
    import schemathesis

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Scripted, StartServer

pytestmark = pytest.mark.live

SECONDS = 15.0
"""At most for all operations together."""

KEPT = "kept"
"""A backend that only the end of the test brings back, if chance took it out."""


def tamed(case: Any, is_known: bool) -> None:
    """Nothing that waits for long, and nothing beyond loopback."""
    if is_known and "name" in (case.path_parameters or {}):
        case.path_parameters["name"] = KEPT
    if case.query and "wait" in case.query:
        case.query["wait"] = 0
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("backend"), str):
        body["backend"] = f"{len(body['backend'])}=127.0.0.1:{free_port()}"


def allowed(failures: list[str]) -> list[str]:
    """Failures of clients that no operator could have caused."""
    by_operator = ("502 ", "503 ", "504 ")
    return [why for why in failures if not why.startswith(by_operator)]


@pytest.mark.filterwarnings("ignore")
def test_whatever_fits_the_document_is_answered_as_it_says_under_load(
    tmp_path: Path, start_server: StartServer, scripted: Scripted
) -> None:
    one, two = scripted(KEPT), scripted("other")
    backends = f"{one.address},{two.address}"
    server = start_server("fast", "-w", "2", LB_BACKENDS=backends, LB_LOG__ACCESS="off")
    server.wait_answering(2)
    own = {"LB_STATE__PATH": str(server.state), "LB_BACKENDS": backends}
    admin = Admin(tmp_path / "admin", **own)
    try:
        admin.wait_serving()
        with Load(server.port, clients=4, pause_s=0.005) as load:
            load.wait_served(20)
            asked = fuzz(admin)
            for name in (KEPT, "other"):
                restore(admin, name, backends)
            load.wait_served(200)
        print(f"{sum(asked.values())} requests; {load.total} served meanwhile")
        assert allowed(load.failures) == []
        assert len(asked) == len(operations(schema_of(admin)))
        for process in (server, admin):
            assert "Traceback" not in process.errors()
    finally:
        admin.kill()


def schema_of(admin: Admin) -> Any:
    return schemathesis.openapi.from_url(f"{admin.url}/api/v1/openapi.json")


def operations(schema: Any) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, told in schema.raw_schema["paths"].items()
        for method in told
        if path not in STREAMS
    ]


def fuzz(admin: Admin) -> dict[tuple[str, str], int]:
    """Ask every operation by chance until the time is over; how often each was."""
    schema = schema_of(admin)
    asked = dict.fromkeys(operations(schema), 0)
    share_s = SECONDS / len(asked)
    for at in asked:
        ask_by_chance(schema, at, asked, time.monotonic() + share_s)
    return asked


def ask_by_chance(
    schema: Any, at: tuple[str, str], asked: dict[tuple[str, str], int], until: float
) -> None:
    """Ask one operation some times, at least once."""
    method, path = at

    @profile(
        max_examples=12,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(schema[path][method].as_strategy(), st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        if asked[at] and time.monotonic() > until:
            return
        tamed(case, is_known)
        response = case.call(timeout=10)
        assert response.status_code != HTTPStatus.INTERNAL_SERVER_ERROR
        case.validate_response(response, checks=CHECKS)
        asked[at] += 1

    ask()


def restore(admin: Admin, name: str, backends: str) -> None:
    """Have the backend ready again, wherever chance left it."""
    address = dict(b.split("=") for b in backends.split(","))[name]
    told = admin.ask("POST", "/api/v1/backends", json={"backend": f"{name}={address}"})
    assert told.status_code in (HTTPStatus.CREATED, HTTPStatus.CONFLICT), told.text
    told = admin.ask("POST", f"/api/v1/backends/{name}/ready")
    assert told.ok, told.text
