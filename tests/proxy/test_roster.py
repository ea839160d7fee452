"""The roster follows the shared file: verdicts, wishes, changed tables."""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.balance.round_robin import RoundRobin
from lb.errors import UnavailableError
from lb.http1.request import RequestParser
from lb.http1.response import ResponseParser
from lb.model import Address, Backend, Verdict, Wish
from lb.proxy.backend_set import BackendSet, Judging
from lb.proxy.exchange import Request
from lb.proxy.loads import LiveLoads
from lb.proxy.roster import Roster
from lb.proxy.tally import LockedTally, PlainTally
from lb.proxy.waiting import QueueLimits, WaitingLine
from lb.shm import (
    Leadership,
    Record,
    SharedFile,
    Standing,
    VerdictWriter,
    publish,
)
from lb.streams.blocking import BlockingTransport
from lb.upstream.backend import LiveBackend, PoolLimits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lb.shm import Slot

PATIENCE_S = 5.0


def a_request() -> Request:
    head = RequestParser(limit_bytes=4096).parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head is not None
    return Request(head, b"")


def a_set(file: SharedFile, slot: Slot) -> tuple[PlainTally, BackendSet]:
    tally = PlainTally(slot)
    return tally, BackendSet(
        "default",
        RoundRobin(0),
        policy_name="round_robin",
        attempts=3,
        line=WaitingLine(QueueLimits(), slot.turns("default")),
        tally=tally,
        loads=LiveLoads(file.in_flight_reader()),
    )


