"""The demo's controls: where they work, whom they tell, and where they do not."""

from __future__ import annotations

import json
import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from lb.admin import demo_orders
from lb.admin.openapi import document
from lb.config import load, to_document
from lb.shm import publish
from tests.admin.conftest import Scene
from tests.backend.obedient import Obedient
from tests.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO = "/api/v1/demo"
ONE = f"{DEMO}/backends/demo"
SLOW = {"mode": "slow", "seconds": 20}


class DemoScene(Scene):
    """One with a backend called `demo` that obeys; the two others do not."""

    def __init__(self, folder: Path, stack: ExitStack, **env: str) -> None:
        super().__init__(folder, **{"LB_DEMO__CONTROLS": "true"} | env)
        stack.callback(self.close)
        self.port = free_port()
        stack.enter_context(Obedient(str(self.port)))
        if demo_orders.ordered("load") is None:  # else another bundle's is there
            stack.enter_context(Obedient("load"))
        headers = {"Authorization": f"Bearer {env.get('LB_ADMIN__TOKEN', '')}"}
        wanted = {"backend": f"demo=127.0.0.1:{self.port}"}
        self.ask("POST", "/api/v1/backends", json=wanted, headers=headers)


class Make(Protocol):
    """Makes such a scene, which ends with the test."""

    def __call__(self, **env: str) -> DemoScene: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda **env: DemoScene(tmp_path, stack, **env)


@pytest.fixture
def demo(make: Make) -> DemoScene:
    # A port of its own, where nobody listens: load is only ordered here.
    return make(LB_BIND=f"127.0.0.1:{free_port()}")


def test_those_that_obey_are_shown(demo: DemoScene) -> None:
    modes = ["slow", "failing", "hanging", "dead"]
    shown = demo.get(DEMO)
    assert shown.pop("load")["is_there"] is True
    assert shown == {
        "controls": True,
        "reason": "",
        "backends": [{"name": "demo", "modes": modes, "mode": None, "until": None}],
    }


@pytest.mark.parametrize("mode", ["slow", "failing", "hanging", "dead"])
def test_a_backend_is_told_and_shown_with_it(demo: DemoScene, mode: str) -> None:
    asked = time.time()
    answer = demo.ask("POST", ONE, json={"mode": mode, "seconds": 20})
    assert answer.status_code == 200
    assert (answer.json["name"], answer.json["mode"]) == ("demo", mode)
    assert answer.json["until"] == pytest.approx(asked + 20, abs=2)
    (shown,) = demo.get(DEMO)["backends"]
    assert (shown["mode"], shown["until"]) == (
        mode,
        pytest.approx(answer.json["until"], abs=0.01),
    )


def test_it_may_be_called_by_its_address(demo: DemoScene) -> None:
    answer = demo.ask("POST", f"{DEMO}/backends/127.0.0.1:{demo.port}", json=SLOW)
    assert answer.json["name"] == "demo"


def test_load_goes_to_the_balancers_port(demo: DemoScene) -> None:
    answer = demo.ask("POST", f"{DEMO}/load", json={"seconds": 30})
    assert answer.status_code == 200
    assert answer.json["is_there"] is True
    assert demo.get(DEMO)["load"]["until"] == pytest.approx(
        answer.json["until"], abs=0.01
    )


@pytest.mark.parametrize(
    ("bind", "status"),
    [(":80", 200), ("127.0.0.1:80", 200), ("10.0.0.7:80", 409), ("unix:/x", 409)],
)
def test_load_goes_to_loopback_only(make: Make, bind: str, status: int) -> None:
    scene = make(LB_BIND=bind)
    answer = scene.ask("POST", f"{DEMO}/load", json={"seconds": 1})
    assert answer.status_code == status


def test_an_order_is_an_event_and_logged_with_who_and_from_where(
    demo: DemoScene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "evenhand.admin"):
        demo.ask("POST", ONE, json=SLOW)
        demo.ask("POST", f"{DEMO}/load", json={"seconds": 5})
    assert caplog.messages == [
        "demo: demo is to be slow for 20 s, wanted by api, from 127.0.0.1",
        "demo: load for 5 s, wanted by api, from 127.0.0.1",
    ]
    told = [e for e in demo.get("/api/v1/events")["events"] if e["kind"] == "demo"]
    assert [(e["backend"], e["reason"], e["who"]) for e in told] == [
        ("demo", "slow for 20 s", "api, from 127.0.0.1"),
        (None, "load for 5 s", "api, from 127.0.0.1"),
    ]


