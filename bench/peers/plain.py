"""Two proxies as people write them in Python: aiohttp on uvloop, Flask + requests."""

from __future__ import annotations

import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import Final

from bench.peers.peer import KEEPALIVE_S, ROOT, Duty, Launch, Peer

AIOHTTP_NEEDS: Final = ("aiohttp", "uvloop")
NAIVE_NEEDS: Final = ("flask", "requests", "gunicorn", "gevent")


def launch_aiohttp(duty: Duty) -> Launch:
    """As many processes as workers, on one port by SO_REUSEPORT."""
    argv = [sys.executable, "-m", "bench.peers.aiohttp_proxy"]
    argv += ["--port", str(duty.port), "--workers", str(duty.workers)]
    argv += ["--backends", str(duty.backends_file())]
    argv += ["--keepalive", str(KEEPALIVE_S)]
    if duty.access_log:
        argv += ["--log", str(duty.access_log)]
    return Launch(tuple(argv))


def launch_naive(duty: Duty) -> Launch:
    """gunicorn's gevent workers, allowed as many connections as the workloads have."""
    # Without one of its own, gunicorn loads the balancer's gunicorn.conf.py.
    config = duty.folder / "naive.conf.py"
    config.write_text("control_socket_disable = True\n")
    argv = [sys.executable, "-m", "gunicorn", "-c", str(config)]
    argv += ["--chdir", str(ROOT), "-k", "gevent", "-w", str(duty.workers)]
    argv += ["-b", f"127.0.0.1:{duty.port}", "--keep-alive", str(KEEPALIVE_S)]
    argv += ["--worker-connections", "10000", "--graceful-timeout", "2"]
    if duty.access_log:
        argv += ["--access-logfile", str(duty.access_log)]
    environment = {"BENCH_BACKENDS": str(duty.backends_file())}
    return Launch((*argv, "bench.peers.naive_flask:app"), environment)


def lacks_aiohttp() -> str:
    """What to install for the aiohttp proxy."""
    missing = [name for name in AIOHTTP_NEEDS if find_spec(name) is None]
    if not missing:
        return ""
    return f"{', '.join(missing)} missing (pip install -r requirements-bench.txt)"


def versions_aiohttp() -> dict[str, str]:
    """As installed."""
    return {name: version(name) for name in AIOHTTP_NEEDS}


def versions_naive() -> dict[str, str]:
    """As installed."""
    return {name: version(name) for name in NAIVE_NEEDS}


AIOHTTP: Final = Peer("aiohttp", launch_aiohttp, versions_aiohttp, lacks_aiohttp)
NAIVE: Final = Peer("naive-flask", launch_naive, versions_naive)
