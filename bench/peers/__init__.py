"""The peers, as a table: every proxy that the benchmark knows how to start."""

from __future__ import annotations

from typing import Final

from bench.errors import BenchError
from bench.peers import caddy, evenhand, golang, haproxy, nginx, plain
from bench.peers.peer import Duty, Launch, Peer

__all__ = ["ALL", "Duty", "Launch", "Peer", "chosen"]

ALL: Final = (
    evenhand.PEER,
    nginx.PEER,
    nginx.TUNED,
    haproxy.PEER,
    caddy.PEER,
    golang.PEER,
    plain.AIOHTTP,
    plain.NAIVE,
)


def chosen(names: list[str]) -> tuple[list[Peer], list[str]]:
    """The peers of these names, and what is said of those left out.

    Without names, all that are installed; the others are left out with what to
    install.

    Raises:
        BenchError: there is no such peer, or a named one is not installed.
    """
    known = {peer.name: peer for peer in ALL}
    if unknown := [name for name in names if name not in known]:
        raise BenchError(
            f"there is no peer {', '.join(unknown)}: there are {', '.join(known)}"
        )
    wanted = [peer for peer in ALL if not names or peer.name in names]
    lacking = {peer.name: peer.lacks() for peer in wanted if peer.lacks()}
    notes = [f"without {name}: {lack}" for name, lack in lacking.items()]
    if names and notes:
        raise BenchError("; ".join(notes))
    return [peer for peer in wanted if peer.name not in lacking], notes