def test_an_order_changes_nothing_for_the_workers(demo: DemoScene) -> None:
    before = demo.file.generation()
    demo.ask("POST", ONE, json=SLOW)
    assert demo.file.generation() == before


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "gone"}, {}, {"seconds": 5}, {"mode": "slow", "seconds": 0.5},
        {"mode": "slow", "seconds": 61}, {"mode": "slow", "seconds": "5"},
        {"mode": "slow", "more": 1}, [], 3,
    ],
)  # fmt: skip
def test_what_is_not_known_or_out_of_bounds_is_refused(
    demo: DemoScene, body: Any
) -> None:
    answer = demo.ask("POST", ONE, json=body)
    assert answer.status_code == 400
    assert answer.json["faults"]
    assert demo.get(DEMO)["backends"][0]["mode"] is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_no_order_is_for_ever(demo: DemoScene, number: str) -> None:
    body = {
        "data": f'{{"mode": "slow", "seconds": {number}}}',
        "content_type": "application/json",
    }
    assert demo.ask("POST", ONE, **body).status_code == 400


def test_a_backend_that_does_not_obey_is_refused(demo: DemoScene) -> None:
    answer = demo.ask("POST", f"{DEMO}/backends/web9001", json=SLOW)
    assert answer.status_code == 409
    assert "no demo backend" in answer.json["detail"]


@pytest.mark.parametrize("address", ["10.0.0.7:9001", "unix:/run/9001", "a.test:9001"])
def test_a_backend_elsewhere_is_none_of_the_demos(
    demo: DemoScene, address: str
) -> None:
    """Its port alone does not make it one."""
    demo.ask("POST", "/api/v1/backends", json={"backend": f"far={address}"})
    answer = demo.ask("POST", f"{DEMO}/backends/far", json=SLOW)
    assert answer.status_code == 409
    assert [b["name"] for b in demo.get(DEMO)["backends"]] == ["demo"]


def test_an_unknown_backend_is_not_found(demo: DemoScene) -> None:
    assert demo.ask("POST", f"{DEMO}/backends/web", json=SLOW).status_code == 404


TOLD = [(ONE, SLOW), (f"{DEMO}/load", {"seconds": 5})]


def refused(scene: Scene, why: str, **more: Any) -> None:
    for target, body in TOLD:
        answer = scene.ask("POST", target, json=body, **more)
        assert answer.status_code == 403
        assert why in answer.json["detail"]
    shown = scene.ask("GET", DEMO, **more).json
    assert (shown["controls"], shown["backends"]) == (False, [])
    assert why in shown["reason"]


def test_off_is_the_default(scene: Scene) -> None:
    refused(scene, "demo.controls is off")


def test_beyond_loopback_they_do_not_work(make: Make) -> None:
    """Not even with the token: nobody needs the demo's controls from afar."""
    env = {"LB_ADMIN__BIND": ":9900", "LB_ADMIN__TOKEN": "t"}
    scene = make(**env)
    token = {"Authorization": "Bearer t"}
    refused(scene, "admin.bind to be loopback", headers=token)


@pytest.mark.parametrize("client", ["10.0.0.7", "::ffff:10.0.0.7", "nonsense"])
def test_who_asks_must_be_on_this_machine(demo: DemoScene, client: str) -> None:
    """gunicorn's -b may say something else than admin.bind."""
    refused(demo, "for this machine only", environ_base={"REMOTE_ADDR": client})


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.8.8.8", ""])
def test_loopback_may(demo: DemoScene, client: str) -> None:
    more = {"environ_base": {"REMOTE_ADDR": client}}
    assert demo.ask("POST", ONE, json=SLOW, **more).status_code == 200


def test_they_are_guarded_like_every_change(make: Make) -> None:
    scene = make(LB_ADMIN__TOKEN="t")
    for target, body in TOLD:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer t", "Origin": "http://e.test"}, 403),
            ({"Authorization": "Bearer t", "Host": "e.test"}, 421),
            ({"Authorization": "Bearer t"}, 200),
        ):
            answer = scene.ask("POST", target, json=body, headers=headers)
            assert answer.status_code == status


def test_all_of_it_is_in_the_document() -> None:
    text = json.dumps(document()["components"]["schemas"]["Misbehave"])
    assert all(word in text for word in ("slow", "failing", "hanging", "dead"))


def test_the_settings_say_what_this_process_goes_by(demo: DemoScene) -> None:
    """The balancer's own processes need not have been told of the demo."""
    balancers = load({"LB_RETRIES__ATTEMPTS": "5"}, demo.path.parent)
    publish(demo.path, demo.backends, document=to_document(balancers))
    rows = {row["key"]: row for row in demo.get("/api/v1/settings")["settings"]}
    assert rows["retries.attempts"]["value"] == "5"
    assert rows["demo.controls"]["value"] == "true"
    assert rows["demo.controls"]["origin"] == "LB_DEMO__CONTROLS"
