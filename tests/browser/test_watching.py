"""The dashboard tells the truth by itself: who is down, and when it knows nothing."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import conftest
from tests.browser.stage import NAMES
from tests.live.client import fetch, get
from tests.waiting import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import OpenScreen
    from tests.browser.screen import Screen
    from tests.browser.stage import Stage
    from tests.live.load import Load

TARGET_S: Final = 3.0
NOISE_S: Final = 4.0
"""What a busy machine may add before the test fails."""

WIDE, PHONE = 1280, 360
GONE: Final = (
    r"net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)"
)
"""What the browser itself says of a server that went away."""


def mark(page: Page) -> None:
    """Leave something in the page that a reload would take away."""
    page.evaluate("window.markOfThisTest = true")


def is_marked(page: Page) -> bool:
    return bool(page.evaluate("window.markOfThisTest === true"))


def test_a_killed_backend_is_shown_down_within_3_seconds(
    stage: Stage, screen: Screen, load: Load
) -> None:
    """And up again when it is, all without a reload."""
    mark(screen.page)
    screen.wait_row("backend1", verdict="up")
    stage.kill("backend1")
    took_s = screen.wait_row("backend1", verdict="down", timeout_s=TARGET_S + NOISE_S)
    conftest.figures.append(
        f"a killed backend was shown as down after {took_s:.1f} s (target {TARGET_S:g})"
    )
    screen.wait("#state[data-level=warning]")
    screen.wait_row("backend1", verdict="up", timeout_s=20)
    screen.wait("#state[data-level=ok]")
    assert is_marked(screen.page)
    assert load.failures == []


def test_what_happened_is_listed(stage: Stage, screen: Screen) -> None:
    stage.ask("POST", "backends/backend2/drain")
    screen.wait("#events li:has-text('backend2'):has-text('drain')")


def test_when_all_are_down_it_says_so_loudly(stage: Stage, screen: Screen) -> None:
    for name in NAMES:
        stage.kill(name)
    state = screen.wait("#state[data-level=down]")
    assert state.inner_text().strip()
    screen.wait("#state[data-level=ok]", timeout_s=20)


def test_a_request_is_shown_with_its_story(stage: Stage, screen: Screen) -> None:
    """A failed one, which opens its explanation."""
    fetch(stage.port, get(b"/status/502"))
    row = screen.wait("#requests tr[data-request]")
    (row.locator("button").first if row.locator("button").count() else row).click()
    screen.wait("dialog[open], [role=dialog], #requests details[open]")


def test_the_flow_is_a_picture_with_words(screen: Screen, load: Load) -> None:
    picture = screen.wait("#flow svg")
    words = picture.get_attribute("aria-label") or picture.locator("title").count()
    assert words or picture.get_attribute("aria-hidden") == "true"
    screen.wait("#workers tr[data-worker]")


def test_when_the_admin_app_dies_old_figures_are_not_shown_as_new(
    stage: Stage, screen: Screen
) -> None:
    """The page greys and says so, and is live again when the app is."""
    screen.forgiven.append(GONE)
    mark(screen.page)
    stage.admin.kill()
    screen.wait("html[data-stream=stale]")
    notice = screen.wait("#notice[role=alert]")
    wait_for(lambda: notice.inner_text().strip(), "words of alarm")
    stage.start_admin()
    stage.wait_admin()
    screen.wait("html[data-stream=live]", timeout_s=20)
    assert is_marked(screen.page)


def test_when_the_balancer_ends_the_page_says_so(stage: Stage, screen: Screen) -> None:
    """Nothing answers clients then: that is worse than a backend down."""
    for pid in stage.server.living():
        assert pid != stage.admin.process.pid
    stage.server.stop(signal.SIGTERM)
    try:
        screen.wait("#state[data-level=down]")
    finally:
        stage.start_balancer()
        stage.wait_ready()
    screen.wait("#state[data-level=ok]", timeout_s=20)


MARKUP: Final = "<img src=x onerror=document.title='taken'>"


def test_names_with_markup_are_text(stage: Stage, open_screen: OpenScreen) -> None:
    """Names, reasons and targets come from others."""
    answer = stage.ask("POST", "backends", backend=f"{MARKUP}=127.0.0.1:9")
    assert answer.status_code == 201, answer.text
    fetch(stage.port, get(b"/%3Cscript%3Edocument.title='taken'%3C/script%3E?'\""))
    screen = open_screen(stage.url)
    try:
        screen.open()
        screen.wait(f"text={MARKUP}")
        screen.wait("#requests tr[data-request], #events li")
        assert screen.page.locator("img[src=x]").count() == 0
        assert "taken" not in screen.page.title()
    finally:
        stage.ask("DELETE", f"backends/{MARKUP}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_passes_an_accessibility_audit(
    stage: Stage, load: Load, open_screen: OpenScreen, width: int, scheme: str
) -> None:
    """axe finds nothing, with rows of all kinds."""
    stage.ask("POST", "backends/backend2/drain")
    fetch(stage.port, get(b"/status/502"))
    screen = open_screen(stage.url, width=width, scheme=scheme)
    screen.open()
    screen.wait_row("backend2", wish="drain")
    screen.wait("#requests tr[data-request]")
    results = Axe().run(screen.page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", [320, PHONE, 768])
def test_a_narrow_page_does_not_scroll_sideways(
    stage: Stage, open_screen: OpenScreen, width: int
) -> None:
    screen = open_screen(stage.url, width=width)
    screen.open()
    wide = screen.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    assert screen.row("backend1").is_visible()
