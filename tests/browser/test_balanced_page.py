"""The balanced page, reloaded in a browser."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import OpenScreen
    from tests.browser.stage import Stage

RELOADS = 8


def test_reloading_alternates_between_the_backends(
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
