"""The checker on real sockets, files and processes."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lb.health import Checker
from lb.health.verdict import Transition
from lb.health.wording import past_of, reason_of
from lb.model import Address, Backend, Verdict, Wish
from lb.shm import ProbeRecord, SharedFile, leader_pid, publish
from lb.shm.blocks import in_flight_cell
from lb.shm.layout import Row
from tests.health.listeners import free_port, listening, reply, serving
from tests.shm.children import Child, backends, until
from tests.shm.present import present

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.health.conftest import Quick

LOG = logging.getLogger("tests.health")

CHECK = """
import logging, sys, threading
from lb.health import Checker
from lb.shm import SharedFile
from tests.health.conftest import Quick
file = SharedFile.open(sys.argv[1])
log = logging.getLogger("child")
print("going", flush=True)
Checker(
    file, Quick(), log, preferred=sys.argv[2] == "preferred", stop=threading.Event()
).run()
"""


CHECK_IN_GEVENT = """
from gevent import monkey
monkey.patch_all()
import logging, sys, threading, time
from lb.health import Checker
from lb.shm import SharedFile
from tests.health.conftest import Quick
with SharedFile.open(sys.argv[1]) as file:
    stop = threading.Event()
    checker = Checker(
        file, Quick(), logging.getLogger(), preferred=False, stop=stop
    )
    thread = threading.Thread(target=checker.run)
    thread.start()
    longest, last, end = 0.0, time.monotonic(), time.monotonic() + 20
    while {s.verdict.name for s in file.backends()} != {"UP", "DOWN"}:
        assert time.monotonic() < end
        time.sleep(0.001)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    stop.set()
    thread.join()
