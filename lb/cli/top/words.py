"""What the screen says besides rows: sums, processes, doubts, and how old it all is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lb.cli.top.columns import STATES, milliseconds, rate, since
from lb.model import Wish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lb.cli.top.board import Row, Sum
    from lb.cli.top.feed import Feed

KEYS: Final = "q quit  s S sort  i invert  / filter  d drain  m maint  r ready  ? help"
HELP: Final = """\
up down, page up and down, home, end   select a backend
s  S     sort by the next column, by the one before
i        the other way round
/        filter by words in name, address, set or state; escape ends it
d        drain: nothing new is sent there
m        maint: the same, and it is probed no more
r        ready: undo both
q        quit (Ctrl-C too, with exit status 130)

Rates are those of the last second, latencies of the last minute.
err/s: failed attempts, or answers with 5xx if these are more.
Probes: a block passed, an x failed; the newest is last."""


def headline(found: Sum, where: str) -> str:
    """Where it is and how much it does, in a line."""
    parts = [
        f"{rate(found.requests_s)} req/s",
        f"{rate(found.errors_s)} err/s",
        f"p50 {milliseconds(found.p50_s)} p99 {milliseconds(found.p99_s)} ms",
        f"{found.in_flight} in flight",
        where,
    ]
    return " · ".join(parts)


def processes(found: Sum) -> str:
    """Who serves, and whether all go by the same."""
    if not found.workers:
        serving = "NO WORKER SERVES"
    elif found.workers_behind:
        behind = f"{found.workers_behind} of {found.workers}"
        serving = f"workers: {behind} HAVE NOT SEEN the last change"
    else:
        serving = f"workers: {found.workers}, all agree"
    parts = [
        f"{found.served} of {found.backends} backends get requests",
        serving,
        f"checker: {found.checker_pid or 'NONE'}",
    ]
    if found.backends and not found.served:
        parts.insert(0, "NOTHING IS AVAILABLE")
    parts += [f"set {name} in PANIC" for name in found.panic]
    return " · ".join(parts)


def stale(age_s: float, trouble: str) -> str:
    """That what is shown is old, and why."""
    why = f": {trouble.splitlines()[0]}" if trouble else ""
    return f"STALE, {age_s:.0f} s old{why}"


def detail(row: Row | None, wanted: str) -> str:
    """The selected backend in a line."""
    if row is None:
        return f"no backend has {wanted!r}" if wanted else "there is no backend"
    age = since(row)
    wish = "" if row.wish == "ready" else f", {row.wish}"
    found = f"{row.name} ({row.address}), weight {row.weight}{wish}"
    why = f", {row.why}" if row.why else ""
    return f"{found}: {STATES[row.verdict]}{'' if age == '-' else f' for {age}'}{why}"


def doubt(rows: Iterable[Row], row: Row, wish: Wish, feed: Feed) -> str:
    """Why a person should be asked before this wish; empty if there is no reason."""
    if wish is Wish.READY:
        return ""
    if feed.is_stale:
        return stale(feed.age_s, feed.trouble)
    others = (r for r in rows if r.set == row.set and r.id != row.id)
    if row.is_available and not any(r.is_available for r in others):
        return (
            f"{row.name} is the last available backend of the set {row.set}:"
            " without it, requests are answered 503."
        )
    return ""
