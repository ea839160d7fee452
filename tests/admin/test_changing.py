"""Changes by the API: in force in the file, told as events and in the log."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lb.admin.changing import MOST_WAITS
from lb.model import Verdict, Wish
from tests.shm.requests import begin, end
from tests.waiting import wait_for

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.admin.conftest import Scene

ONE = "/api/v1/backends/web9001"


def wish(scene: Scene) -> Wish:
    return scene.file.rows()[0].wish


@pytest.mark.parametrize(
    ("word", "wanted"), [("drain", Wish.DRAIN), ("maint", Wish.MAINT)]
)
def test_a_backend_is_taken_out_and_back(scene: Scene, word: str, wanted: Wish) -> None:
    answer = scene.ask("POST", f"{ONE}/{word}")
    assert (answer.status_code, wish(scene)) == (200, wanted)
    assert answer.json["change"] == word
    assert answer.json["outcome"] is None
    assert answer.json["backends"][0]["wish_before"] == "ready"
    assert scene.ask("POST", f"{ONE}/ready").status_code == 200
    assert wish(scene) is Wish.READY


def test_a_change_is_an_event_by_who_made_it(scene: Scene) -> None:
    scene.ask("POST", f"{ONE}/drain")
    event = scene.get("/api/v1/events?backend=web9001")["events"][-1]
    assert (event["kind"], event["who"]) == ("wish", "api, from 127.0.0.1")


def test_a_change_is_logged_with_who_and_from_where(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "evenhand.admin"):
        scene.ask("POST", f"{ONE}/drain", headers={"User-Agent": "tests\x1b"})
    (text,) = caplog.messages
    assert text.startswith("web9001 (127.0.0.1:9001): drain, wanted by api, from 127.")
    assert text.isprintable()


def weights(scene: Scene) -> dict[str, tuple[str, int]]:
    return {
        row.backend.name: (row.wish.name, row.backend.weight)
        for row in scene.file.rows()
    }


def test_several_are_changed_at_once(scene: Scene) -> None:
    both = ["web9001", "127.0.0.1:9002"]
    for body, status in (
        ({"change": "weight", "names": both, "weight": 4}, 200),
        ({"change": "maint", "all": True}, 200),
        (
            {"change": "add", "backends": [{"backend": "a=10.0.0.1:1", "weight": 2}]},
            201,
        ),
        ({"change": "ready", "names": ["web9002"]}, 200),
        ({"change": "remove", "names": ["web9001"]}, 200),
    ):
        answer = scene.ask("POST", "/api/v1/changes", json=body)
        assert answer.status_code == status, answer.json
    assert weights(scene) == {"web9002": ("READY", 4), "a": ("READY", 2)}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"change": "drain", "names": ["web9001", "nobody"]}, 404),
        ({"change": "drain"}, 400),
        ({"change": "drain", "names": ["web9001"], "all": True}, 400),
        ({"change": "weight", "names": ["web9001"]}, 400),
        ({"change": "drain", "names": ["web9001"], "weight": 2}, 400),
        ({"change": "ready", "all": True, "backends": [{"backend": "a=b:1"}]}, 400),
        ({"change": "add", "all": True}, 400),
        ({"change": "add", "names": ["a"], "backends": [{"backend": "a=b:1"}]}, 400),
        ({"change": "away", "all": True}, 400),
        (
            {"change": "add", "backends": [{"backend": "b=10.0.0.2:1"},
                                           {"backend": "web9001=10.0.0.3:1"}]},
            409,
        ),
    ],
)  # fmt: skip
def test_several_are_changed_or_none(scene: Scene, body: Any, status: int) -> None:
    before = scene.file.generation()
    answer = scene.ask("POST", "/api/v1/changes", json=body)
    assert answer.status_code == status, answer.json
    assert scene.file.generation() == before


def test_a_drain_of_several_may_be_answered_at_once(scene: Scene) -> None:
    answer = scene.ask(
        "POST", "/api/v1/changes?wait=30", json={"change": "drain", "all": True},
        headers={"Prefer": "respond-async"},
    )  # fmt: skip
    assert answer.status_code == 202
    assert len(answer.json["backends"]) == 2
    assert len(scene.file.cuts()) == 2
    assert answer.json["outcome"] is None


def test_a_weight_is_set(scene: Scene) -> None:
    answer = scene.ask("PUT", f"{ONE}/weight", json={"weight": 7})
    assert answer.json["change"] == "weight 7"
    assert scene.file.rows()[0].backend.weight == 7


@pytest.mark.parametrize(
    "body", [{"weight": 0}, {"weight": 257}, {"weight": "3"}, {}, {"weigt": 3}, [], 3]
)
def test_a_bad_weight_changes_nothing(scene: Scene, body: Any) -> None:
    answer = scene.ask("PUT", f"{ONE}/weight", json=body)
    assert answer.status_code == 400
    assert answer.json["faults"]
    assert scene.file.rows()[0].backend.weight == 1


def test_a_body_must_be_json_and_short(scene: Scene) -> None:
    target = "/api/v1/backends"
    form = {"data": "weight=3", "content_type": "application/x-www-form-urlencoded"}
    assert scene.ask("PUT", f"{ONE}/weight", **form).status_code == 415
    broken = {"data": "{", "content_type": "application/json"}
    assert scene.ask("POST", target, **broken).status_code == 400
    long = {"backend": "x" * 100_000}
    assert scene.ask("POST", target, json=long).status_code == 413


def test_a_backend_is_added_and_removed_and_brought_back(scene: Scene) -> None:
    body = {"backend": "web3=127.0.0.1:9003", "weight": 3, "backup": True}
    answer = scene.ask("POST", "/api/v1/backends", json=body)
    assert answer.status_code == 201
    added = scene.get("/api/v1/backends/web3")
    assert (added["weight"], added["backup"], added["changed"]) == (3, True, ["added"])
    assert scene.ask("DELETE", ONE).status_code == 200
    assert {row.backend.name for row in scene.file.rows()} == {"web9002", "web3"}
    answer = scene.ask("POST", "/api/v1/backends", json={"backend": "web9001"})
    assert answer.status_code == 201
    assert scene.get(ONE)["address"] == "127.0.0.1:9001"


@pytest.mark.parametrize(
    ("backend", "status"),
    [("web9001=127.0.0.1:1", 409), ("x=127.0.0.1:9001", 409), ("http://x", 400)],
)
def test_what_cannot_be_added_is_refused(
    scene: Scene, backend: str, status: int
) -> None:
    answer = scene.ask("POST", "/api/v1/backends", json={"backend": backend})
    assert answer.status_code == status
    assert len(scene.file.rows()) == 2


def test_a_set_that_is_not_there_is_refused(scene: Scene) -> None:
    body = {"backend": "x=127.0.0.1:1", "set": "no"}
    answer = scene.ask("POST", "/api/v1/backends", json=body)
    assert (answer.status_code, "default" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/drain"), ("POST", "/maint"), ("POST", "/ready"), ("DELETE", ""),
        ("PUT", "/weight"),
    ],
)  # fmt: skip
def test_every_change_of_an_unknown_backend_is_404(
    scene: Scene, method: str, target: str
) -> None:
    json = {"weight": 2} if method == "PUT" else None
    answer = scene.ask(method, f"/api/v1/backends/web{target}", json=json)
    assert answer.status_code == 404


def later(scene: Scene, method: str, target: str) -> tuple[threading.Thread, list[Any]]:
    """An answer that is waited for elsewhere."""
    got: list[TestResponse] = []
    thread = threading.Thread(
        target=lambda: got.append(scene.ask(method, target)), daemon=True
    )
    thread.start()
    return thread, got


def test_a_drain_is_waited_for_until_nothing_is_in_flight(scene: Scene) -> None:
    at = scene.slot.row(0, 1)
    begin(scene.file, at)
    thread, got = later(scene, "POST", f"{ONE}/drain?wait=30")
    wait_for(lambda: wish(scene) is Wish.DRAIN, "the drain")
    scene.see_all()
    end(scene.file, at)
    thread.join(10)
    assert got[0].json["outcome"]["in_time"] is True


def test_a_drain_that_is_not_waited_for_says_what_is_in_flight(scene: Scene) -> None:
    at = scene.slot.row(0, 1)
    begin(scene.file, at)
    done = scene.ask("POST", f"{ONE}/drain").json
    assert done["backends"][0]["in_flight"] == 1
    end(scene.file, at)


def test_a_removal_with_wait_drains_first(scene: Scene) -> None:
    at = scene.slot.row(0, 1)
    begin(scene.file, at)
    thread, got = later(scene, "DELETE", f"{ONE}?wait=30")
    wait_for(lambda: wish(scene) is Wish.DRAIN, "the drain")
    assert len(scene.file.rows()) == 2
    scene.see_all()
    end(scene.file, at)
    thread.join(10)
    assert got[0].json["change"] == "removed"
    assert len(scene.file.rows()) == 1


def test_a_drain_that_is_undone_meanwhile_is_a_conflict(scene: Scene) -> None:
    begin(scene.file, scene.slot.row(0, 1))
    thread, got = later(scene, "POST", f"{ONE}/drain?wait=30")
    wait_for(lambda: wish(scene) is Wish.DRAIN, "the drain")
    scene.ask("POST", f"{ONE}/ready")
    thread.join(10)
    assert got[0].status_code == 409


def test_a_drain_need_not_be_waited_for_to_be_cut(scene: Scene) -> None:
    begin(scene.file, scene.slot.row(0, 1))
    answer = scene.ask(
        "POST", f"{ONE}/drain?wait=30", headers={"Prefer": "respond-async"}
    )
    assert answer.status_code == 202
    cut_at = scene.get(ONE)["cut_at"]
    assert 25 < cut_at - time.time() <= 30


def test_ready_waits_for_the_verdict_and_weight_for_the_workers(scene: Scene) -> None:
    """Not in time is no error: the change is in force."""
    answer = scene.ask("POST", f"{ONE}/ready?wait=0")
    assert answer.json["outcome"]["not_up"] == ["web9001"]
    scene.judge(0, Verdict.UP)
    answer = scene.ask("PUT", f"{ONE}/weight?wait=0", json={"weight": 2})
    assert answer.json["outcome"]["processes_behind"] == 1


@pytest.mark.parametrize("wait", ["-1", "1e9", "soon", "nan", "inf"])
def test_a_wait_that_cannot_be_is_refused(scene: Scene, wait: str) -> None:
    assert scene.ask("POST", f"{ONE}/drain?wait={wait}").status_code == 400
    assert wish(scene) is Wish.READY


def test_only_so_many_are_waited_for_at_a_time(scene: Scene) -> None:
    """One more is refused before anything was changed."""
    begin(scene.file, scene.slot.row(0, 1))
    waits = [later(scene, "POST", f"{ONE}/drain?wait=30")[0] for _ in range(MOST_WAITS)]
    other = "/api/v1/backends/web9002/drain?wait=30"
    wait_for(
        lambda: scene.ask("POST", other).status_code == 503, "all places to be taken"
    )
    scene.ask("POST", f"{ONE}/ready")
    scene.ask("POST", "/api/v1/backends/web9002/ready")
    for thread in waits:
        thread.join(10)
    assert not any(thread.is_alive() for thread in waits)


@pytest.mark.parametrize(("method", "path"), [("GET", "plan"), ("POST", "reload")])
def test_who_has_no_arbiter_cannot_be_reloaded(
    scene: Scene, method: str, path: str
) -> None:
    answer = scene.ask(method, f"/api/v1/{path}")
    assert answer.status_code == 503
    assert "no arbiter" in answer.json["detail"]
