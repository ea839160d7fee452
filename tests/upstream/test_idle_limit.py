"""What is learned of a backend's idle limit: histories, and what holds in all of them."""

from __future__ import annotations

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import TerminatedError
from lb.http1.response import ResponseParser
from lb.upstream.idle_limit import GROWTH, LEAST_S, RELEARN_S, IdleLimit, stay_below
from tests.streams.pairs import hub_until
from tests.upstream.test_pool import Place, hub_place

__all__ = ["hub_place"]

MOST_S = 60.0
LATER = RELEARN_S + 1

Event = tuple[str, float, float]
"""What happened, its time in seconds, and when."""

HISTORIES: dict[str, tuple[list[Event], float, str]] = {
    "nothing": ([], 60, "settings"),
    "it says 5 s": ([("said", 5, 0)], 4, "header"),
    "it says 1 s": ([("said", 1, 0)], 0.5, "header"),
    "it says 0 s": ([("said", 0, 0)], 0, "header"),
    "it says more than the settings": ([("said", 75, 0)], 60, "settings"),
    "it says another thing": ([("said", 5, 0), ("said", 20, 1)], 19, "header"),
    "a close after 2 s": ([("lost", 2, 9)], 1, "closes"),
    "closes after 5 and 4 s": ([("lost", 5, 9), ("lost", 4, 19)], 3, "closes"),
    "closes after 4 and 5 s": ([("lost", 4, 9), ("lost", 5, 19)], 3, "closes"),
    "many at once, all as old": (
        [("lost", 5, 9.0), ("lost", 5.1, 9.1), ("lost", 4.9, 9.2)],
        3.9,
        "closes",
    ),
    "many at once, of all ages": (
        [("lost", 30, 9.0), ("lost", 2, 9.01), ("lost", 0.3, 9.02)],
        60,
        "settings",
    ),
    "of all ages, after one that taught": (
        [("lost", 5, 1), ("lost", 2, 9.0), ("lost", 0.5, 9.1)],
        4,
        "closes",
    ),
    "a close right behind an answer": ([("lost", 0.01, 9)], 60, "settings"),
    "a close sooner than it says": ([("said", 5, 0), ("lost", 2, 9)], 1, "closes"),
    "one that lived as long": ([("lost", 8, 0), ("outlived", 0, 9)], 7, "closes"),
    "one that lived as long, later": (
        [("lost", 8, 0), ("outlived", 0, LATER)],
        8 * GROWTH - 1,
        "closes",
    ),
    "then a close again": (
        [("lost", 8, 0), ("outlived", 0, LATER), ("lost", 8.1, 2 * LATER)],
        7.1,
        "closes",
    ),
    "until the settings decide": (
        [("lost", 50, 0), ("outlived", 0, LATER)],
        60,
        "settings",
    ),
    "what it says is never outlived": (
        [("said", 5, 0), ("outlived", 0, LATER)],
        4,
        "header",
    ),
}


def play(limit: IdleLimit, events: list[Event]) -> None:
    for name, seconds, now in events:
        if name == "said":
            limit.said(seconds)
        elif name == "lost":
            limit.lost(seconds, now)
        else:
            limit.outlived(now)


@pytest.mark.parametrize("name", HISTORIES)
def test_what_is_learned(name: str) -> None:
    events, keep_s, source = HISTORIES[name]
    limit = IdleLimit(MOST_S)
    play(limit, events)
    assert (limit.keep_s, limit.source) == (pytest.approx(keep_s), source)
    assert source in repr(limit)


events = st.lists(
    st.tuples(
        st.sampled_from(["said", "lost", "outlived"]),
        st.floats(0, 10_000),
        st.floats(0, 1000),
    ),
    max_size=30,
).map(lambda found: sorted(found, key=lambda event: event[2]))


@given(events, st.floats(0, MOST_S))
def test_it_is_never_more_than_the_settings_nor_negative(
    history: list[Event], most_s: float
) -> None:
    limit = IdleLimit(most_s)
    play(limit, history)
    assert 0 <= limit.keep_s <= most_s


@given(events, st.floats(LEAST_S, 50))
def test_a_lone_close_is_always_stayed_below(
    history: list[Event], idle_s: float
) -> None:
    limit = IdleLimit(MOST_S)
    play(limit, history)
    limit.lost(idle_s, 2000.0)
    assert limit.keep_s <= stay_below(idle_s)


@given(events)
def test_nothing_that_was_learned_from_closes_lasts_for_ever(
    history: list[Event],
) -> None:
    """Whatever happened, a backend that keeps connections is found out again."""
    limit = IdleLimit(MOST_S)
    play(limit, [event for event in history if event[0] != "said"])
    for step in range(1, 20):
        limit.outlived(1000 + step * LATER)
    assert limit.source == "settings"


def test_a_close_that_is_seen_on_an_idle_connection_teaches(hub_place: Place) -> None:
    backend = hub_place.backend
    connection = hub_place.connect()
    backend.put(connection, connection.born)
    connection.idle_since -= 3.0
    hub_place.far[0].close()
    hub_until(lambda: not backend.idle_connections)
    assert backend.idle_limit.source == "closes"
    assert 1.9 < backend.idle_limit.keep_s < 2.5


@pytest.mark.parametrize(("crossed", "source"), [(True, "closes"), (False, "settings")])
def test_a_close_that_crosses_a_request_teaches(
    hub_place: Place, crossed: bool, source: str
) -> None:
    """As clients do that ask just as often as their backend has had enough."""
    backend = hub_place.backend
    connection = hub_place.connect()
    connection.requests = 1
    backend.put(connection, connection.born)
    connection.idle_since -= 3.0
    assert backend.take_idle(connection.born) is connection
    connection.requests = 2
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    if not crossed:
        connection.taken_at -= 1.0  # it thought about it for a second
    hub_place.far[0].close()
    with pytest.raises(TerminatedError):
        connection.read_head(b"GET")
    assert backend.idle_limit.source == source
    assert backend.idle_limit.keep_s == pytest.approx(2.0 if crossed else MOST_S)


def test_an_idle_connection_that_expired_is_no_close(hub_place: Place) -> None:
    backend = hub_place.live(idle_s=0.3)
    connection = hub_place.connect(backend)
    backend.put(connection, connection.born)
    hub_until(lambda: not backend.idle_connections)
    gevent.sleep(0)
    assert backend.idle_limit.source == "settings"


def test_what_one_answer_says_holds_for_all_connections(hub_place: Place) -> None:
    backend = hub_place.backend
    a, b = hub_place.connect(), hub_place.connect()
    wire = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=7\r\nContent-Length: 0\r\n\r\n"
    head = ResponseParser(limit_bytes=4096).parse(wire, b"GET")
    assert head is not None
    a.take_body(head)
    backend.put(b, b.born)
    assert b.expires == b.born + 6
    a.close()
