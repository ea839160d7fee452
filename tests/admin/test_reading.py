"""What the API tells is what the shared file says; every answer fits the document."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lb.model import Verdict, Wish
from lb.shm import Record, Standing, edit_table, publish
from tests.shm.children import backends
from tests.shm.requests import begin, passage, serve

if TYPE_CHECKING:
    from tests.admin.conftest import Scene


def test_the_process_says_that_it_answers(scene: Scene) -> None:
    assert scene.get("/healthz") == {"status": "ok"}


def test_ready_is_who_has_a_worker_and_a_backend(scene: Scene) -> None:
    assert scene.get("/readyz")["ready"] is True
    for row in (0, 1):
        scene.judge(row, Verdict.DOWN)
    told = scene.get("/readyz")
    assert (told["ready"], told["available"]) == (True, 0), "in panic all are served"
    for row in (0, 1):
        gone = Standing(Verdict.DOWN, is_gone=True)
        scene.pen.judge(row, row + 1, Record(gone, since=1000.0))
    answer = scene.ask("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json["reason"] == "no backend is available"
    scene.slot.release()
    answer = scene.ask("GET", "/readyz")
    assert answer.json["reason"] == "no worker is alive and no backend is available"


def test_without_a_balancer_it_is_not_ready_and_says_why(scene: Scene) -> None:
    scene.path.unlink()
    answer = scene.ask("GET", "/readyz")
    assert (answer.status_code, answer.json["ready"]) == (503, False)
    assert "does the balancer run?" in answer.json["reason"]
    assert scene.ask("GET", "/api/v1/status").status_code == 503


def test_a_file_that_was_made_anew_is_followed(scene: Scene) -> None:
    assert len(scene.get("/api/v1/backends")["backends"]) == 2
    scene.file.close()
    publish(scene.path, backends(9003))
    (backend,) = scene.get("/api/v1/backends")["backends"]
    assert backend["name"] == "web9003"


def test_backends_are_told_with_verdict_wish_and_what_is_under_way(
    scene: Scene,
) -> None:
    begin(scene.file, scene.slot.row(0, 1))
    scene.judge(0, Verdict.DOWN, "3 checks failed")
    with edit_table(scene.file) as table:
        table.set_wish(table.rows()[1], Wish.DRAIN)
    one, two = scene.get("/api/v1/backends")["backends"]
    assert (one["name"], one["verdict"], one["in_flight"]) == ("web9001", "down", 1)
    assert (one["reason"], one["since"]) == ("3 checks failed", 1000.0)
    assert one["last_probe"]["detail"] == "3 checks failed"
    assert (two["wish"], two["available"]) == ("drain", False)


def test_one_backend_is_found_by_name_and_by_address(scene: Scene) -> None:
    for name in ("web9002", "127.0.0.1:9002"):
        assert scene.get(f"/api/v1/backends/{name}")["name"] == "web9002"


def test_a_backend_that_is_not_there_is_404_with_a_hint(scene: Scene) -> None:
    answer = scene.ask("GET", "/api/v1/backends/web9003")
    assert answer.status_code == 404
    assert "did you mean web900" in answer.json["detail"]


def test_a_backend_may_be_called_as_its_path(scene: Scene) -> None:
    body = {"backend": "unix:/run/a//b.sock"}
    assert scene.ask("POST", "/api/v1/backends", json=body).status_code == 201
    name = "unix:/run/a//b.sock"
    assert scene.get(f"/api/v1/backends/{name}")["name"] == name
    drained = scene.ask("POST", f"/api/v1/backends/{name}/drain")
    assert drained.json["backends"][0]["name"] == name


def test_workers_are_told_with_how_far_they_are_behind(scene: Scene) -> None:
    scene.judge(0, Verdict.UP)
    scene.pen.set_verdict(0, 1, Verdict.DOWN, reason="", at=1.0)
    scene.slot.tell_resting(queued=2, idle={0: 3})
    told = scene.get("/api/v1/workers")
    (worker,) = told["workers"]
    assert (worker["pid"], worker["behind"]) == (os.getpid(), 1)
    assert (worker["queued"], worker["idle_connections"]) == (2, 3)
    assert told["checker_pid"] == os.getpid()


def test_pools_are_told_by_backend_and_worker(scene: Scene) -> None:
    scene.slot.tell_resting(queued=0, idle={1: 7})
    one, two = scene.get("/api/v1/pools")["pools"]
    assert (one["idle"], two["idle"]) == (0, 7)
    assert two["workers"] == [{"slot": scene.slot.index, "idle": 7}]


def requests_of(scene: Scene, query: str = "") -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = scene.get(f"/api/v1/requests{query}")["requests"]
    return told


def test_requests_are_filtered_as_by_the_command(scene: Scene) -> None:
    one, two = scene.slot.row(0, 1), scene.slot.row(1, 2)
    serve(scene.file, scene.recorder, one, took_s=0.5)
    serve(scene.file, scene.recorder, two, took_s=0.1, status=503)
    serve(scene.file, scene.recorder, one, took_s=0.2)
    assert len(requests_of(scene)) == 3
    assert [r["total_s"] > 0.15 for r in requests_of(scene, "?slow=0.15")] == [True] * 2
    assert [r["status"] for r in requests_of(scene, "?failed=true")] == [503]
    assert {r["backend"] for r in requests_of(scene, "?backend=web9001")} == {"web9001"}
    assert len(requests_of(scene, "?limit=1")) == 1
    assert scene.ask("GET", "/api/v1/requests?backend=x").status_code == 404


def test_a_misspelled_filter_is_no_filter_but_a_mistake(scene: Scene) -> None:
    answer = scene.ask("GET", "/api/v1/requests?faild=1&limit=0")
    assert answer.status_code == 400
    assert {fault["field"] for fault in answer.json["faults"]} == {"faild", "limit"}


def test_a_request_is_explained_by_its_id(scene: Scene) -> None:
    made = passage(scene.slot.row(1, 2), status=502)
    made.label, made.tried, made.attempts = "connection_refused", (1, 0, 0), 2
    made.request_id = b"a/b-c"
    scene.recorder.finish(made, 1001.0)
    (told,) = scene.get("/api/v1/requests/a/b-c")["requests"]
    assert told["story"]["attempts"] == "2: web9001 failed, then web9002"
    assert told["story"]["answer"] == "502, connection_refused"
    assert scene.ask("GET", "/api/v1/requests/nobody").status_code == 404


def test_events_are_told_in_order_with_a_cursor_to_go_on(scene: Scene) -> None:
    first = scene.get("/api/v1/events")
    scene.judge(0, Verdict.UP, "1 check passed")
    with edit_table(scene.file, who="ann") as table:
        table.set_wish(table.rows()[1], Wish.MAINT)
    told = scene.get(f"/api/v1/events?after={first['cursor']}")
    verdict, wish = told["events"]
    assert (verdict["kind"], verdict["after"]) == ("verdict", "up")
    assert (verdict["before"], verdict["reason"]) == ("unknown", "1 check passed")
    assert (wish["kind"], wish["before"], wish["after"]) == ("wish", "ready", "maint")
    assert (wish["who"], wish["backend"]) == ("ann", "web9002")
    only = scene.get("/api/v1/events?backend=web9001")["events"]
    assert [event["kind"] for event in only] == ["verdict"]
    assert len(scene.get("/api/v1/events?limit=1")["events"]) == 1
    assert scene.ask("GET", "/api/v1/events?after=nonsense").status_code == 400


def test_settings_are_told_with_their_origins_and_without_secrets(
    guarded: Scene,
) -> None:
    rows = {row["key"]: row for row in guarded.get("/api/v1/settings")["settings"]}
    assert rows["admin.token"]["value"] == "***"
    assert rows["admin.token"]["origin"] == "LB_ADMIN__TOKEN"
    assert rows["state.path"]["value"] == str(guarded.path)
    assert "let-me-in" not in guarded.ask("GET", "/api/v1/settings").text


def test_status_is_all_of_it(scene: Scene) -> None:
    told = scene.get("/api/v1/status")
    assert told["backends"] == scene.get("/api/v1/backends")["backends"]


def test_a_backend_removed_at_run_time_is_listed(scene: Scene) -> None:
    with edit_table(scene.file) as table:
        table.remove(table.rows()[0])
    assert scene.get("/api/v1/backends")["removed"][0]["name"] == "web9001"
