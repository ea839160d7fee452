"""Which backends an operator means: by name or address, and a kind word if none."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from lb.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.shm import TableRow

LISTED: Final = 20
"""How many names a message lists at most."""

CLOSE_ENOUGH: Final = 0.5
"""difflib's ratio; names are short, and a wrong guess costs nothing."""


def find(rows: Sequence[TableRow], names: Sequence[str] | None) -> list[TableRow]:
    """The rows of these backends, each once, in the order of `names`; None: of all.

    Raises:
        OperationError: some are not there, and it says which are; or sets share an
            address, so that it names nobody.
    """
    if names is None:
        return list(rows)
    by_name = {row.backend.name: row for row in rows}
    for address in set(names) - by_name.keys():
        there = [row for row in rows if str(row.backend.address) == address]
        if len(there) > 1:
            names_there = listed([row.backend.name for row in there])
            raise OperationError(f"{address} is {names_there}: say by name which")
        by_name.update((address, row) for row in there)
    if unknown := [name for name in names if name not in by_name]:
        known = [row.backend.name for row in rows]
        raise OperationError("\n".join(_unknown(name, known) for name in unknown))
    return list({by_name[name].id: by_name[name] for name in names}.values())


def _unknown(name: str, known: Sequence[str]) -> str:
    text = f"no backend is called {name!r}"
    if close := difflib.get_close_matches(name, known, 3, CLOSE_ENOUGH):
        return f"{text}; did you mean {' or '.join(close)}?"
    if not known:
        return f"{text}; there is none at all"
    return f"{text}; there are {listed(known)}"


def listed(names: Sequence[str]) -> str:
    """Names for a sentence; the first of many."""
    shown = ", ".join(names[:LISTED])
    more = len(names) - LISTED
    return f"{shown} and {more} more" if more > 0 else shown
