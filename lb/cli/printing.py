"""Text for people: tables, times, and nothing that could steer their terminal.

What clients and backends sent stands in tables too; whatever cannot be printed is
shown as an escape, as a terminal would obey it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = {"UP": "green", "DOWN": "red", "EJECTED": "red", "UNKNOWN": "yellow"}
PIPED_COLUMNS = 400
"""Piped into another program, lines are not folded at 80 columns."""

UNFOLDED_COLUMNS = 160
"""What a table that is not folded needs; a narrower terminal runs lines over."""


def plain(text: str) -> str:
    """`text` with escapes for what is not printable, such as control characters."""
    if text.isprintable():
        return text
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return "".join(shown)


def recorded(text: str) -> str:
    """The same for bytes that were recorded as latin-1: only ASCII is as it was."""
    return plain(text.encode("latin-1").decode("ascii", "backslashreplace"))


def ago(now: float, at: float | None) -> str:
    """How long ago a unix time was, in few letters."""
    if not at:
        return "-"
    seconds = max(0.0, now - at)
    if seconds < 120:
        return f"{seconds:.1f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"


def stamp(at: float) -> str:
    """A unix time as the access log writes it."""
    whole, milliseconds = divmod(round(at * 1000), 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{text}.{milliseconds:03d}Z"


def milliseconds(seconds: float | None) -> str:
    """A phase, "-" if there was none."""
    return "-" if seconds is None else f"{seconds * 1000:.2f}"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, shorten: str = ""
) -> None:
    """Print a table; lines are not folded if there is a column to `shorten`."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(name, no_wrap=shorten not in ("", name)) for name in head]
    made = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(
            *(
                Text(
                    plain(cell),
                    style=COLOURS.get(cell, ""),
                    no_wrap=bool(shorten),
                    overflow="ellipsis" if shorten else "fold",
                )
                for cell in row
            )
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_COLUMNS)
    elif shorten:
        console = Console(width=max(console.width, UNFOLDED_COLUMNS))
    console.print(made)
