"""What happened, as plain values: each event with before and after in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lb.model import Verdict, Wish
from lb.shm import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.shm import Event


def _in(words: type[Verdict | Wish]) -> Callable[[int], str]:
    names = {int(word): word.name.lower() for word in words}
    return lambda number: names.get(number, "unknown")


def _number(number: int) -> int | None:
    return number or None


WORDS: Final[dict[EventKind, Callable[[int], str | int | None]]] = {
    EventKind.VERDICT: _in(Verdict),
    EventKind.WISH: _in(Wish),
}
"""How `before` and `after` are told; else a number, or nothing where it is 0."""


def event_report(event: Event) -> dict[str, Any]:
    """An event; `id` is unlike that of any other in this file."""
    what = event.what
    told = WORDS.get(what.kind, _number)
    return {
        "id": f"{event.ring.name.lower()}-{event.number}",
        "at": event.at,
        "kind": what.kind.name.lower(),
        "backend": what.backend or None,
        "before": told(what.before),
        "after": told(what.after),
        "reason": what.reason,
        "who": what.who,
    }
