"""A page in the browser: what it shows, what may be pressed, and what it complained of.

The attributes by which things are found are a contract with the page: rows have
`data-backend`, `data-verdict` and `data-wish`, buttons `data-action` or `data-demo`, and
the root has `data-stream`.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import (
        BrowserContext,
        ConsoleMessage,
        Locator,
        Page,
        Request,
    )

PATIENCE_S: Final = 12.0
COMPLAINTS: Final = ("error", "warning")


class Screen:
    """One page; `foreign` are requests to another host than that of `url`."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self._url = url
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.forgiven: list[str] = []
        """Patterns of complaints that a test provokes."""
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note_request)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in COMPLAINTS:
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.netloc != urlsplit(self._url).netloc:
            self.foreign.append(request.url)

    def check(self) -> None:
        """Nothing, if the page was content and asked nobody else for anything."""
        left = [
            said
            for said in self.complaints
            if not any(re.search(pattern, said) for pattern in self.forgiven)
        ]
        assert not left, f"the browser's console has: {left}"
        assert not self.foreign, f"the page asked elsewhere: {self.foreign}"

    def open(self) -> None:
        """Load the page and return when it is live and has its rows."""
        self.page.goto(self._url)
        self.wait("html[data-stream=live]")
        self.wait("tr[data-backend]")

    def wait(self, selector: str, *, timeout_s: float = PATIENCE_S) -> Locator:
        """What the selector finds, as soon as there is one on the screen."""
        found = self.page.locator(selector).first
        found.wait_for(timeout=timeout_s * 1000)
        return found

    def row(self, name: str) -> Locator:
        """The row of a backend."""
        return self.page.locator(f'tr[data-backend="{name}"]')

    def wait_row(
        self, name: str, *, timeout_s: float = PATIENCE_S, **shown: str
    ) -> float:
        """How many seconds it took until the row showed that (`verdict="down"`)."""
        begun = time.monotonic()
        wanted = "".join(f'[data-{key}="{value}"]' for key, value in shown.items())
        self.wait(f'tr[data-backend="{name}"]{wanted}', timeout_s=timeout_s)
        return time.monotonic() - begun

    def button(self, name: str, attribute: str) -> Locator:
        """A button of a backend, its menu opened if it lies in one."""
        row, wanted = self.row(name), f"button[{attribute}]"
        menu = "button[data-action=menu]"
        # The demo's buttons come a moment after the row.
        row.locator(f"{wanted}:visible, {menu}:visible").first.wait_for()
        if not row.locator(wanted).is_visible():
            row.locator(menu).click()
        return row.locator(wanted)

    def press(self, name: str, action: str) -> None:
        """Press the button of a backend's action, such as `drain`."""
        self.button(name, f'data-action="{action}"').click()

    def press_demo(self, name: str, mode: str) -> None:
        """Press the button that lets a demo backend misbehave."""
        self.button(name, f'data-demo="{mode}"').click()

    def focused(self) -> str:
        """The row and the button that have the focus, as `backend1 drain`."""
        told: str = self.page.evaluate(
            """() => {
                const at = document.activeElement;
                const row = at.closest("tr[data-backend]");
                return `${row ? row.dataset.backend : ""} ${at.dataset.action || ""}`;
            }"""
        )
        return told
