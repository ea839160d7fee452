"""When probes are due, on a clock that tests hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.health.schedule import Pace, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

MIDDLE = 0.5
"""The chance that gives no jitter at all."""


PACE = Pace(2.0, 0.5)


def schedule(chance: float = MIDDLE) -> Schedule:
    return Schedule(lambda: chance)


def paced(keys: Iterable[int], pace: Pace = PACE) -> dict[int, Pace]:
    return dict.fromkeys(keys, pace)


def started(keys: int) -> Schedule:
    """With first probes done at once, at time 0 all of them."""
    made = schedule()
    made.reset(paced(range(keys)), -10.0)
    for key in made.take_due(0.0, keys):
        made.done(key, 0.0, in_doubt=False)
    return made


@pytest.mark.parametrize(
    ("count", "last"), [(1, 0.0), (2, 0.25), (4, 0.375), (64, 0.4921875), (100, 1.98)]
)
def test_first_probes_are_spread(count: int, last: float) -> None:
    """Over half a second, or over an interval when there are many."""
    made = schedule()
    made.reset(paced(range(count)), 0.0)
    assert made.take_due(0.0, count) == [0]
    assert len(made.take_due(last - 0.001, count)) == max(0, count - 2)
    assert len(made.take_due(last, count)) == (1 if count > 1 else 0)


@pytest.mark.parametrize(("chance", "gap"), [(0.0, 1.8), (0.5, 2.0), (1.0, 2.2)])
def test_probes_are_an_interval_apart_give_or_take(chance: float, gap: float) -> None:
    """From start to start, whatever the probe took."""
    made = schedule(chance)
    made.reset(paced([7]), 0.0)
    assert made.take_due(0.0, 1) == [7]
    made.done(7, 0.9, in_doubt=False)
    assert made.next_due() == pytest.approx(gap)


def test_in_doubt_the_fast_interval_counts() -> None:
    """Without jitter: a verdict should come soon."""
    made = started(1)
    assert made.take_due(2.0, 1) == [0]
    made.done(0, 2.1, in_doubt=True)
    assert made.next_due() == 2.5


def test_a_probe_longer_than_its_gap_is_followed_at_once() -> None:
    """But never by two."""
    made = started(1)
    made.take_due(2.0, 1)
    made.done(0, 9.0, in_doubt=True)
    assert made.take_due(9.0, 5) == [0]
    assert made.take_due(99.0, 5) == []


def test_probe_now_waits_for_the_fast_interval_only() -> None:
    """A thousand failed connects ask for one probe."""
    made = started(1)
    for _ in range(1000):
        made.probe_now(0, 0.1)
    assert made.next_due() == 0.5
    made.probe_now(0, 1.0)
    assert made.next_due() == 0.5
    assert made.take_due(1.0, 5) == [0]


def test_probe_now_is_never_later_than_planned() -> None:
    """It can only bring a probe forward."""
    made = started(1)
    made.probe_now(0, 1.9)
    assert made.next_due() == 1.9
    made.probe_now(0, 1.95)
    assert made.next_due() == 1.9


def test_probe_now_while_one_is_under_way_asks_for_another() -> None:
    """The one under way may have begun before the backend died."""
    made = started(1)
    made.take_due(2.0, 1)
    made.probe_now(0, 2.1)
    made.done(0, 2.2, in_doubt=False)
    assert made.next_due() == 2.5


def test_the_limit_leaves_the_rest_due() -> None:
    """What finds no room now is first the next time."""
    made = started(5)
    assert made.take_due(2.0, 2) == [0, 1]
    assert made.take_due(2.0, 9) == [2, 3, 4]


def test_a_reset_keeps_who_stays_and_forgets_who_left() -> None:
    """A change of one backend does not bring the others forward."""
    made = started(2)
    made.reset(paced([1, 2]), 1.0)
    assert len(made) == 2
    assert made.take_due(1.0, 9) == [2]
    made.done(0, 1.0, in_doubt=False)
    made.probe_now(0, 1.0)
    assert made.take_due(2.0, 9) == [1]
    made.reset(paced([]), 2.0)
    made.done(1, 2.0, in_doubt=False)
    assert made.next_due() is None


def test_each_key_has_a_pace_of_its_own() -> None:
    """Also while in doubt; a fast interval is never the longer one."""
    made = schedule()
    made.reset({0: Pace(2.0, 0.5), 1: Pace(10.0, 20.0), 2: Pace(0.25, 0.1)}, -9.0)
    for key in made.take_due(0.0, 9):
        made.done(key, 0.0, in_doubt=False)
    times = {}
    for at in (0.25, 2.0, 10.0):
        (times[at],) = made.take_due(at, 9)
    assert times == {0.25: 2, 2.0: 0, 10.0: 1}
    for key in (0, 1, 2):
        made.done(key, 10.0, in_doubt=True)
    assert sorted(made.take_due(10.0, 9)) == [0, 2]
    assert made.next_due() == 20.0


def test_first_probes_of_many_are_spread_over_their_own_intervals() -> None:
    """Those of one pace evenly among themselves, so that no set makes a burst."""
    made = schedule()
    made.reset(paced(range(50), PACE) | paced(range(50, 150), Pace(10.0, 1.0)), 0.0)
    fast = [key for key in made.take_due(1.0, 999) if key < 50]
    assert len(fast) == 26
    made.take_due(2.0, 999)
    assert len(made.take_due(6.0, 999)) == 40


def test_a_key_that_changes_its_pace_waits_no_longer_than_the_new_one() -> None:
    """It has been moved to another set; one under way changes when it is done."""
    made = started(3)
    assert made.take_due(2.0, 1) == [0]
    quick = Pace(0.1, 0.1)
    made.reset({0: quick, 1: quick, 2: Pace(9.0, 1.0)}, 2.0)
    assert made.take_due(2.0, 9) == [1, 2]
    made.done(0, 2.05, in_doubt=False)
    made.done(2, 2.05, in_doubt=False)
    assert made.take_due(2.1, 9) == [0]
    assert made.next_due() == 11.0


EVENTS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0, 3)),
    st.tuples(st.just("take"), st.integers(0, 4)),
    st.tuples(st.just("done"), st.booleans()),
    st.tuples(st.just("now"), st.integers(0, 5)),
    st.tuples(
        st.just("reset"),
        st.dictionaries(
            st.integers(0, 5),
            st.builds(Pace, st.floats(0.001, 90), st.floats(0.001, 90)),
        ),
    ),
)


@given(st.lists(EVENTS, max_size=80))
def test_every_key_waits_or_is_under_way(events: list[tuple[str, object]]) -> None:
    """Whatever happens, none is lost, and none is probed twice at a time."""
    made, now, keys = schedule(), 0.0, set(range(4))
    made.reset(paced(keys), now)
    under_way: list[int] = []
    for what, value in events:
        if what == "wait" and isinstance(value, float):
            now += value
        elif what == "take" and isinstance(value, int):
            taken = made.take_due(now, value)
            assert not set(taken) & set(under_way)
            under_way += taken
        elif what == "done" and under_way:
            made.done(under_way.pop(0), now, in_doubt=bool(value))
        elif what == "now" and isinstance(value, int):
            made.probe_now(value, now)
        elif what == "reset" and isinstance(value, dict):
            keys = set(value)
            made.reset(value, now)
            under_way = [key for key in under_way if key in keys]
    assert set(made.take_due(now + 100, 99)) == keys - set(under_way)
