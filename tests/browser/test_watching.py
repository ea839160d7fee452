"""The dashboard tells the truth by itself: who is down, and when it knows nothing."""

from __future__ import annotations

import signal
from itertools import pairwise, product
from typing import TYPE_CHECKING, Final, Literal

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

RELOADS: Final = 8
WIDE, PHONE = 1280, 360
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
GONE: Final = "net::ERR_"
"""What the browser itself says of a server that went away."""


def mark(page: Page) -> None:
    """Leave something in the page that a reload would take away."""
    page.evaluate("window.markOfThisTest = true")


def is_marked(page: Page) -> bool:
    return bool(page.evaluate("window.markOfThisTest === true"))


def looks(page: Page) -> str:
    """How a backend's row is drawn, by itself and by all that it lies in."""
    told: str = page.evaluate(
        """() => {
            const told = [];
            for (let at = document.querySelector("tr[data-backend] td"); at; at = at.parentElement) {
                const { color, filter, opacity } = getComputedStyle(at);
                told.push(color, filter, opacity);
            }
            return told.join();
        }"""
    )
    return told


def test_reloading_the_balanced_page_alternates_between_the_backends(
    stage: Stage, open_screen: OpenScreen
) -> None:
    """Strictly: a browser stays on its connection, and asks for nothing beside."""
    page = open_screen(stage.balanced).page
    page.goto(stage.balanced)
    seen = []
    for _ in range(RELOADS):
        seen.append(page.inner_text("body").strip())
        page.reload()
    assert set(seen) == {"Response from backend1", "Response from backend2"}
    assert all(one != two for one, two in pairwise(seen)), seen


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
    fresh = looks(screen.page)
    stage.admin.kill()
    screen.wait("html[data-stream=stale]")
    words = screen.page.locator("#state, #notice")
    wait_for(lambda: "admin" in "".join(words.all_inner_texts()), "words of alarm")
    wait_for(lambda: looks(screen.page) != fresh, "old figures to be greyed")
    stage.start_admin()
    stage.wait_admin()
    screen.wait("html[data-stream=live]", timeout_s=20)
    assert is_marked(screen.page)


def test_when_the_balancer_ends_the_page_says_so(stage: Stage, screen: Screen) -> None:
    """Nothing answers clients then: that is worse than a backend that is down."""
    screen.forgiven.append("503")  # to what the page asks before it knows
    stage.server.stop(signal.SIGTERM)
    screen.wait("#state[data-level=down]")
    stage.start_balancer()
    screen.wait("#state[data-level=ok]", timeout_s=20)


MARKUP: Final = "<b>bold</b>"
HEAD: Final = (
    b"GET /<script>document.title='taken'</script>?<img/src> HTTP/1.1\r\nHost: a\r\n"
    b"Connection: close\r\n\r\n"
)


def test_names_with_markup_are_text(stage: Stage, open_screen: OpenScreen) -> None:
    """Names, reasons and targets come from others."""
    answer = stage.ask("POST", "backends", backend=f"{MARKUP}=127.0.0.1:9")
    try:
        assert answer.status_code == 201, answer.text
        fetch(stage.port, HEAD)
        screen = open_screen(stage.url)
        screen.open()
        page = screen.page
        screen.row(MARKUP).get_by_text(MARKUP).first.wait_for()
        screen.wait(f"#events li:has-text('{MARKUP}')")
        page.get_by_text("</script>?<img/src>").first.wait_for()
        assert page.locator("b:text-is('bold'), img[src=''], main script").count() == 0
        assert "taken" not in page.title()
    finally:
        stage.ask("DELETE", f"backends/{MARKUP}")


def test_it_passes_an_accessibility_audit(
    stage: Stage, open_screen: OpenScreen
) -> None:
    """axe finds nothing at any width, light or dark, with rows of all kinds."""
    stage.ask("POST", "backends/backend2/drain")
    fetch(stage.port, get(b"/status/502"))
    screen = open_screen(stage.url)
    screen.open()
    screen.wait_row("backend2", wish="drain")
    screen.wait("#requests tr[data-request]")
    axe, found = Axe(), []
    for width, scheme in product((WIDE, PHONE), SCHEMES):
        screen.page.set_viewport_size({"width": width, "height": 800})
        screen.page.emulate_media(color_scheme=scheme)
        # In the dark nothing is new but the colours.
        options = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
        results = axe.run(
            screen.page, options={"resultTypes": ["violations"]} | options
        )
        if results.violations_count:
            found.append(f"{width} px, {scheme}: {results.generate_report()}")
    assert not found, "\n".join(found)


def test_a_narrow_page_does_not_scroll_sideways(screen: Screen) -> None:
    """320 is what WCAG 2 asks for (1.4.10), 360 the usual phone, 768 a tablet."""
    for width in (320, 360, 768):
        screen.page.set_viewport_size({"width": width, "height": 800})
        wide = screen.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, widest(screen.page)
        assert screen.row("backend1").is_visible()


def widest(page: Page) -> str:
    """What sticks out to the right, for a message."""
    told: str = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((at) => at.getBoundingClientRect().right > innerWidth + 1)
            .slice(0, 5)
            .map((at) => `${at.closest("[id]").id}: ${at.tagName} ${at.className}`)
            .join("; ")"""
    )
    return told
