"""A browser and a stage for each module, and a screen for each test.

All is skipped where no Chromium runs, loudly: in red at the end of the run.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from tests.browser import chromium
from tests.browser.screen import Screen
from tests.browser.stage import Stage
from tests.live.load import Load
from tests.processes import free_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ViewportSize

HANGS_S = 120
VIEWPORT: Final[ViewportSize] = {"width": 1280, "height": 800}
MISSING = "no Chromium runs here"
FOLDER = Path(__file__).parent

figures: list[str] = []
"""What was measured, for the end of the run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(HANGS_S))
            item.add_marker(pytest.mark.live)
            if not chromium.find():
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    if any(MISSING in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(
            "THE BROWSER TESTS DID NOT RUN: no Chromium runs here. Install it (Debian:"
            " apt-get install chromium), or name one by CHROMIUM=/path/to/it",
            red=True, bold=True,
        )  # fmt: skip
    for line in figures:
        terminalreporter.write_line(f"browser: {line}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    try:
        made.wait_ready()
        yield made
    finally:
        made.end()


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """The module's stage, as it was at the start."""
    shared_stage.settle()
    return shared_stage


@pytest.fixture
def load(stage: Stage) -> Iterator[Load]:
    """A little traffic, on connections of several clients."""
    with Load(stage.port, clients=4, pause_s=0.05) as running:
        yield running


class OpenScreen(Protocol):
    """Opens a page for that address."""

    def __call__(self, url: str) -> Screen: ...


class OtherAdmin(Protocol):
    """Starts a second admin app with other settings; its address."""

    def __call__(self, **env: str) -> str: ...


@pytest.fixture
def other_admin(stage: Stage) -> Iterator[OtherAdmin]:
    with ExitStack() as stack:

        def start(**env: str) -> str:
            admin = stage.start_admin(free_port(), **env)
            stack.callback(admin.kill)
            wait_for(lambda: "Listening at" in admin.errors(), "another admin app")
            return f"http://127.0.0.1:{admin.port}/"

        yield start


@pytest.fixture
def open_screen(browser: Browser, other_admin: OtherAdmin) -> Iterator[OpenScreen]:
    """Pages in contexts of their own; each is checked when its test ends.

    They end before the other admin apps, which they would else complain about.
    """
    screens: list[Screen] = []

    def make(url: str) -> Screen:
        # Without a graphics card each frame of a moving picture costs a core.
        context = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
        screens.append(Screen(context, url))
        return screens[-1]

    yield make
    for screen in screens:
        screen.page.context.close()
    for screen in screens:
        screen.check()


@pytest.fixture
def screen(stage: Stage, open_screen: OpenScreen) -> Screen:
    """The dashboard, live."""
    made = open_screen(stage.url)
    made.open()
    return made
