"""The dashboard's buttons: what is pressed happens in the balancer, and is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.live.client import fetch, get
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.browser.conftest import OpenScreen, OtherAdmin
    from tests.browser.screen import Screen
    from tests.browser.stage import Stage
    from tests.live.load import Load

MOST_TABS: Final = 60


def served(stage: Stage) -> set[bytes]:
    """Who answers a dozen requests."""
    return {fetch(stage.port, get()).body for _ in range(12)}


def test_a_click_drains_and_another_one_makes_ready(
    stage: Stage, screen: Screen
) -> None:
    screen.press("backend1", "drain")
    screen.wait_row("backend1", wish="drain")
    assert served(stage) == {b"Response from backend2\n"}
    screen.press("backend1", "ready")
    screen.wait_row("backend1", wish="ready")
    assert len(served(stage)) == 2


def test_a_click_takes_into_maintenance(stage: Stage, screen: Screen) -> None:
    screen.press("backend2", "maint")
    screen.wait_row("backend2", wish="maint")
    assert served(stage) == {b"Response from backend1\n"}


def test_drain_is_reached_and_pressed_by_keyboard_alone(
    stage: Stage, screen: Screen
) -> None:
    keyboard = screen.page.keyboard
    for _ in range(MOST_TABS):
        keyboard.press("Tab")
        if screen.focused() in ("backend1 drain", "backend1 menu"):
            break
    if screen.focused() == "backend1 menu":
        keyboard.press("Enter")
        for _ in range(5):
            if screen.focused() == "backend1 drain":
                break
            keyboard.press("Tab")
    assert screen.focused() == "backend1 drain"
    keyboard.press("Enter")
    screen.wait_row("backend1", wish="drain")
    assert stage.told("backend1")["wish"] == "drain"


def test_a_dead_demo_backend_is_shown_down_and_comes_back(
    stage: Stage, screen: Screen, load: Load
) -> None:
    """What a newcomer does first; no client notices."""
    screen.press_demo("backend1", "dead")
    screen.wait_row("backend1", verdict="down")
    # Another order in its place, so that the test need not wait for the end of this.
    stage.ask("POST", "demo/backends/backend1", mode="slow", seconds=1)
    screen.wait_row("backend1", verdict="up", timeout_s=20)
    load.wait_served(1, by="Response from backend1")
    assert load.failures == []


def test_a_failing_demo_backend_is_taken_out(
    stage: Stage, screen: Screen, load: Load
) -> None:
    """Ejected by what traffic sees, or down by probes, whichever comes first."""
    stage.ask("POST", "demo/backends/backend2", mode="failing", seconds=3)
    screen.wait(
        "tr[data-backend=backend2]:is([data-verdict=ejected], [data-verdict=down])"
    )
    screen.wait_row("backend2", verdict="up", timeout_s=20)


def test_load_comes_at_a_click_and_is_seen(stage: Stage, screen: Screen) -> None:
    """With nobody else's traffic: a newcomer has none."""
    before = stage.told("backend1")["requests"]
    screen.wait("button[data-demo=load]").click()
    wait_for(lambda: stage.told("backend1")["requests"] > before + 20, "load")
    stage.ask("POST", "demo/load", seconds=1)


def test_the_page_of_a_balancer_without_demo_has_no_such_buttons(
    other_admin: OtherAdmin, open_screen: OpenScreen
) -> None:
    screen = open_screen(other_admin(LB_DEMO__CONTROLS="false"))
    screen.open()
    assert screen.page.locator("button[data-demo]:visible").count() == 0


def enter_token(screen: Screen, token: str) -> None:
    """Press drain, and give the token that is asked for."""
    screen.press("backend1", "drain")
    field = screen.wait("dialog[open] input[type=password]")
    field.fill(token)
    field.press("Enter")


def test_a_change_asks_for_the_token_once(
    stage: Stage, other_admin: OtherAdmin, open_screen: OpenScreen
) -> None:
    """A wrong one is refused with words; a good one is kept for the next change."""
    screen = open_screen(other_admin(LB_ADMIN__TOKEN="let-me-in"))
    screen.forgiven.append(r"401 \(UNAUTHORIZED\)")
    screen.open()
    enter_token(screen, "wrong")
    screen.wait("dialog[open]:has-text('not the token'), #notice:not(:empty)")
    assert stage.told("backend1")["wish"] == "ready"
    screen.page.keyboard.press("Escape")
    enter_token(screen, "let-me-in")
    screen.wait_row("backend1", wish="drain")
    screen.press("backend1", "ready")
    screen.wait_row("backend1", wish="ready")
    assert "let-me-in" not in screen.page.url


def test_a_weight_is_set(stage: Stage, screen: Screen) -> None:
    screen.press("backend1", "weight")
    field = screen.wait("dialog[open] input, tr[data-backend] input[type=number]")
    field.fill("5")
    field.press("Enter")
    wait_for(lambda: stage.told("backend1")["weight"] == 5, "the weight")
    stage.ask("PUT", "backends/backend1/weight", weight=1)
