"""The demo's story in the real bundle: ejected, down, up again, slowly; by two calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.live.client import fetch, get
from tests.live.test_bundle import Bundle
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    made = Bundle(tmp_path)
    try:
        made.wait_serving()
        wait_for(lambda: is_ready(made), "the demo")
        yield made
    finally:
        made.stop()


def is_ready(bundle: Bundle) -> bool:
    """Whether everybody is there who can be told something."""
    try:
        told = ask(bundle, "GET", "demo")
    except requests.ConnectionError:
        return False
    return bool(told["load"]["is_there"]) and len(told["backends"]) == 3


def ask(bundle: Bundle, method: str, path: str, **body: Any) -> Any:
    """What the admin API tells."""
    url = f"http://127.0.0.1:{bundle.admin_port}/api/v1/{path}"
    answer = requests.request(method, url, json=body or None, timeout=DEADLINE_S)
    assert answer.ok, answer.text
    return answer.json()


def test_a_newcomer_sees_ejection_recovery_and_slow_start(bundle: Bundle) -> None:
    name = f"127.0.0.1:{bundle.backend_ports[0]}"

    def told() -> dict[str, Any]:
        found: dict[str, Any] = ask(bundle, "GET", f"backends/{name}")
        return found

    def kinds() -> list[str]:
        events = ask(bundle, "GET", f"events?backend={name}")["events"]
        return [
            event["after"] if event["kind"] == "verdict" else event["kind"]
            for event in events
        ]

    ask(bundle, "POST", "demo/load", seconds=30)
    wait_for(lambda: told()["requests"] > 20, "load")
    ask(bundle, "POST", f"demo/backends/{name}", mode="failing", seconds=4)
    wait_for(lambda: told()["ejected"], "its ejection")
    wait_for(lambda: told()["verdict"] == "down", "its fall")
    assert bundle.bodies(10) == {
        b"Response from Backend 2\n",
        b"Response from Backend 3\n",
    }
    wait_for(lambda: told()["verdict"] == "up", "its rise")
    assert told()["share"] < 100
    assert kinds() == ["up", "demo", "ejected", "down", "readmitted", "up"]
    ask(bundle, "POST", "demo/load", seconds=1)


def test_no_request_through_the_balancer_tells_a_backend_anything(
    bundle: Bundle,
) -> None:
    """Backends have no path for orders: whatever is asked is answered as ever."""
    for target in (b"/api/v1/demo", b"/demo", b"/control", b"/backends/backend1"):
        assert fetch(bundle.port, get(target)).status == 404
    assert {each["mode"] for each in ask(bundle, "GET", "demo")["backends"]} == {None}
