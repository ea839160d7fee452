"""What is still in flight while a drain is waited for: lines, or one live line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lb.cli.printing import plain

if TYPE_CHECKING:
    from lb.operating import Standing

CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Shows each standing it is told; quiet where nobody reads along.

    On a terminal the line is written anew, elsewhere there is a line per change.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._is_live = sys.stdout.isatty()
        self._standing: Standing | None = None
        self._line = ""

    def tell(self, standing: Standing, left_s: float) -> None:
        """Show how far it is, `left_s` seconds before the deadline."""
        if self._is_quiet:
            return
        line = text_of(standing, left_s)
        if self._is_live:
            if line != self._line:
                click.echo(f"{CLEAR_LINE}{line}", nl=False)
        elif standing != self._standing:
            click.echo(line)
        self._standing, self._line = standing, line

    def end(self) -> None:
        """Leave the live line as it is; what follows begins below it."""
        if self._line and self._is_live:
            click.echo()


def text_of(standing: Standing, left_s: float) -> str:
    """One line: in flight, in all and by backend, and how long it may still take."""
    text = f"{standing.total} in flight"
    if len(standing.in_flight) > 1:
        busy = [
            f"{name} {count}" for name, count in standing.in_flight.items() if count
        ]
        text += f" ({', '.join(busy)})" if busy else ""
    if standing.behind:
        text += f", workers yet to see it: {standing.behind}"
    return plain(f"{text}, {left_s:.0f} s left")