class Scene:
    """A shared file, a process that serves, and the one that checks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        publish(path, self.backends())
        self.file = SharedFile.open(path)
        self.slot = self.file.take_slot()
        parser, transport = ResponseParser(limit_bytes=4096), BlockingTransport()
        limits = PoolLimits(idle=5, idle_s=60, age_s=600)
        self.tally, self.set = a_set(self.file, self.slot)
        self.roster = Roster(
            self.file,
            self.slot,
            {"default": self.set},
            lambda backend: LiveBackend(backend, transport, parser, limits),
        )
        # The checker is another process: it has the file open for itself.
        self.checkers = SharedFile.open(path)
        self.leadership = Leadership(self.checkers, preferred=True)
        assert self.leadership.try_acquire()
        self.pen = VerdictWriter(self.checkers, self.leadership)

    def backends(self, *weights: int) -> list[Backend]:
        given = weights or (1,) * len(self.listeners)
        wheres = [Address(*listener.getsockname()) for listener in self.listeners]
        return [
            Backend(name, where, weight)
            for name, where, weight in zip("abc", wheres, given, strict=False)
        ]

    def judge(self, name: str, verdict: Verdict) -> None:
        (state,) = (s for s in self.checkers.backends() if s.backend.name == name)
        stored = self.pen.set_verdict(state.row, state.id, verdict, reason="r", at=1.0)
        assert stored

    def wish(self, name: str, wish: Wish) -> None:
        (state,) = (s for s in self.checkers.backends() if s.backend.name == name)
        self.checkers.set_wish(state.row, wish)

    def chosen(self, turns: int) -> Counter[str]:
        return Counter(self.choose().name for _ in range(turns))

    def choose(self) -> LiveBackend:
        self.roster.refresh()
        request = a_request()
        backend = self.set.take(request)
        assert request.entered is not None
        self.tally.leave(request.entered)
        return backend

    def another(self, tried: list[LiveBackend]) -> LiveBackend | None:
        self.roster.refresh()
        request = a_request()
        try:
            backend = self.set.take_with_room(request, tried)
        except UnavailableError:
            return None
        assert request.entered is not None
        self.tally.leave(request.entered)
        return backend

    def idle_connection(self, name: str) -> socket.socket:
        """An idle connection to a backend; its far end."""
        self.choose()
        (live,) = (b for b in self.roster.backends if b.name == name)
        live.put(live.connect(PATIENCE_S), monotonic())
        assert live.idle_connections == 1
        far, _ = self.listeners["abc".index(name)].accept()
        far.settimeout(PATIENCE_S)
        return far

    def close(self) -> None:
        self.roster.close()
        self.leadership.release()
        self.checkers.close()
        self.slot.release()
        self.file.close()
        for listener in self.listeners:
            listener.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "state")
    yield made
    made.close()


def test_backends_without_a_verdict_are_candidates(scene: Scene) -> None:
    assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}


def test_a_backend_that_is_down_leaves_at_the_next_request_and_returns(
    scene: Scene,
) -> None:
    scene.choose()
    scene.judge("b", Verdict.DOWN)
    assert scene.chosen(6) == {"a": 3, "c": 3}
    scene.judge("b", Verdict.UP)
    assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}


@pytest.mark.parametrize("wish", [Wish.DRAIN, Wish.MAINT])
def test_a_backend_that_the_operator_takes_out_leaves_and_returns(
    scene: Scene, wish: Wish
) -> None:
    scene.choose()
    scene.wish("a", wish)
    assert scene.chosen(6) == {"b": 3, "c": 3}
    scene.judge("a", Verdict.UP)
    assert scene.chosen(6) == {"b": 3, "c": 3}, "whatever its health"
    scene.wish("a", Wish.READY)
    assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}


def test_idle_connections_of_a_backend_that_is_down_are_closed(scene: Scene) -> None:
    far_a, far_b = scene.idle_connection("a"), scene.idle_connection("b")
    scene.judge("b", Verdict.DOWN)
    scene.choose()
    assert far_b.recv(1) == b""
    far_b.close()
    (live,) = (b for b in scene.roster.backends if b.name == "a")
    assert live.idle_connections == 1, "the others keep theirs"
    far_a.close()


def test_idle_connections_are_closed_though_no_request_comes(scene: Scene) -> None:
    """A backend that stops in order waits for them."""
    far = scene.idle_connection("b")
    scene.judge("b", Verdict.DOWN)
    scene.roster.refresh()
    assert far.recv(1) == b""
    far.close()


def test_without_any_candidate_it_says_so_until_one_returns(scene: Scene) -> None:
    for name in "abc":
        scene.judge(name, Verdict.DOWN)
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            scene.choose()
        assert caught.value.status == 503
    scene.judge("b", Verdict.UP)
    assert scene.chosen(3) == {"b": 3}


def test_further_attempts_go_to_others_until_none_is_left(scene: Scene) -> None:
    tried: list[LiveBackend] = [scene.choose()]
    for _ in range(2):
        backend = scene.another(tried)
        assert backend is not None
        assert backend not in tried
        tried.append(backend)
    assert scene.another(tried) is None


def test_further_attempts_find_the_one_left_among_uneven_weights(scene: Scene) -> None:
    publish(scene.path, scene.backends(256, 1, 1), replace=True)
    tried = [scene.choose()]
    while (backend := scene.another(tried)) is not None:
        tried.append(backend)
    assert sorted(backend.name for backend in tried) == ["a", "b", "c"]


def test_when_all_went_down_meanwhile_a_further_attempt_has_none(scene: Scene) -> None:
    tried = [scene.choose()]
    for name in "abc":
        scene.judge(name, Verdict.DOWN)
    assert scene.another(tried) is None


def test_a_changed_weight_is_followed(scene: Scene) -> None:
    """The candidates are the same objects then; the policy must hear of it anyway."""
    assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}
    publish(scene.path, scene.backends(4, 1, 1), replace=True)
    assert scene.chosen(6) == {"a": 4, "b": 1, "c": 1}
    publish(scene.path, scene.backends(1, 1, 4), replace=True)
    assert scene.chosen(6) == {"a": 1, "b": 1, "c": 4}


def test_a_backend_that_stays_keeps_its_connections_and_one_gone_loses_them(
    scene: Scene,
) -> None:
    far_a, far_c = scene.idle_connection("a"), scene.idle_connection("c")
    publish(scene.path, scene.backends()[:2], replace=True)
    assert scene.chosen(4) == {"a": 2, "b": 2}
    assert far_c.recv(1) == b""
    (live,) = (b for b in scene.roster.backends if b.name == "a")
    assert live.idle_connections == 1
    for far in (far_a, far_c):
        far.close()


def test_the_generation_it_has_seen_is_told_in_its_slot(scene: Scene) -> None:
    scene.choose()
    scene.judge("a", Verdict.DOWN)
    (before,) = scene.checkers.slots()
    assert before.generation_seen < scene.checkers.generation()
    scene.choose()
    (after,) = scene.checkers.slots()
    assert after.generation_seen == scene.checkers.generation()


def test_the_table_is_read_only_when_something_changed(scene: Scene) -> None:
    scene.choose()
    before = {b.name: id(b) for b in scene.roster.backends}
    candidates = scene.set.candidates
    scene.chosen(10)
    assert scene.set.candidates is candidates
    scene.judge("a", Verdict.DOWN)
    scene.chosen(1)
    assert scene.set.candidates is not candidates
    assert {b.name: id(b) for b in scene.roster.backends} == before


@pytest.mark.parametrize("tally", [PlainTally, LockedTally])
def test_attempts_are_counted_in_cells_that_others_can_sum(
    scene: Scene, tally: type[PlainTally]
) -> None:
    backend = scene.choose()
    counts = tally(scene.slot)
    first, second = counts.enter(backend), counts.enter(backend)
    counts.attempt(backend, is_retry=False)
    counts.attempt(backend, is_retry=True)
    counts.leave(first)
    counts.fail(backend, "connection_refused", to_connect=True)
    others = scene.checkers
    assert others.in_flight(backend.row) == 1
    assert others.requests(backend.row) == 2
    assert others.failures(backend.row) == 1
    totals = others.totals()[backend.id]
    assert (totals.attempts, totals.retries) == (2, 1)
    counts.leave(second)
    assert others.in_flight(backend.row) == 0


def test_threads_that_choose_while_all_go_down_meet_nothing_worse(
    scene: Scene,
) -> None:
    """The portable lane chooses in many threads while the table changes."""
    over = threading.Event()
    surprises: list[Exception] = []

    def choose() -> None:
        while not over.is_set():
            try:
                scene.choose()
            except UnavailableError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
                surprises.append(error)
                return

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=choose) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(60):
            for verdict in (Verdict.DOWN, Verdict.UP):
                for name in "abc":
                    scene.judge(name, verdict)
    finally:
        over.set()
        sys.setswitchinterval(interval_s)
        for thread in threads:
            thread.join(PATIENCE_S)
    assert surprises == []


def test_following_one_verdict_among_thousands_takes_no_time(tmp_path: Path) -> None:
    """Reading all that is known of 2,000 backends took 90 ms, for each verdict."""
    table = [Backend(f"b{n}", Address("127.0.0.1", n + 1), 1) for n in range(2000)]
    publish(tmp_path / "state", table)
    transport, parser = BlockingTransport(), ResponseParser(limit_bytes=4096)
    limits = PoolLimits(idle=5, idle_s=60, age_s=600)
    with SharedFile.open(tmp_path / "state") as file:
        leadership = Leadership(file, preferred=True)
        assert leadership.try_acquire()
        pen = VerdictWriter(file, leadership)
        slot = file.take_slot()
        roster = Roster(
            file,
            slot,
            {"default": a_set(file, slot)[1]},
            lambda backend: LiveBackend(backend, transport, parser, limits),
        )
        roster.refresh()
        took_s = []
        for state in file.backends()[:10]:
            pen.set_verdict(state.row, state.id, Verdict.DOWN, reason="r", at=1.0)
            begun = monotonic()
            roster.refresh()
            took_s.append(monotonic() - begun)
        assert sum(backend.is_usable for backend in roster.backends) == 1990
        leadership.release()
    # The least of ten: whoever shares the machine does not take part in it.
    assert min(took_s) < 0.01


class TestStandings:
    """What the checker says beside the verdict."""

    def stand(self, scene: Scene, name: str, standing: Standing) -> None:
        (state,) = (s for s in scene.checkers.backends() if s.backend.name == name)
        record = Record(standing, since=1.0, reason="r")
        assert scene.pen.judge(state.row, state.id, record)

    def test_who_is_ejected_gets_nothing_and_loses_its_connections(
        self, scene: Scene
    ) -> None:
        far = scene.idle_connection("a")
        self.stand(scene, "a", Standing(Verdict.UP, is_ejected=True))
        assert scene.chosen(6) == {"b": 3, "c": 3}
        with far:
            far.settimeout(PATIENCE_S)
            assert far.recv(1) == b""
        self.stand(scene, "a", Standing(Verdict.UP))
        assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}

    def test_a_share_is_part_of_the_weight_beside_those_of_others(
        self, scene: Scene
    ) -> None:
        """Where all have the same share, it is as if they had all of it."""
        self.stand(scene, "a", Standing(Verdict.UP, share=10))
        assert scene.chosen(210) == {"a": 10, "b": 100, "c": 100}
        for name in "bc":
            self.stand(scene, name, Standing(Verdict.UP, share=10))
        assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}
        assert [b.weight for b in scene.roster.backends] == [1, 1, 1]

    def test_who_asks_for_nothing_gets_nothing(self, scene: Scene) -> None:
        self.stand(scene, "a", Standing(Verdict.UP, share=0))
        assert scene.chosen(4) == {"b": 2, "c": 2}
        assert [why for _, why in scene.set.excluded()] == ["own_wish"]

    def test_in_panic_all_that_can_be_connected_to_get_requests(
        self, scene: Scene
    ) -> None:
        """They are usable then, so that their connections are kept; and not after."""
        scene.set.use_judging(Judging(panic=50))
        self.stand(scene, "a", Standing(Verdict.DOWN))
        assert scene.chosen(4) == {"b": 2, "c": 2}
        assert not scene.set.is_panic
        assert not scene.set.has_marks
        self.stand(scene, "b", Standing(Verdict.UP, is_ejected=True))
        assert scene.chosen(6) == {"a": 2, "b": 2, "c": 2}
        assert scene.set.is_panic
        assert scene.set.has_marks
        assert all(b.is_usable for b in scene.roster.backends)
        self.stand(scene, "a", Standing(Verdict.DOWN, is_gone=True))
        assert scene.chosen(4) == {"c": 4}
        assert not scene.set.is_panic
        assert [b.is_usable for b in scene.roster.backends] == [False, False, True]
