"""Run the RFC examination of `tests/rfc` against other proxies, side by side.

By hand: `python scripts/compare.py [--peers nginx,haproxy] [--only PATTERN] [--why]`.
Cases marked `own` are about choices of Evenhand and are run against it alone. A peer
is a plain reverse proxy with kept-alive connections to the same backends, started from
a minimal configuration in a temporary folder and ended by its process id.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.live.scripted import ScriptedBackend
from tests.processes import free_port
from tests.rfc import tables
from tests.rfc.exam import Exam
from tests.rfc.variants import VARIANTS, examined
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rfc.rows import Case

    MakeConfig = Callable[[Path, int, list[ScriptedBackend]], str]

PATIENCE_S = 2.5
"""How long a peer may keep a case waiting before that is a failure."""

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream backends {{
{servers}
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""

HAPROXY = """\
defaults
    mode http
    option forwardfor
    timeout connect 3s
    timeout client 30s
    timeout server 30s
    timeout tunnel 30s
    timeout http-request 10s
    timeout http-keep-alive 30s
listen lb
    bind 127.0.0.1:{port}
    balance roundrobin
{servers}
"""


def nginx_config(folder: Path, port: int, backends: list[ScriptedBackend]) -> str:
    """nginx.conf for these backends."""
    servers = "\n".join(
        f"        server 127.0.0.1:{backend.port} max_fails=0;" for backend in backends
    )
    return NGINX.format(folder=folder, port=port, servers=servers)


def haproxy_config(_: Path, port: int, backends: list[ScriptedBackend]) -> str:
    """haproxy.cfg for these backends."""
    servers = "\n".join(
        f"    server {backend.name} 127.0.0.1:{backend.port}" for backend in backends
    )
    return HAPROXY.format(port=port, servers=servers)


PEERS: dict[str, tuple[MakeConfig, list[str]]] = {
    # name: (its configuration, its command before the configuration's path)
    "nginx": (nginx_config, ["nginx", "-c"]),
    "haproxy": (haproxy_config, ["haproxy", "-db", "-f"]),
}

VERSION = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"]}


@contextmanager
def running_peer(name: str, variant: str, folder: Path) -> Iterator[Exam]:
    """A peer in front of as many scripted backends as the variant has."""
    make_config, command = PEERS[name]
    count, _ = VARIANTS[variant]
    with ExitStack() as stack:
        backends = [stack.enter_context(ScriptedBackend(f"b{i}")) for i in range(count)]
        port = free_port()
        config = folder / f"{name}.conf"
        config.write_text(make_config(folder, port, backends))
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(  # noqa: S603 - a command of PEERS
            [*command, str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_for(lambda: is_listening(port), f"{name} to listen")
        yield Exam(name, port, tuple(backends))


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def verdict(case: Case, exam: Exam) -> str:
    """Why the proxy fails the case; empty when it passes."""
    exam.patience_s = PATIENCE_S
    exam.begin()
    try:
        case.run(exam)
    except Exception as error:  # noqa: BLE001 - whatever happens is the case's failure
        reason = str(error).splitlines() or [""]
        return f"{type(error).__name__}: {reason[0]}".strip()[:160]
    return ""


def examine(name: str, cases: list[Case]) -> dict[str, str]:
    """Each case's verdict on one proxy."""
    verdicts: dict[str, str] = {}
    with ExitStack() as stack:
        exams: dict[str, Exam] = {}
        for case in cases:
            if case.variant not in exams:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                start = (
                    examined(case.variant, folder)
                    if name == "evenhand"
                    else running_peer(name, case.variant, folder)
                )
                exams[case.variant] = stack.enter_context(start)
            verdicts[case.name] = verdict(case, exams[case.variant])
    return verdicts


def version_of(name: str) -> str:
    """What the program says of itself, in one line."""
    if name not in VERSION:
        return name
    said = subprocess.run(  # noqa: S603 - a command of VERSION
        VERSION[name], capture_output=True, text=True, timeout=10, check=True
    )
    return (said.stdout + said.stderr).splitlines()[0]


def main() -> int:
    """0 when Evenhand passes every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="nginx,haproxy", help="names with commas")
    parser.add_argument("--only", default="", help="cases whose name matches this")
    parser.add_argument("--why", action="store_true", help="say why a case failed")
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name]
    if unknown := set(peers) - set(PEERS):
        parser.error(f"unknown: {sorted(unknown)}; known: {sorted(PEERS)}")
    for name in [name for name in peers if shutil.which(name) is None]:
        print(f"{name} is not installed: left out")
        peers.remove(name)
    # A peer may send a backend what no request looks like; its case fails, no more.
    threading.excepthook = lambda _: None
    cases = [case for case in tables.ALL if re.search(options.only, case.name)]
    neutral = [case for case in cases if not case.own]
    results = {"evenhand": examine("evenhand", cases)}
    results |= {name: examine(name, neutral) for name in peers}
    show(cases, results, why=options.why)
    return int(any(results["evenhand"].values()))


def show(cases: list[Case], results: dict[str, dict[str, str]], *, why: bool) -> None:
    """Print a line per case, then the totals."""
    names = list(results)
    width = max(len(case.name) for case in cases)
    print(f"{'case':{width}}  " + "  ".join(f"{name:8}" for name in names))
    passed: Counter[str] = Counter()
    for case in cases:
        marks = []
        for name in names:
            reason = results[name].get(case.name)
            marks.append("own" if reason is None else "FAIL" if reason else "pass")
            passed[name] += not case.own and reason == ""
        print(f"{case.name:{width}}  " + "  ".join(f"{mark:8}" for mark in marks))
        for name in names if why else []:
            if reason := results[name].get(case.name):
                print(f"    {name}: {reason}")
    total = sum(not case.own for case in cases)
    for name in names:
        share = f"{100 * passed[name] / total:.1f} %" if total else "-"
        print(f"{version_of(name)}: {passed[name]} of {total} ({share})")
    own = [case for case in cases if case.own]
    good = sum(results["evenhand"][case.name] == "" for case in own)
    print(f"evenhand's own: {good} of {len(own)}")


if __name__ == "__main__":
    sys.exit(main())
