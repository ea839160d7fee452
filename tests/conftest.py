"""What holds for all tests: a clean environment, and no process left behind."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.processes import MARK, command_of, marked
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = {"PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS"}
"""Variables that gunicorn follows, beside the settings (LB_*) and proxies."""

LEAVE_S = 5.0


def _is_foreign(name: str) -> bool:
    return name in FOREIGN or name.startswith("LB_") or name.lower().endswith("_proxy")


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[None]:
    """Tests and their processes see no settings or proxies of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(_is_foreign, list(os.environ)):
            patch.delenv(name)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost,::1")
        patch.setenv(MARK, uuid.uuid4().hex)
        yield


@pytest.fixture(autouse=True, scope="module")
def no_process_left(clean_environment: None) -> Iterator[None]:
    """All processes that a module's tests start end with it; else it fails."""
    before = set(marked())
    yield
    try:
        wait_for(lambda: set(marked()) <= before, "the end", timeout_s=LEAVE_S)
    except AssertionError:
        left = {pid: command_of(pid) for pid in set(marked()) - before}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        pytest.fail(f"processes left behind: {left}")
