"""The system's Chromium, found and started; Playwright drives it and brings none.

The browser is Debian's package (or whatever stands under a name of NAMES, or in the
variable CHROMIUM), so security updates come as for every other program, and Playwright's
own download, for which its tests are made, is not needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
START_S: Final = 20.0

FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    # /dev/shm is small in containers, and others use it here.
    "--disable-dev-shm-usage",
)


@cache
def find() -> str:
    """The path of a Chromium that runs; empty where there is none."""
    for name in filter(None, (os.environ.get("CHROMIUM"), *NAMES)):
        path = shutil.which(name)
        if path and _runs(path):
            return path
    return ""


def _runs(path: str) -> bool:
    """Ubuntu's /usr/bin/chromium-browser may only say that a snap is wanted."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=START_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"chrom" in done.stdout.lower()


@contextmanager
def running() -> Iterator[Browser]:
    """A browser with a profile of its own; both end with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find(),
            args=list(FLAGS),
            # Chromium refuses to sandbox itself as root.
            chromium_sandbox=os.geteuid() != 0,
            timeout=START_S * 1000,
        )
        try:
            yield browser
        finally:
            browser.close()
