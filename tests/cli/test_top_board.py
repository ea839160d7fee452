"""The rows of `lb top`: rates of two snapshots, and what a width has room for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.cli.top.board import Board, Row
from lb.cli.top.columns import (
    COLUMNS,
    Order,
    arranged,
    cell,
    layout,
    milliseconds,
    rate,
    state,
)
from lb.cli.top.words import detail, headline, processes

EMPTY: dict[str, Any] = {
    "latency": None, "latency_window_s": 0.0, "workers": [], "sets": [],
    "checker_pid": None, "state_path": "/state",
}  # fmt: skip


def backend(key: int, attempts: int, **told: Any) -> dict[str, Any]:
    failures, errors = told.pop("failures", 0), told.pop("errors", 0)
    return {
        "id": key, "name": f"web{key}", "address": f"10.0.0.{key}:80", "set": "default",
        "verdict": "up", "wish": "ready", "weight": 1, "is_served": True,
        "available": True, "ejected": None, "since": 5.0, "reason": "well",
        "in_flight": 2, "probes": [{"ok": True}, {"ok": False}], "latency": None,
        "totals": {
            "attempts": attempts,
            "failures": {"connection_refused": failures},
            "responses": {"2xx": attempts, "5xx": errors},
        },
        **told,
    }  # fmt: skip


def snapshot(at: float, *backends: dict[str, Any], requests: int = 0) -> dict[str, Any]:
    totals = {"responses": {"2xx": requests, "5xx": 0}}
    return EMPTY | {"at": at, "backends": list(backends), "totals": totals}


def test_rates_are_of_the_last_two_snapshots() -> None:
    board = Board()
    board.take(snapshot(10.0, backend(1, 100), backend(2, 0), requests=100))
    assert [row.requests_s for row in board.rows] == [None, None]
    board.take(
        snapshot(12.0, backend(1, 160, failures=4, errors=2),
                 backend(2, 20, errors=6), requests=180)
    )  # fmt: skip
    one, two = board.rows
    assert (one.requests_s, two.requests_s) == (30.0, 10.0)
    assert (one.share, two.share) == (0.75, 0.25)
    assert (one.errors_s, two.errors_s) == (2.0, 3.0)
    assert board.sum is not None
    assert (board.sum.requests_s, board.sum.in_flight) == (40.0, 4)


def test_a_share_is_of_the_set() -> None:
    board = Board()
    board.take(snapshot(0.0, backend(1, 0), backend(2, 0, set="other")))
    board.take(snapshot(1.0, backend(1, 9), backend(2, 1, set="other")))
    assert [row.share for row in board.rows] == [1.0, 1.0]


def test_totals_that_begin_anew_make_no_rate_below_nothing() -> None:
    board = Board()
    board.take(snapshot(0.0, backend(1, 1000), requests=1000))
    board.take(snapshot(1.0, backend(1, 10), requests=10))
    assert board.rows[0].requests_s == 0.0
    assert board.sum is not None
    assert board.sum.requests_s == 0.0


def test_snapshots_that_are_too_near_are_one() -> None:
    board = Board()
    board.take(snapshot(0.0, backend(1, 0)))
    board.take(snapshot(0.1, backend(1, 50)))
    board.take(snapshot(1.0, backend(1, 50)))
    assert board.rows[0].requests_s == 50.0


def test_a_clock_that_was_set_back_does_not_stop_the_figures() -> None:
    board = Board()
    board.take(snapshot(5000.0, backend(1, 0)))
    board.take(snapshot(1000.0, backend(1, 50)))
    assert board.rows[0].requests_s is None
    board.take(snapshot(1001.0, backend(1, 60)))
    assert board.rows[0].requests_s == 10.0


def test_who_is_ejected_says_so_but_for_who_is_down() -> None:
    ejected = {"why": "5 in a row", "at": 7.0}
    board = Board()
    board.take(
        snapshot(0.0, backend(1, 0, ejected=ejected),
                 backend(2, 0, ejected=ejected, verdict="down"))
    )  # fmt: skip
    one, two = board.rows
    assert (one.verdict, one.why, one.since) == ("ejected", "5 in a row", 7.0)
    assert (two.verdict, two.why, two.since) == ("down", "well", 5.0)


def rows(count: int = 3, **told: Any) -> list[Row]:
    board = Board()
    board.take(snapshot(0.0, *[backend(n, n) for n in range(count)]))
    board.take(snapshot(1.0, *[backend(n, 3 * n, **told) for n in range(count)]))
    return board.rows


@given(st.integers(20, 400), st.integers(1, 60), st.booleans(), st.text(max_size=90))
def test_a_line_is_never_wider_than_the_terminal(
    width: int, name: int, other: bool, why: str
) -> None:
    found = rows(why=why)
    long = replace(found[0], name="x" * name, why=why, set="b" if other else "a")
    shown = layout([long, *found[1:]], max(width, 38))
    line = " ".join(cell(column, w, column.text(long)) for column, w in shown)
    assert len(line) <= max(width, 38)
    assert {column.key for column, _ in shown} >= {"name", "state"}


def test_eighty_columns_show_what_matters() -> None:
    shown = {column.key for column, _ in layout(rows(), 80)}
    assert shown >= {
        "name", "state", "requests", "share", "errors", "p50", "p99", "in_flight",
        "probes",
    }  # fmt: skip
    assert {c.key for c, _ in layout(rows(), 200)} == {c.key for c in COLUMNS} - {"set"}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
def test_every_column_sorts_and_fits(column: Any) -> None:
    found = arranged(rows(), Order(column.key))
    assert len(found) == 3
    turned = arranged(rows(), Order(column.key).turned())
    assert {row.id for row in turned} == {row.id for row in found}
    assert len(column.title) <= max(column.width, 8)


def test_most_comes_first_and_troubles_do() -> None:
    found = rows()
    assert [row.id for row in arranged(found, Order("requests"))] == [2, 1, 0]
    found[1] = replace(found[1], verdict="down")
    assert arranged(found, Order("state"))[0].id == 1
    assert Order("why").next(1).key == "name"
    assert Order("name").next(-1).key == "why"


def test_rows_are_wanted_by_all_words() -> None:
    found = rows()
    assert [row.id for row in arranged(found, Order(), "WEB UP 0.2:")] == [2]
    assert arranged(found, Order(), "web down") == []


def test_figures_are_short() -> None:
    told = [rate(each) for each in (None, 0.0, 0.04, 99.94, 1234.5, 99_999.4, 1e6)]
    assert told == ["-", "0", "0.0", "99.9", "1234", "99999", "1000k"]
    told = [milliseconds(each) for each in (None, 0.0001, 0.0099, 0.01, 61.0)]
    assert told == ["-", "0.10", "9.90", "10", "61000"]


def test_states_in_words() -> None:
    row = rows()[0]
    assert state(row) == "UP"
    assert state(replace(row, wish="drain")) == "drain"
    assert state(replace(row, wish="maint", verdict="down")) == "maint DOWN"


def test_the_head_says_what_is_wrong() -> None:
    board = Board()
    told = snapshot(0.0, backend(1, 0, is_served=False))
    board.take(
        told | {
            "workers": [{"behind": 0}, {"behind": 2}],
            "sets": [{"name": "api", "is_panic": True}],
        }
    )  # fmt: skip
    assert board.sum is not None
    assert processes(board.sum) == (
        "NOTHING IS AVAILABLE · 0 of 1 backends get requests"
        " · workers: 1 of 2 HAVE NOT SEEN the last change · checker: NONE"
        " · set api in PANIC"
    )
    assert headline(board.sum, "here").startswith("- req/s · - err/s · p50 - p99 - ms")
    assert detail(None, "x") == "no backend has 'x'"
    assert detail(None, "") == "there is no backend"
