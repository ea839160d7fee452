"""What repeats is kept, what does not is not, and neither grows."""

from __future__ import annotations

from lb.http1.memory import Memory


def test_what_came_once_is_not_kept() -> None:
    memory: Memory[int] = Memory(limit=4, limit_bytes=10)
    memory.offer(b"a", 1)
    assert memory.get(b"a") is None
    assert len(memory) == 0


def test_what_came_twice_is_kept() -> None:
    memory: Memory[int] = Memory(limit=4, limit_bytes=10)
    memory.offer(b"a", 1)
    memory.offer(b"a", 2)
    assert memory.get(b"a") == 2


def test_what_is_too_long_is_not_kept() -> None:
    memory: Memory[int] = Memory(limit=4, limit_bytes=10)
    for _ in range(3):
        memory.offer(b"x" * 11, 1)
    assert len(memory) == 0


def test_there_are_never_more_than_the_limit() -> None:
    memory: Memory[int] = Memory(limit=4, limit_bytes=10)
    for number in range(1000):
        for _ in range(2):
            memory.offer(b"%d" % number, number)
        assert memory.get(b"%d" % number) == number
        assert len(memory) <= 4
