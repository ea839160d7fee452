"""More clients than `limits.connections`: they wait, and none is turned away."""

from __future__ import annotations

import select
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.live.client import Client, get

if TYPE_CHECKING:
    from tests.live.conftest import Scripted, StartServer

pytestmark = pytest.mark.live

LIMIT = 3
A_WHILE_S = 0.4
"""Long for an answer on loopback; that none comes can only be shown by waiting."""


def test_beyond_the_limit_a_client_waits_until_another_leaves(
    start_server: StartServer, scripted: Scripted
) -> None:
    """It is not accepted, rather than accepted and dropped."""
    backend = scripted("b")
    server = start_server(
        "fast", LB_BACKENDS=backend.address, LB_LIMITS__CONNECTIONS=str(LIMIT)
    )
    server.wait_answering()
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(server.port)) for _ in range(LIMIT)]
        assert [client.ask(get()).status for client in inside] == [200] * LIMIT
        outside = stack.enter_context(Client(server.port))
        outside.send(get())
        assert not select.select([outside.sock], [], [], A_WHILE_S)[0]
        assert inside[1].ask(get()).status == 200, "the others are served meanwhile"
        inside[0].sock.close()
        assert outside.answer().status == 200
