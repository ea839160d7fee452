"""Byte locks: between opens of one process, between processes, and after death."""

from __future__ import annotations

import mmap
import os
import threading
from typing import TYPE_CHECKING

import pytest

from lb.errors import StateFileError
from lb.shm.locks import ByteLocks, held
from tests.shm.children import Child, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAKE = """
import os, sys
from lb.shm.locks import ByteLocks
locks = ByteLocks(os.open(sys.argv[1], os.O_RDWR))
print(locks.take(int(sys.argv[2])), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "locked"
    path.write_bytes(b"x" * 100)
    return path


@pytest.fixture
def pair(target: Path) -> Iterator[tuple[ByteLocks, ByteLocks]]:
    """Two opens of one file in one process."""
    fds = [os.open(target, os.O_RDWR) for _ in range(2)]
    yield ByteLocks(fds[0]), ByteLocks(fds[1])
    for fd in fds:
        os.close(fd)


def test_two_opens_of_one_process_exclude_each_other(
    pair: tuple[ByteLocks, ByteLocks],
) -> None:
    """Unlike POSIX locks, which one process can always take again."""
    one, two = pair
    assert one.take(1 << 40)
    assert not one.take(1 << 40)
    assert not two.take(1 << 40)
    assert two.take((1 << 40) + 1)
    one.free(1 << 40)
    assert two.take(1 << 40)


def test_closing_another_descriptor_does_not_drop_a_lock(
    target: Path, pair: tuple[ByteLocks, ByteLocks]
) -> None:
    """The trap of POSIX locks: a second open or a map that is closed ends them."""
    one, two = pair
    assert one.take(7)
    fd = os.open(target, os.O_RDWR)
    mmap.mmap(fd, 100).close()
    os.close(fd)
    assert not two.take(7)


def test_questions_do_not_take(pair: tuple[ByteLocks, ByteLocks]) -> None:
    """Asking who holds a byte, or any byte of a range, changes nothing."""
    one, two = pair
    one.take(1 << 41)
    assert (one.is_ours(1 << 41), one.is_others(1 << 41)) == (True, False)
    assert (two.is_ours(1 << 41), two.is_others(1 << 41)) == (False, True)
    assert one.is_held(1 << 41)
    assert two.is_others(1 << 40, 0)
    assert not two.is_others(1 << 40, 5)


def test_shared_locks_admit_each_other_only(pair: tuple[ByteLocks, ByteLocks]) -> None:
    """Several may prefer to lead."""
    one, two = pair
    assert one.take(9, shared=True)
    assert two.take(9, shared=True)
    assert one.is_others(9)
    two.free(9)
    assert not two.take(9)


def test_of_many_threads_one_gets_the_byte(pair: tuple[ByteLocks, ByteLocks]) -> None:
    """Also when they use the same open."""
    locks, got = pair[0], []
    gate = threading.Barrier(8)

    def contend() -> None:
        gate.wait(10)
        got.append(locks.take(3))

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(got) == [False] * 7 + [True]


def test_the_kernel_frees_a_dead_processs_lock(
    target: Path, pair: tuple[ByteLocks, ByteLocks]
) -> None:
    """SIGKILL leaves no time for clean-up, and needs none."""
    locks = pair[0]
    with Child(TAKE, target, 5) as child:
        assert child.line() == "True"
        assert not locks.take(5)
        child.kill()
        until(lambda: locks.take(5), "taking a dead process's lock", 2)


def test_waiting_for_a_lock_has_a_deadline(pair: tuple[ByteLocks, ByteLocks]) -> None:
    """The message asks the right question."""
    one, two = pair
    one.take(4)
    with (
        pytest.raises(StateFileError, match="stayed locked"),
        held(two, 4, timeout_s=0.05),
    ):
        pytest.fail("two hold it")  # pragma: no cover
    one.free(4)
    with held(two, 4, timeout_s=0.05):
        assert two.is_ours(4)
    assert not two.is_ours(4)
