"""What checking many backends costs one checker, and how late its probes are.

    python -m bench.probes --kind tcp --count 2000 --interval 2
    python -m bench.probes --kind http --count 2000 --interval 10

The backends are ports of this process's own children, on loopback; the checker runs in
this process as `python -m lb health` runs it, under gevent.
"""

from __future__ import annotations

import argparse
import heapq
import logging
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PORTS: Final = 4
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(pipe: Connection) -> None:
    """Accept and answer on some ports, until killed; says which."""
    servers = [
        socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(PORTS)
    ]
    for server in servers:
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
    pipe.send([server.getsockname()[1] for server in servers])
    threading.Event().wait()


def _answer(server: socket.socket) -> None:
    while True:
        peer, _ = server.accept()
        with peer:
            if peer.recv(4096):
                peer.sendall(ANSWER)


class Lateness:
    """How late each probe was begun, noted where the schedule gives it out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def heappop(self, heap: list[Any]) -> Any:
        """As `heapq.heappop`."""
        entry = heapq.heappop(heap)
        self.seconds.append(max(0.0, time.monotonic() - entry[0]))
        return entry

    heappush = staticmethod(heapq.heappush)


def measure(args: argparse.Namespace, ports: list[int], folder: Path) -> str:
    """The figures, as a line."""
    from lb.config import Health
    from lb.health import Checker, schedule
    from lb.model import Address, Backend
    from lb.shm import SharedFile, publish

    addresses = [Address("127.0.0.1", port) for port in ports]
    backends = [Backend(f"b{n}", addresses[n % PORTS]) for n in range(args.count)]
    publish(folder / "state", backends)
    late = Lateness()
    setattr(schedule, "heapq", late)  # noqa: B010 - it has all that is used of it
    settings = Health(kind=args.kind, interval=args.interval)
    stop = threading.Event()
    with SharedFile.open(folder / "state") as file:
        log = logging.getLogger("bench.probes")
        checker = Checker(file, settings, log, preferred=True, stop=stop)
        thread = threading.Thread(target=checker.run)
        thread.start()
        stop.wait(1.2 * args.interval)
        late.seconds.clear()
        before, began = time.process_time(), time.monotonic()
        stop.wait(args.seconds)
        cpu, took = time.process_time() - before, time.monotonic() - began
        found = sorted(late.seconds)
        stop.set()
        thread.join()
        up = sum(state.verdict.name == "UP" for state in file.backends())
    middle_ms, most_ms = 1e3 * found[len(found) // 2], 1e3 * found[-1]
    share = found[-1] / args.interval
    return (
        f"{args.count} {args.kind} each {args.interval:g} s: {len(found) / took:.0f}"
        f" probes/s, {100 * cpu / took:.1f} % of a core,"
        f" {1e6 * cpu / len(found):.0f} us each; late by {middle_ms:.1f} ms in the"
        f" median, {most_ms:.1f} ms at most ({share:.1%} of the interval); {up} UP"
    )


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("tcp", "http"), default="tcp")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    child.start()
    try:
        ports = ours.recv()
        from gevent import monkey

        monkey.patch_all()
        root = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        with tempfile.TemporaryDirectory(dir=root) as folder:
            sys.stdout.write(measure(args, ports, Path(folder)) + "\n")
    finally:
        child.kill()


if __name__ == "__main__":
    main()
