"""Races: who wins, who is ended, and what is left of it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event

from lb.streams.race import race
from tests.streams.pairs import PATIENCE_S, SOON_S

if TYPE_CHECKING:
    from collections.abc import Callable


class LostError(Exception):
    """An error that leaves the race to the other."""


class FatalError(Exception):
    """An error that ends it."""


class Track:
    """Runners that are told when to arrive, and what became of each."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.discarded: list[str] = []
        self.poor: set[str] = set()

    def runner(
        self, name: str, go: Event | None = None, error: Exception | None = None
    ) -> Callable[[], str]:
        def run() -> str:
            self.begun.append(name)
            try:
                if go is not None:
                    assert go.wait(PATIENCE_S)
            finally:
                self.ended.append(name)
            if error is not None:
                raise error
            return name

        return run

    def run(
        self, first: Callable[[], str], second: Callable[[], str], after_s: float = 0.01
    ) -> str:
        return race(
            first,
            second,
            after_s=after_s,
            losing=LostError,
            is_poor=lambda result: result in self.poor,
            discard=self.discarded.append,
        )


@pytest.fixture
def track() -> Track:
    return Track()


def test_the_second_never_begins_if_the_first_is_soon(track: Track) -> None:
    second = track.runner("b")
    assert track.run(track.runner("a"), second, after_s=PATIENCE_S) == "a"
    assert track.begun == ["a"]


def test_the_second_wins_and_the_first_is_ended(track: Track) -> None:
    never = Event()
    assert track.run(track.runner("a", never), track.runner("b")) == "b"
    assert (track.begun, track.ended) == (["a", "b"], ["b", "a"])
    assert track.discarded == []


def test_the_first_may_still_win(track: Track) -> None:
    go, never = Event(), Event()
    gevent.spawn_later(SOON_S, go.set)
    assert track.run(track.runner("a", go), track.runner("b", never)) == "a"
    assert track.ended == ["a", "b"]


def test_the_second_begins_after_its_time(track: Track) -> None:
    began = monotonic()
    assert track.run(track.runner("a", Event()), track.runner("b"), 0.1) == "b"
    assert 0.1 <= monotonic() - began < 2


def test_who_arrives_as_well_is_discarded(track: Track) -> None:
    go = Event()
    gevent.spawn_later(SOON_S, go.set)
    won = track.run(track.runner("a", go), track.runner("b", go))
    assert {won, *track.discarded} == {"a", "b"}


def test_a_first_that_fails_soon_fails_the_race(track: Track) -> None:
    with pytest.raises(LostError):
        track.run(track.runner("a", error=LostError()), track.runner("b"), PATIENCE_S)
    assert track.begun == ["a"]


@pytest.mark.parametrize("which", ["a", "b"])
def test_one_that_fails_leaves_it_to_the_other(track: Track, which: str) -> None:
    goes = {"a": Event(), "b": Event()}
    errors = {which: LostError()}
    gevent.spawn_later(SOON_S, goes[which].set)
    (other,) = {"a", "b"} - {which}
    gevent.spawn_later(2 * SOON_S, goes[other].set)
    runners = [track.runner(n, goes[n], errors.get(n)) for n in ("a", "b")]
    assert track.run(*runners) == other


def test_if_both_fail_the_error_is_the_firsts(track: Track) -> None:
    go = Event()
    gevent.spawn_later(SOON_S, go.set)
    with pytest.raises(LostError, match="first"):
        track.run(
            track.runner("a", go, LostError("first")),
            track.runner("b", go, LostError("second")),
        )


@pytest.mark.parametrize("which", ["a", "b"])
def test_any_other_error_ends_the_race(track: Track, which: str) -> None:
    goes = {"a": Event(), "b": Event()}
    gevent.spawn_later(SOON_S, goes[which].set)
    runners = [
        track.runner(n, goes[n], FatalError() if n == which else None)
        for n in ("a", "b")
    ]
    with pytest.raises(FatalError):
        track.run(*runners)
    assert sorted(track.ended) == ["a", "b"]


def test_who_is_killed_amid_a_race_leaves_no_runner(track: Track) -> None:
    racing = gevent.spawn(
        track.run, track.runner("a", Event()), track.runner("b", Event())
    )
    while len(track.begun) < 2:
        gevent.sleep(0.001)
    racing.kill()
    assert sorted(track.ended) == ["a", "b"]


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_poor_result_leaves_it_to_the_other(track: Track, which: str) -> None:
    goes = {"a": Event(), "b": Event()}
    track.poor = {which}
    (other,) = {"a", "b"} - {which}
    gevent.spawn_later(SOON_S, goes[which].set)
    gevent.spawn_later(2 * SOON_S, goes[other].set)
    a, b = (track.runner(name, goes[name]) for name in ("a", "b"))
    assert track.run(a, b) == other
    assert track.discarded == [which]


def test_a_poor_result_counts_more_than_an_error_and_the_first_more(
    track: Track,
) -> None:
    go = Event()
    gevent.spawn_later(SOON_S, go.set)
    track.poor = {"a", "b"}
    assert track.run(track.runner("a", go), track.runner("b", go)) == "a"
    late = Event()
    gevent.spawn_later(SOON_S, late.set)
    failed = track.runner("a", late, LostError())
    assert track.run(failed, track.runner("b", late)) == "b"


def test_a_poor_result_before_the_second_begins_is_the_result(track: Track) -> None:
    track.poor = {"a"}
    assert track.run(track.runner("a"), track.runner("b"), PATIENCE_S) == "a"
    assert track.begun == ["a"]
