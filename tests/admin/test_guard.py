"""Who may ask, and who may change something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lb.model import Wish
from tests.admin.conftest import Scene

if TYPE_CHECKING:
    from pathlib import Path

DRAIN = "/api/v1/backends/web9001/drain"
TOKEN = {"Authorization": "Bearer let-me-in"}


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:9900", "[::1]:9900", "lb.example:80"],
)
def test_names_of_ours_are_served(guarded: Scene, host: str) -> None:
    answer = guarded.ask("GET", "/healthz", headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", "10.0.0.1", "localhost.evil.test", "", "[", "127.0.0.1.evil.test"],
)
@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/status"])
def test_other_names_are_misdirected(guarded: Scene, host: str, path: str) -> None:
    """A page elsewhere may have pointed its name here."""
    answer = guarded.ask("GET", path, headers={"Host": host})
    assert answer.status_code == 421
    assert "admin.hosts" in answer.json["detail"]


def test_a_number_is_good_where_every_address_listens(tmp_path: Path) -> None:
    """Rebinding needs a name; a container's probe comes by number."""
    scene = Scene(tmp_path, LB_ADMIN__BIND=":9900", LB_ADMIN__TOKEN="t")
    for host, status in (("10.1.2.3:9900", 200), ("[fd00::1]", 200), ("e.test", 421)):
        answer = scene.ask("GET", "/healthz", headers={"Host": host})
        assert answer.status_code == status
    scene.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9901"},
        {"Origin": "http://localhost:9900.evil.test"},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://evil.test", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(
    scene: Scene, headers: dict[str, str]
) -> None:
    assert scene.ask("POST", DRAIN, headers=headers).status_code == 403
    assert scene.file.rows()[0].wish is Wish.READY


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:9900"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://localhost:9900"},
    ],
)
def test_our_own_page_and_programs_may_change(
    scene: Scene, headers: dict[str, str]
) -> None:
    assert scene.ask("POST", DRAIN, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "value",
    ["", "let-me-in", "Basic let-me-in", "Bearer", "Bearer let-me-", "Bearer \xff"],
)
def test_without_the_token_nothing_changes(guarded: Scene, value: str) -> None:
    headers = {"Authorization": value} if value else {}
    answer = guarded.ask("POST", DRAIN, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "let-me-in" not in answer.text
    assert guarded.file.rows()[0].wish is Wish.READY


def test_with_the_token_it_does(guarded: Scene) -> None:
    assert guarded.ask("POST", DRAIN, headers=TOKEN).status_code == 200
    lower = {"Authorization": "bearer let-me-in"}
    assert guarded.ask("POST", DRAIN, headers=lower).status_code == 200


def test_the_token_is_no_pass_for_another_origin(guarded: Scene) -> None:
    headers = TOKEN | {"Origin": "http://evil.test"}
    assert guarded.ask("POST", DRAIN, headers=headers).status_code == 403


def test_answers_are_not_kept_framed_or_shared(scene: Scene) -> None:
    headers = scene.ask("GET", "/api/v1/status").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_what_is_not_there_is_a_problem_too(scene: Scene) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404), ("PATCH", "/api/v1/status", 405),
    ):  # fmt: skip
        headers = {"Host": "localhost"}
        answer = scene.client.open(path, method=method, headers=headers)
        assert answer.status_code == status
        assert answer.mimetype == "application/problem+json"
        assert answer.get_json()["status"] == status
    assert "GET" in answer.headers["Allow"]


def test_a_fault_of_ours_is_a_problem_without_its_details(scene: Scene) -> None:
    def broken() -> None:
        raise RuntimeError("secret")

    scene.app.view_functions["reading.healthz"] = broken
    scene.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = scene.client.get("/healthz", headers={"Host": "localhost"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
