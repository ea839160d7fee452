"""The admin process beside a run is scraped, and a run where that fails is void."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bench.errors import RunVoidError
from bench.peers.peer import Launch
from bench.scraped import scraped
from lb.model import Address, Backend
from lb.shm import SharedFile, publish
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def beside(tmp_path: Path) -> Launch:
    return Launch((), {"LB_STATE__PATH": str(tmp_path / "state")})


def cores() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0))


def test_what_runs_is_scraped_each_second(tmp_path: Path, beside: Launch) -> None:
    path = tmp_path / "state"
    publish(path, [Backend("one", Address(host="127.0.0.1", port=9))])
    with SharedFile.open(path), scraped(beside, tmp_path, cores()) as scraper:
        wait_for(lambda: scraper.count >= 2, "two scrapes")


def test_a_run_beside_which_nothing_is_told_is_void(
    tmp_path: Path, beside: Launch
) -> None:
    with (
        pytest.raises(RunVoidError, match="nothing was scraped"),
        scraped(beside, tmp_path, cores()) as scraper,
    ):
        wait_for(lambda: scraper.asked, "a scrape")
