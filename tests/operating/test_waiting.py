"""A drain is over when all have seen it and nothing is in flight, and not before."""

from __future__ import annotations

import threading
from time import monotonic, time
from typing import TYPE_CHECKING

import pytest

from lb.errors import OperationError
from lb.model import Verdict, Wish
from lb.operating import (
    OnFile,
    set_weight,
    set_wish,
    wait_drained,
    wait_seen,
    wait_up,
)
from lb.shm import Leadership, VerdictWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.operating import Done, Outcome, Standing
    from tests.operating.conftest import Scene


class Told:
    """What a wait tells; `when` acts on what it hears."""

    def __init__(self, when: Callable[[Standing], None] = lambda _: None) -> None:
        self.seen: list[tuple[int, int]] = []
        self._when = when

    def __call__(self, standing: Standing, left_s: float) -> None:
        assert left_s >= 0
        state = (standing.total, standing.behind)
        if not self.seen or self.seen[-1] != state:
            self.seen.append(state)
            self._when(standing)


def drain(scene: Scene, *names: str) -> Done:
    return set_wish(scene.file, names, Wish.DRAIN)


def wait(scene: Scene, done: Done, told: Told, *, wait_s: float = 20.0) -> Outcome:
    return wait_drained(OnFile(scene.file, done), cut_at=time() + wait_s, tell=told)


def test_it_waits_for_who_has_not_seen_it_then_for_what_is_in_flight(
    scene: Scene,
) -> None:
    def go_on(standing: Standing) -> None:
        if standing.behind:
            scene.see()
        elif standing.in_flight["web1"]:
            scene.begin("web1", -1)
        elif standing.total:
            scene.begin("web2", -1)

    scene.begin("web1", 2)
    scene.begin("web2", 1)
    scene.begin("web3", 5)
    told = Told(go_on)
    outcome = wait(scene, drain(scene, "web1", "web2"), told)
    assert outcome.is_good
    assert told.seen == [(3, 1), (3, 0), (2, 0), (1, 0), (0, 0)]


def test_who_has_not_seen_it_may_still_choose_the_backend(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lb.operating.waiting.GRACE_S", 0.2)
    told = Told()
    outcome = wait(scene, drain(scene, "web1"), told, wait_s=0.1)
    assert not outcome.is_good
    assert (outcome.cut, outcome.behind) == (0, 1)
    assert told.seen == [(0, 1)]


def test_what_was_cut_is_told_also_when_it_is_over_at_once(scene: Scene) -> None:
    scene.begin("web1", 5)
    scene.cut("web1", 2)
    done = drain(scene, "web1")
    scene.see()
    told = Told(lambda standing: scene.cut("web1", standing.total))
    outcome = wait(scene, done, told)
    assert told.seen == [(3, 0), (0, 0)]
    assert (outcome.is_good, outcome.cut, outcome.left) == (False, 3, 0)


def test_what_goes_on_in_spite_of_the_deadline_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is stopped cuts nothing."""
    monkeypatch.setattr("lb.operating.waiting.GRACE_S", 0.2)
    done = drain(scene, "web1")
    scene.see()
    scene.begin("web1", 3)
    outcome = wait(scene, done, Told(), wait_s=0.1)
    assert (outcome.is_good, outcome.cut, outcome.left) == (False, 0, 3)


def test_a_backend_that_is_gone_has_nothing_in_flight(scene: Scene) -> None:
    from lb.operating import remove

    done = drain(scene, "web1")
    scene.begin("web1")
    remove(scene.file, done.rows)
    scene.see()
    assert wait(scene, done, Told()).is_good


def test_a_drain_that_somebody_undoes_is_told(scene: Scene) -> None:
    done = drain(scene, "web1")
    scene.begin("web1")
    told = Told(lambda _: set_wish(scene.file, ["web1"], Wish.READY) and None)
    with pytest.raises(OperationError, match="web1 was made ready again"):
        wait(scene, done, told)


def test_nobody_serves_so_nothing_is_waited_for(scene: Scene) -> None:
    scene.slot.release()
    assert wait(scene, drain(scene, "web1"), Told()).waited_s < 1


def test_a_weight_is_waited_for_until_it_is_seen(scene: Scene) -> None:
    done = set_weight(scene.file, ["web1"], 3)
    assert wait_seen(OnFile(scene.file, done), timeout_s=0.1).behind == 1
    scene.see()
    assert wait_seen(OnFile(scene.file, done), timeout_s=20).is_good


def test_ready_is_waited_for_until_the_checker_finds_it_up(scene: Scene) -> None:
    done = set_wish(scene.file, ["web1", "web2"], Wish.READY)
    leadership = Leadership(scene.process)
    assert leadership.try_acquire()
    pen = VerdictWriter(scene.process, leadership)
    one, two = done.rows

    def judge(row: int, row_id: int) -> None:
        pen.set_verdict(row, row_id, Verdict.UP, reason="r", at=1.0)
        scene.see()

    judge(one.row, one.id)
    late = wait_up(OnFile(scene.file, done), timeout_s=0.1)
    assert (late.is_good, late.not_up) == (False, ("web2",))
    begun = monotonic()
    judging = threading.Timer(0.2, judge, (two.row, two.id))
    judging.start()
    assert wait_up(OnFile(scene.file, done), timeout_s=20).is_good
    judging.join()
    assert 0.1 < monotonic() - begun < 10
    leadership.release()