print(longest, flush=True)
"""


@contextmanager
def checking(path: Path, settings: Quick, **by_set: Quick) -> Iterator[threading.Event]:
    """A checker in a thread, with an open of its own; stopped when the block ends."""
    stop = threading.Event()
    with SharedFile.open(path) as own:
        checker = Checker(own, settings, LOG, preferred=False, stop=stop, by_set=by_set)
        thread = threading.Thread(target=checker.run)
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)


def verdicts(file: SharedFile) -> list[str]:
    return [state.verdict.name for state in file.backends()]


def until_all_probes_are_new(file: SharedFile) -> None:
    """Ten more probes were made of the first backend."""
    newest = file.backends()[0].probes[-1]
    until(lambda: newest not in file.backends()[0].probes, "ten more probes")


def transitions(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if line.startswith("backend ")]


def test_verdicts_follow_a_backend_that_dies_and_returns(
    path: Path, quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    """Each transition is stored with its reason and logged once."""
    port = free_port()
    publish(path, backends(port))
    with SharedFile.open(path) as file, checking(path, quick):
        with listening(port):
            until(lambda: verdicts(file) == ["UP"], "the first verdict", 3)
        until(lambda: verdicts(file) == ["DOWN"], "the fall", 5)
        down = file.backends()[0]
        with listening(port):
            until(lambda: verdicts(file) == ["UP"], "the return", 5)
    assert down.reason.startswith("3 checks failed, last: refused after 0.")
    assert abs(down.since - time.time()) < 60
    assert down.last_probe is not None
    assert down.last_probe.detail == "refused"
    name = f"backend web{port} (127.0.0.1:{port}) is"
    lines = transitions(caplog)
    assert [line.split(": ")[0] for line in lines] == [
        f"{name} UP",
        f"{name} DOWN",
        f"{name} UP",
    ]
    assert "1 check passed, last: connected in 0." in lines[0]
    assert "(its first verdict)" in lines[0]
    assert "(was UP for " in lines[1]
    assert "2 checks passed" in lines[2]


def test_first_verdicts_come_fast(path: Path, quick: Quick) -> None:
    """Of all backends within half a second or so, however long the interval."""
    slow = replace(quick, interval=60.0)
    with ExitStack() as stack:
        ports = [stack.enter_context(listening()).port for _ in range(10)]
        publish(path, backends(*ports))
        file = stack.enter_context(SharedFile.open(path))
        stack.enter_context(checking(path, slow))
        until(lambda: verdicts(file) == ["UP"] * 10, "the first verdicts", 3)


def test_failures_seen_by_traffic_ask_for_a_probe_now(path: Path, quick: Quick) -> None:
    """With an interval of a minute, the verdict still comes at once."""
    slow = replace(quick, interval=60.0)
    port = free_port()
    publish(path, backends(port))
    with SharedFile.open(path) as file:
        slot = file.take_slot()
        with checking(path, slow):
            with listening(port):
                until(lambda: verdicts(file) == ["UP"], "the first verdict", 3)
            file.cells[present(file, slot, 0).connect_failures] += 1
            slot.faults().note(slot.row(0, 1))
            until(lambda: verdicts(file) == ["DOWN"], "the fall", 3)


def test_a_backend_in_maintenance_is_not_probed(path: Path, quick: Quick) -> None:
    """Until it is ready again."""
    with listening() as one, listening() as two:
        publish(path, backends(one.port, two.port))
        with SharedFile.open(path) as file:
            file.set_wish(0, Wish.MAINT)
            with checking(path, quick):
                until(
                    lambda: len(file.backends()[1].probes) >= 3, "three probes of two"
                )
                assert file.backends()[0].probes == ()
                file.set_wish(0, Wish.READY)
                until(lambda: verdicts(file) == ["UP", "UP"], "the verdict", 3)


def test_backends_that_come_are_checked(path: Path, quick: Quick) -> None:
    """A change of the table under a running checker."""
    with listening() as one, listening() as two:
        publish(path, backends(one.port))
        with SharedFile.open(path) as file, checking(path, quick):
            until(lambda: verdicts(file) == ["UP"], "the first verdict", 3)
            publish(path, backends(one.port, two.port), replace=True)
            until(lambda: verdicts(file) == ["UP", "UP"], "the second", 3)


def test_a_stand_by_goes_on_from_the_verdicts_in_force(
    path: Path, quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    """A change of leaders is no transition."""
    quick = replace(quick, interval=0.05)
    port = free_port()
    publish(path, backends(port))
    with SharedFile.open(path) as file:
        for _ in range(2):
            with checking(path, quick):
                until(lambda: verdicts(file) == ["DOWN"], "the verdict", 5)
                until_all_probes_are_new(file)
    assert len(transitions(caplog)) == 1


def test_a_stop_is_prompt_while_probes_hang(path: Path, quick: Quick) -> None:
    """Probes under way are not waited for; the lead is given up."""
    hang = replace(quick, timeout=1.5, kind="http")
    with listening() as address:
        publish(path, backends(address.port))
        with SharedFile.open(path) as file:
            with checking(path, hang) as stop:
                until(lambda: leader_pid(file) is not None, "leading", 3)
                stop.set()
                took = until(lambda: leader_pid(file) is None, "the stop", 3)
            assert took < 0.5


def test_a_killed_checker_is_followed_within_two_seconds(
    path: Path, quick: Quick
) -> None:
    """Its verdicts stay in force, and the next one's are seen by all."""
    with listening() as address:
        publish(path, backends(address.port))
        with (
            SharedFile.open(path) as file,
            Child(CHECK, path, "ordinary") as child,
        ):
            until(lambda: verdicts(file) == ["UP"], "a verdict of another process")
            with checking(path, quick):
                assert leader_pid(file) == child.pid
                child.kill()
                until(lambda: leader_pid(file) not in (None, child.pid), "following", 2)
                assert verdicts(file) == ["UP"]
                probes = file.backends()[0].probes
                until(lambda: file.backends()[0].probes != probes, "a probe", 3)


def test_the_preferred_checker_gets_the_lead(path: Path, quick: Quick) -> None:
    """A worker that checks health steps back when the health process comes."""
    publish(path, backends(free_port()))
    with SharedFile.open(path) as file, checking(path, quick):
        ours = until(lambda: leader_pid(file), "leading", 3)
        assert ours < 3
        with Child(CHECK, path, "preferred") as child:
            until(lambda: leader_pid(file) == child.pid, "stepping back")
            child.kill()
            until(lambda: leader_pid(file) not in (None, child.pid), "following", 2)


def test_dead_processes_slots_are_swept(path: Path, quick: Quick) -> None:
    """By the leader, within seconds."""
    publish(path, backends(free_port()))
    code = (
        "import sys; from lb.shm import SharedFile;"
        "from tests.shm.present import present;"
        "file = SharedFile.open(sys.argv[1]); slot = file.take_slot();"
        "file.cells[present(file, slot, 0).in_flight] += 1; print('in', flush=True);"
        "sys.stdin.readline()"
    )
    with SharedFile.open(path) as file, checking(path, quick):
        with Child(code, path) as child:
            child.line()
        cell = in_flight_cell(file.geometry, 0, 0)
        until(lambda: file.cells[cell] == 0, "the sweep", 5)


def test_many_backends_are_checked_with_few_threads(path: Path, quick: Quick) -> None:
    """Bounded concurrency delays probes but loses none."""
    few = replace(quick, concurrency=2)
    with serving(reply(b"")) as (address, _):
        many = [Backend(f"b{n}", address) for n in range(150)]
        publish(path, many)
        with SharedFile.open(path) as file, checking(path, few):
            until(lambda: verdicts(file) == ["UP"] * 150, "all verdicts", 10)
            names = [t.name for t in threading.enumerate()]
            assert sum(name.startswith("health-probe") for name in names) <= 2


