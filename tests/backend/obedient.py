"""A process that takes a demo's orders, so that somebody is there to be told."""

from __future__ import annotations

import subprocess
import sys
from typing import Self

from tests.processes import ROOT
from tests.waiting import DEADLINE_S


class Obedient:
    """A process that takes the orders of that name, until the block ends."""

    def __init__(self, name: str) -> None:
        code = (
            "import sys; from backend.orders import Orders; "
            f"orders = Orders.take({name!r}); print('taken', flush=True); "
            "sys.stdin.read(); orders.close()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        assert self.process.stdout
        assert self.process.stdout.readline() == b"taken\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=DEADLINE_S)
