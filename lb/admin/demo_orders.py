"""Orders for the demo's processes, in files of their user: the side that gives them.

`backend/orders.py` says what such a file is, and has the side that obeys. A file is
written only if it is a regular one of this very user whose first byte somebody holds
locked: without that nobody obeys. None is ever made here.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lb.arbiter import memory_folder
from lb.errors import StateFileError
from lb.shm.locks import ByteLocks
from lb.shm.place import open_checked

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD_BYTES: Final = 128


class Order(NamedTuple):
    """What was ordered until when (unix time); empty for nothing."""

    mode: str = ""
    until: float = 0.0


def path_of(name: str) -> Path:
    """Where the orders for `name` are, if there are any."""
    folder = memory_folder() or tempfile.gettempdir()
    return Path(folder) / f"evenhand-demo-{os.geteuid()}-{name}"


def ordered(name: str) -> Order | None:
    """What was ordered and is not over; None: nobody takes orders. 30 us."""
    with _opened(name) as fd:
        return None if fd is None else _read(fd)


def give(name: str, mode: str, until: float, **more: Any) -> bool:
    """Whether somebody is there who now has the order."""
    record = json.dumps({"mode": mode, "until": round(until, 3), **more})
    with _opened(name) as fd:
        if fd is None:
            return False
        os.pwrite(fd, record.encode().ljust(RECORD_BYTES), 0)
    return True


@contextmanager
def _opened(name: str) -> Iterator[int | None]:
    """The file of orders, or None where nobody obeys."""
    try:
        fd = open_checked(path_of(name))
    except (FileNotFoundError, StateFileError):
        yield None
        return
    try:
        yield fd if ByteLocks(fd).is_others(0) else None
    finally:
        os.close(fd)


def _read(fd: int) -> Order:
    try:
        told = json.loads(os.pread(fd, RECORD_BYTES, 0))
        order = Order(str(told["mode"]), float(told["until"]))
    except (ValueError, TypeError, LookupError):
        return Order()
    return order if order.until > time.time() else Order()
