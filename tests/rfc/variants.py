"""The settings that cases need, and an Evenhand that runs under each."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.live.scripted import ScriptedBackend
from tests.live.server import start_lane
from tests.rfc.exam import Exam
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET = {"LB_HEALTH__INTERVAL": "600", "LB_LOG__ACCESS": "off"}
"""Probes are rare: what a backend sees is a case's own doing."""

SHORT = {
    "LB_TIMEOUTS__CONNECT": "0.5",
    "LB_TIMEOUTS__RESPONSE": "0.5",
    "LB_TIMEOUTS__IDLE": "0.5",
    "LB_TIMEOUTS__REQUEST_HEAD": "0.5",
    "LB_TIMEOUTS__KEEPALIVE": "0.5",
}

VARIANTS: dict[str, tuple[int, dict[str, str]]] = {
    # name: (how many backends, settings)
    "plain": (1, {}),
    "pair": (2, {}),
    "short": (1, SHORT),
    "small": (1, {"LB_LIMITS__HEAD_BYTES": "4096", "LB_LIMITS__BODY_BYTES": "10000"}),
    "trusting": (1, {"LB_TRUSTED_PROXIES": "127.0.0.0/8"}),
    "keeping": (1, {"LB_HEADERS__UNDERSCORES": "keep"}),
    "refusing": (1, {"LB_HEADERS__UNDERSCORES": "refuse"}),
    "hasty": (
        1,
        {
            "LB_HEALTH__INTERVAL": "0.2",
            "LB_HEALTH__FAST_INTERVAL": "0.05",
            "LB_HEALTH__FALL": "1",
            "LB_HEALTH__RISE": "1",
        },
    ),
    "proxied": (1, {"LB_PROXY_PROTOCOL": "true"}),
}


@contextmanager
def examined(variant: str, folder: Path, *options: str) -> Iterator[Exam]:
    """Evenhand's fast lane under a variant's settings, with all its backends UP."""
    count, settings = VARIANTS[variant]
    with ExitStack() as stack:
        backends = tuple(
            stack.enter_context(ScriptedBackend(f"b{i}")) for i in range(count)
        )
        addresses = ",".join(backend.address for backend in backends)
        env = {"LB_BACKENDS": addresses} | QUIET | settings
        server = start_lane("fast", folder, None, *options, **env)
        stack.callback(server.kill)
        server.wait_answering()
        wait_for(lambda: set(server.verdicts().values()) == {"UP"}, "backends UP")
        yield Exam("evenhand", server.port, backends, server=server)
        assert "Traceback" not in server.errors()
