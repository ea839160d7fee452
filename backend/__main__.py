"""The command line: `python -m backend PORT TEXT` runs one demo backend.

It stays in the foreground, with `--restart` under a small parent. All that cannot
work is said in one line, with an exit status that is not zero.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from contextlib import ExitStack
from ipaddress import ip_address
from typing import NoReturn

from backend.keeper import Keeper
from backend.listen import ListenError, listen
from backend.misbehaving import DEAD
from backend.orders import Orders, OrdersError

RESTART_S = 3.0
MAX_RESTART_S = 3600.0

GUNICORN_VARIABLES = ("FORWARDED_ALLOW_IPS", "PORT", "SCRIPT_NAME", "WEB_CONCURRENCY")
"""What gunicorn takes from the environment, even with settings given in code."""


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


def main() -> int:
    """Run what the command line says; the exit status."""
    parser = _parser()
    options = parser.parse_args()
    if options.controls and (fault := _controls_fault(options)):
        parser.error(f"--controls needs {fault}")
    try:
        if options.restart is not None:
            return _keep(options)
        _serve(options)
    except (ListenError, OrdersError) as error:
        print(f"backend: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m backend", description="Run one demo backend in the foreground."
    )
    add = parser.add_argument
    add("port", metavar="PORT", type=_port, help="the TCP port, 1 to 65535")
    add("text", metavar="TEXT", help="what / answers, and the name in X-Backend")
    add("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    add(
        "--restart",
        metavar="SECONDS",
        nargs="?",
        const=RESTART_S,
        type=_seconds,
        help=f"start it again that long after it died (default: {RESTART_S:g})",
    )
    add(
        "--parent",
        metavar="PID",
        type=int,
        help="end when that process is no longer the parent (--restart sets it)",
    )
    add(
        "--controls",
        action="store_true",
        help="let the admin app of the same user make it slow, failing, hanging or dead"
        " for some seconds",
    )
    return parser


def _controls_fault(options: argparse.Namespace) -> str:
    """What is missing for --controls; empty if nothing."""
    if options.restart is None and options.parent is None:
        return "--restart: nobody would bring a dead one back"
    try:
        is_local = ip_address(options.host).is_loopback
    except ValueError:
        is_local = options.host == "localhost"
    return "" if is_local else "a --host of loopback"


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds <= MAX_RESTART_S:
        return seconds
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number of seconds from 0 to {MAX_RESTART_S:g}"
    )


def _serve(options: argparse.Namespace) -> None:
    listener = listen(options.host, options.port)
    for name in GUNICORN_VARIABLES:
        os.environ.pop(name, None)
    orders = Orders.look_into(str(options.port)) if options.controls else None
    # Only now: gunicorn reads its environment when it is imported.
    from backend.server import serve

    serve(options.text, listener, parent=options.parent, orders=orders)


def _keep(options: argparse.Namespace) -> int:
    # At the start it is somebody else who has the port: say so, do not wait.
    listen(options.host, options.port).close()
    command = [sys.executable, "-m", "backend", str(options.port), "--host"]
    command += [options.host, "--parent", str(os.getpid())]
    with ExitStack() as stack:
        orders = _orders(options)
        if orders is not None:
            stack.callback(orders.close)
            command += ["--controls"]
        return Keeper(
            [*command, "--", options.text],
            label=f"backend {options.port}",
            restart_s=options.restart,
            obstacle=lambda: _obstacle(options, orders),
        ).run()


def _orders(options: argparse.Namespace) -> Orders | None:
    """What the backend is to obey, if anything; that it cannot be had ends nothing."""
    if not options.controls:
        return None
    try:
        return Orders.take(str(options.port))
    except OrdersError as error:
        print(f"backend {options.port} has no controls: {error}", flush=True)  # noqa: T201
        return None


def _obstacle(options: argparse.Namespace, orders: Orders | None) -> str:
    """Why a backend cannot start now; empty if it can."""
    if orders is not None and orders.now().mode == DEAD:
        return "it was told to be dead"
    try:
        listen(options.host, options.port).close()
    except ListenError:
        return "its port is in use"
    return ""


if __name__ == "__main__":
    sys.exit(main())
