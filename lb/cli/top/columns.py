"""What is shown of a row: columns, how they are sorted, and which a width has room for.

A narrow terminal shows the columns that say whether something is wrong; a wide one all.
The reason, which has no bound, gets what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lb.cli.printing import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lb.cli.top.board import Row

PROBES_SHOWN: Final = 10
STATES: Final = {"up": "UP", "down": "DOWN", "ejected": "EJECTED", "unknown": "UNKNOWN"}
WORST_FIRST: Final = ("down", "ejected", "unknown", "up")
NAME_WIDTHS: Final = (8, 24)
WHY_WIDTH: Final = 12
"""The least that is worth showing of a reason."""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: its words, how wide it is, and by what rows are ordered."""

    key: str
    title: str
    width: int
    order: Callable[[Row], float | str]
    """What sorts first is the least; figures are negative, so the most comes first."""
    text: Callable[[Row], str]
    rank: int
    """How early it is given up in a narrow terminal: the highest goes first."""
    is_left: bool = False


def state(row: Row) -> str:
    """What a backend is at: what the operator wants, else what was found."""
    found = STATES[row.verdict]
    if row.wish == "ready":
        return found
    return row.wish if row.verdict == "up" else f"{row.wish} {found}"


def rate(each_s: float | None) -> str:
    """A number each second, in at most six letters."""
    if each_s is None:
        return "-"
    if each_s < 99.95:
        return f"{each_s:.1f}" if each_s else "0"
    return f"{each_s:.0f}" if each_s < 99_999.5 else f"{each_s / 1000:.0f}k"


def percent(share: float | None) -> str:
    """A share of the set's requests."""
    return "-" if share is None else f"{share * 100:.0f}%"


def milliseconds(seconds: float | None) -> str:
    """A latency, in at most six letters."""
    if seconds is None:
        return "-"
    found_ms = seconds * 1000
    return f"{found_ms:.2f}" if found_ms < 9.995 else f"{found_ms:.0f}"


def strip(row: Row) -> str:
    """The last probes, the newest last: a block for each that passed, else an x."""
    return "".join("█" if ok else "x" for ok in row.probes[-PROBES_SHOWN:])


def since(row: Row) -> str:
    """How long it is so, in at most four letters."""
    if row.age_s is None:
        return "-"
    age_s = row.age_s
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "m"), (360_000, 3600, "h")):
        if age_s < limit:
            return f"{age_s / unit:.0f}{name}"
    return f"{age_s / 86_400:.0f}d"


def _most(value: float | None) -> float:
    return -1.0 if value is None else value


def _trouble(row: Row) -> float:
    return WORST_FIRST.index(row.verdict) + (len(WORST_FIRST) * (row.wish != "ready"))


COLUMNS: Final = (
    Column("name", "backend", 8, lambda r: r.name, lambda r: plain(r.name), 0, True),
    Column("state", "state", 13, _trouble, state, 0, True),
    Column("set", "set", 8, lambda r: r.set, lambda r: plain(r.set), 11, True),
    Column("weight", "weight", 6, lambda r: -r.weight, lambda r: str(r.weight), 9),
    Column("requests", "req/s", 6, lambda r: -_most(r.requests_s),
           lambda r: rate(r.requests_s), 1),
    Column("share", "share", 5, lambda r: -_most(r.share),
           lambda r: percent(r.share), 5),
    Column("errors", "err/s", 6, lambda r: -_most(r.errors_s),
           lambda r: rate(r.errors_s), 1),
    Column("p50", "p50 ms", 6, lambda r: -_most(r.p50_s),
           lambda r: milliseconds(r.p50_s), 6),
    Column("p95", "p95 ms", 6, lambda r: -_most(r.p95_s),
           lambda r: milliseconds(r.p95_s), 7),
    Column("p99", "p99 ms", 6, lambda r: -_most(r.p99_s),
           lambda r: milliseconds(r.p99_s), 3),
    Column("in_flight", "now", 5, lambda r: -r.in_flight,
           lambda r: str(r.in_flight), 2),
    Column("since", "since", 5, lambda r: -_most(r.since), since, 8),
    Column("probes", "probes", PROBES_SHOWN, lambda r: sum(r.probes) - len(r.probes),
           strip, 4, True),
    Column("why", "why", WHY_WIDTH, lambda r: r.why or "\U0010ffff",
           lambda r: plain(r.why), 10, True),
)  # fmt: skip

BY_KEY: Final = {column.key: column for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Order:
    """By which column rows are sorted, and whether the other way round."""

    key: str = "name"
    is_turned: bool = False

    def next(self, step: int) -> Order:
        """The order by a column further on."""
        keys = list(BY_KEY)
        return Order(keys[(keys.index(self.key) + step) % len(keys)])

    def turned(self) -> Order:
        """The same the other way round."""
        return Order(self.key, not self.is_turned)


def arranged(rows: Iterable[Row], order: Order, wanted: str = "") -> list[Row]:
    """The rows that are wanted, in order; rows that are alike by name.

    A row is wanted that has each word of `wanted` in its name, address, set or state.
    """
    words = wanted.lower().split()
    found = [row for row in rows if all(word in _about(row) for word in words)]
    found.sort(key=lambda row: row.name)
    found.sort(key=BY_KEY[order.key].order, reverse=order.is_turned)
    return found


def _about(row: Row) -> str:
    return f"{row.name} {row.address} {row.set} {state(row)}".lower()


def layout(rows: Sequence[Row], width: int) -> list[tuple[Column, int]]:
    """The columns that so many letters have room for, each with its width.

    A set's column is left out where all rows are of one.
    """
    least, most = NAME_WIDTHS
    longest = max((len(row.name) for row in rows), default=least)
    name_width = min(max(longest, least), most)
    widths = {column.key: column.width for column in COLUMNS} | {"name": name_width}
    shown = list(COLUMNS)
    if len({row.set for row in rows}) < 2:
        shown.remove(BY_KEY["set"])
    while sum(widths[c.key] + 1 for c in shown) - 1 > width and len(shown) > 2:
        shown.remove(max(shown, key=lambda column: column.rank))
    left = width - (sum(widths[c.key] + 1 for c in shown) - 1)
    if left > 0 and BY_KEY["why"] in shown:
        widths["why"] += left
    return [(column, widths[column.key]) for column in shown]


def cell(column: Column, width: int, text: str) -> str:
    """A cell's text, as wide as its column."""
    if len(text) > width:
        text = f"{text[: width - 1]}…"
    return text.ljust(width) if column.is_left else text.rjust(width)