def test_a_fault_in_the_loop_is_logged_and_survived(
    path: Path, quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a checker there would be no verdicts: it goes on after a pause."""
    with listening() as address:
        publish(path, backends(address.port))
        with SharedFile.open(path) as file:
            at = file.geometry.row(0) + Row.ADDRESS_BYTES
            good = file.cells[at]
            file.cells[at] = 1  # no address can be so short: reading it fails
            with checking(path, quick):
                until(lambda: "goes on in a second" in caplog.text, "the log line")
                file.cells[at] = good
                until(lambda: verdicts(file) == ["UP"], "the recovery", 5)


def test_each_backend_is_checked_by_its_sets_settings(path: Path, quick: Quick) -> None:
    """One address in three sets: only one of them is content with an answer of 404."""
    picky = replace(quick, kind="http", path="/no")
    content = replace(picky, status=[404])
    answer = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
    with serving(reply(answer)) as (address, _):
        sets = {"a": "default", "b": "content", "c": "picky", "d": "unheard-of"}
        publish(path, [Backend(name, address, group=g) for name, g in sets.items()])
        with (
            SharedFile.open(path) as file,
            checking(path, quick, content=content, picky=picky),
        ):
            expected = ["UP", "UP", "DOWN", "UP"]
            until(lambda: verdicts(file) == expected, "the verdicts", 5)
            details = [state.probes[-1].detail for state in file.backends()]
    assert details[0] == details[3] == "connected"
    assert details[1:3] == ["status 404", "status 404, expected range(200, 400)"]


def test_a_backend_that_is_moved_is_checked_as_its_new_set_says(
    path: Path, quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    """Its verdict stays until the new probes speak against it."""
    slow = replace(quick, interval=60.0)
    picky = replace(quick, kind="http", interval=0.1, fall=2)
    with serving(reply(b"no HTTP\r\n\r\n")) as (address, _):
        publish(path, [Backend("a", address)])
        with SharedFile.open(path) as file, checking(path, slow, picky=picky):
            until(lambda: verdicts(file) == ["UP"], "the first verdict", 3)
            publish(path, [Backend("a", address, group="picky")], replace=True)
            until(lambda: verdicts(file) == ["DOWN"], "the fall", 5)
            assert file.backends()[0].id == 1
    assert "was UP for" in transitions(caplog)[1]
    assert "2 checks failed" in transitions(caplog)[1]


@pytest.mark.parametrize(
    ("transition", "record", "reason", "past"),
    [
        (
            Transition(Verdict.UP, Verdict.DOWN, 3),
            ProbeRecord(0.0, 0.0012, False, "refused"),
            "3 checks failed, last: refused after 0.001 s",
            "was UP for 12.3 s",
        ),
        (
            Transition(Verdict.UP, Verdict.DOWN, 1),
            ProbeRecord(0.0, 1.0, False, "timed out after 1.0 s"),
            "1 check failed, last: timed out after 1.0 s",
            "was UP for 12.3 s",
        ),
        (
            Transition(Verdict.UNKNOWN, Verdict.UP, 1),
            ProbeRecord(0.0, 0.002, True, "connected"),
            "1 check passed, last: connected in 0.002 s",
            "its first verdict",
        ),
    ],
)
def test_reasons_are_sentences(
    transition: Transition, record: ProbeRecord, reason: str, past: str
) -> None:
    """As people read them in the log and in `lb status`."""
    assert reason_of(transition, record) == reason
    assert past_of(transition, 12.34) == past


def test_a_unix_socket_backend_is_checked(
    path: Path, quick: Quick, tmp_path: Path
) -> None:
    """Addresses of both kinds are in one table."""
    publish(path, [Backend("u", Address(path=str(tmp_path / "none")))])
    with SharedFile.open(path) as file, checking(path, quick):
        until(lambda: verdicts(file) == ["DOWN"], "the verdict", 5)
        assert "no such socket" in file.backends()[0].reason


def test_in_a_gevent_worker_the_checker_does_not_block(path: Path) -> None:
    """Its thread and its probes are greenlets there, and others run meanwhile."""
    nobody = Address("127.0.0.1", free_port())
    with listening() as address:
        publish(path, [Backend("up", address), Backend("down", nobody)])
        with Child(CHECK_IN_GEVENT, path) as child:
            assert float(child.line()) < 0.5
            assert child.wait() == 0
