"""The demo's controls: its backends misbehave for a while, or it is sent some load.

They are for a newcomer, who sees failover, ejection, slow start and recovery by a
click. So everything stands against their use anywhere else:

    demo.controls       must be on; it is in the demo's Procfile and nowhere else
    admin.bind          must be loopback, and who asks must come from there
    the backend         must be on loopback, and one that was started by this user with
                        `python -m backend --controls`: no other obeys

Nothing is sent to a backend: orders are files (`lb.admin.demo_orders`), each ends by
itself, and a demo process does what is in its own.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, get_args

from flask import Blueprint, Response, jsonify, request

from lb.admin.asking import Misbehave, Mode, SomeLoad, body
from lb.admin.demo_orders import Order, give, ordered
from lb.admin.guard import who
from lb.admin.problems import ProblemError
from lb.config.addresses import is_local
from lb.errors import OperationError
from lb.model import Address
from lb.operating import find
from lb.shm import edit_table

if TYPE_CHECKING:
    from logging import Logger

    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.config import Settings
    from lb.shm import SharedFile, TableRow

MODES: Final = list(get_args(Mode))
LOAD: Final = "load"
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104


def blueprint(
    source: Source, own: Settings, in_force: InForce, log: Logger
) -> Blueprint:
    """The routes of the demo; `own` are the settings of this process."""
    made = Blueprint("demo", __name__, url_prefix="/api/v1/demo")
    demo = Demo(source, own, in_force, log)
    made.add_url_rule("", view_func=demo.show)
    one = "/backends/<path:name>"
    made.add_url_rule(one, view_func=demo.misbehave, methods=["POST"])
    made.add_url_rule("/load", view_func=demo.load, methods=["POST"])
    return made


class Demo:
    """The views."""

    def __init__(
        self, source: Source, own: Settings, in_force: InForce, log: Logger
    ) -> None:
        self._source = source
        self._in_force = in_force
        self._log = log
        self._is_on = own.demo.controls
        self._is_local = is_local(own.admin.bind)

    def show(self) -> Response:
        """Which backends can be told something, and what they were told."""
        reason = self._reason()
        found: list[dict[str, Any]] = []
        load: Order | None = None
        if not reason:
            with self._source.use() as file:
                told = [(row, _told_to(row)) for row in file.rows()]
            found = [_shown(row, order) for row, order in told if order is not None]
            load = ordered(LOAD)
        return jsonify(
            {
                "controls": not reason,
                "reason": reason,
                "backends": found,
                "load": {
                    "is_there": load is not None,
                    "until": load.until or None if load else None,
                },
            }
        )

    def misbehave(self, name: str) -> Response:
        """Let a demo backend misbehave for some seconds."""
        self._check()
        wanted = body(Misbehave)
        order = Order(wanted.mode, time.time() + wanted.seconds)
        what = f"{wanted.mode} for {wanted.seconds:g} s"
        with self._source.use() as file:
            row = _row(file, name)
            target = _target(row)
            if target is None or not give(target, order.mode, order.until):
                raise ProblemError(
                    409,
                    f"{row.backend.name} ({row.backend.address}) is no demo backend"
                    " that takes orders (python -m backend --restart --controls)",
                )
            with edit_table(file, who=who()) as table:
                table.tell_demo(what, row)
        self._log.warning(
            "demo: %s is to be %s, wanted by %s", row.backend.name, what, who()
        )
        return jsonify(_shown(row, order))

    def load(self) -> Response:
        """Let somebody send the balancer some requests for some seconds."""
        self._check()
        wanted = body(SomeLoad)
        until = time.time() + wanted.seconds
        what = f"load for {wanted.seconds:g} s"
        with self._source.use() as file:
            port = _port(self._in_force.settings(file).bind)
            if not give(LOAD, LOAD, until, port=port):
                raise ProblemError(
                    409, "nobody is there to send load (python -m backend.load)"
                )
            with edit_table(file, who=who()) as table:
                table.tell_demo(what)
        self._log.warning("demo: %s, wanted by %s", what, who())
        return jsonify({"is_there": True, "until": until})

    def _check(self) -> None:
        if reason := self._reason():
            raise ProblemError(403, reason)

    def _reason(self) -> str:
        """Why the controls do not work for who asks; empty if they do."""
        if not self._is_on:
            return "demo.controls is off: it is on in the demo's Procfile only"
        if not self._is_local:
            return "the demo's controls need admin.bind to be loopback"
        if not _is_loopback(request.remote_addr or ""):
            return "the demo's controls are for this machine only"
        return ""


def _is_loopback(client: str) -> bool:
    """Whether the client's address is; empty is that of a local socket's client."""
    try:
        return not client or ip_address(client).is_loopback
    except ValueError:
        return False


def _row(file: SharedFile, name: str) -> TableRow:
    try:
        (row,) = find(file.rows(), [name])
    except OperationError as error:
        raise ProblemError(404, str(error)) from error
    return row


def _target(row: TableRow) -> str | None:
    """The name of a backend's orders; None for one that cannot have any."""
    address = row.backend.address
    if address.path or not is_local(str(address)):
        return None
    return str(address.port)


def _told_to(row: TableRow) -> Order | None:
    target = _target(row)
    return None if target is None else ordered(target)


def _shown(row: TableRow, order: Order) -> dict[str, Any]:
    return {
        "name": row.backend.name,
        "modes": MODES,
        "mode": order.mode or None,
        "until": order.until or None,
    }


def _port(bind: str) -> int:
    """The port at which the balancer can be reached on loopback.

    Raises:
        ProblemError: it cannot.
    """
    where = Address.parse(bind)
    host = "127.0.0.1" if where.host in EVERYWHERE else where.host
    if where.path or host not in ("127.0.0.1", "localhost"):
        raise ProblemError(409, f"the balancer listens on {bind}, not on 127.0.0.1")
    return where.port
