"""The backend of the trials and their clients: each fault is seen for what it is."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from trials import fleet
from trials.asking import Answer, Ask, Line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trials.fleet import Backend

pytestmark = pytest.mark.live

ASKS = {
    "page": Ask(b"1", wants=500),
    "chunked": Ask(b"2", wants=50_000, is_chunked=True),
    "slow reader": Ask(b"3", wants=50_000, reads_slowly=True),
    "head": Ask(b"4", b"HEAD", wants=500),
    "form": Ask(b"5", b"POST", sends=300),
    "upload": Ask(b"6", b"POST", sends=100_000, is_chunked=True),
    "careful": Ask(b"7", b"POST", sends=300, expects=True),
    "change": Ask(b"8", b"PUT", sends=300),
    "tunnel": Ask(b"9", wants=300, upgrades=True),
}


def with_backend(
    folder: Path, talk: Callable[[Backend], Awaitable[list[Answer]]]
) -> list[Answer]:
    """What `talk` got from a backend, which has ended then."""

    async def run() -> list[Answer]:
        (backend,) = await fleet.started(["one"], folder, os.environ)
        try:
            return await talk(backend)
        finally:
            await backend.kill()

    return asyncio.run(run())


async def ask(backend: Backend, wanted: Ask) -> Answer:
    line = await Line.to(backend.port)
    answer = await line.ask(wanted)
    line.close()
    return answer


def test_well_it_answers_all_that_clients_ask(tmp_path: Path) -> None:
    async def talk(backend: Backend) -> list[Answer]:
        return [await ask(backend, wanted) for wanted in ASKS.values()]

    answers = with_backend(tmp_path, talk)
    assert [answer.why for answer in answers] == [""] * len(ASKS)
    assert all(answer.is_good for answer in answers)
    posts = (tmp_path / "posts-one").read_text().split()
    assert posts == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("fault", "status", "is_whole"),
    [
        ("reset", 0, False),
        ("close", 0, False),
        ("garbage", 0, False),
        ("half", 200, False),
        ("busy", 503, True),
        ("slow", 200, True),
        ("stale", 200, True),
    ],
)
def test_each_fault_is_seen(
    fault: str, status: int, is_whole: bool, tmp_path: Path
) -> None:
    async def talk(backend: Backend) -> list[Answer]:
        backend.do(fault)
        # Told by a pipe: it has heard of it when it does it.
        async with asyncio.timeout(10):
            while (answer := await ask(backend, ASKS["page"])).is_good:
                if fault in {"slow", "stale"}:
                    break
        return [answer]

    (answer,) = with_backend(tmp_path, talk)
    assert (answer.status, answer.is_whole) == (status, is_whole)


def test_an_answer_to_somebody_else_is_seen(tmp_path: Path) -> None:
    """As if a proxy had mixed up two requests."""

    async def talk(backend: Backend) -> list[Answer]:
        line = await Line.to(backend.port)
        line.send(ASKS["page"].head())
        answer = await line.hear(Ask(b"other", wants=500), 0.0)
        line.close()
        return [answer]

    (answer,) = with_backend(tmp_path, talk)
    assert not answer.is_good
    assert "another request" in answer.why
