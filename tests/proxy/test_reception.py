"""Who a client is taken for."""

from __future__ import annotations

from lb.config import Settings
from lb.proxy.reception import Reception


def test_an_ipv4_client_of_an_ipv6_socket_is_known_by_its_own_address() -> None:
    """`bind = "[::]:80"` sees it as ::ffff:127.0.0.1, the settings say 127.0.0.1."""
    reception = Reception(Settings(trusted_proxies=["127.0.0.1"]))
    peer, parser = reception.welcome("::ffff:127.0.0.1")
    assert peer.ip == b"127.0.0.1"
    assert parser is reception.welcome("127.0.0.1")[1]
    assert parser is not reception.welcome("::ffff:10.0.0.1")[1]
