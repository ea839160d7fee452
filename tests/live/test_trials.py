"""The trials themselves: a short soak of the real thing, and one scenario compared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import ROOT, carriers
from tests.waiting import DEADLINE_S, wait_for

SOAK_S = 90
"""18 s of faults, the start before them, and what is asked behind them."""

pytestmark = pytest.mark.live


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trials", *arguments],
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(SOAK_S + 10)
def test_everything_fails_at_random_and_nothing_is_lost() -> None:
    """A short soak, with a seed by chance; it prints it, so it can be made again."""
    with start("soak", "--minutes", "0.3") as soak:
        said, _ = soak.communicate(timeout=SOAK_S)
    print(f"\n{said}")
    assert soak.returncode == 0, said
    assert "all holds" in said
    assert "FAIL" not in said


@pytest.mark.timeout(SOAK_S + 10)
def test_a_soak_that_is_interrupted_reports_what_it_has() -> None:
    with start("soak", "--minutes", "60", "--seed", "1") as soak:
        assert soak.stdout is not None
        said = [soak.stdout.readline() for _ in range(2)]
        soak.send_signal(signal.SIGINT)
        rest, _ = soak.communicate(timeout=SOAK_S)
    assert "faults are over" in rest, said
    assert soak.returncode == 0, rest


def test_faults_are_compared_side_by_side() -> None:
    """Of peers, those that are installed; here only Evenhand is asked for."""
    with start("faults", "--peers", "evenhand", "--scenarios", "reset") as compared:
        said, _ = compared.communicate(timeout=4 * DEADLINE_S)
    assert compared.returncode == 0, said
    (row,) = [line for line in said.splitlines() if line.startswith("| reset")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "evenhand"
    assert int(cells[2].replace(",", "")) > 1000
    assert (cells[3], cells[5]) == ("0", "0"), "a GET failed, or a POST came twice"


def test_a_comparison_that_is_stopped_leaves_nothing() -> None:
    """By SIGTERM too: whoever waits for it may have lost patience."""
    mark = {"EVENHAND_STOPPED": str(time.monotonic_ns())}
    with start("faults", "--peers", "evenhand", **mark) as compared:
        ((name, value),) = mark.items()
        wait_for(lambda: len(carriers(name, value)) > 4, "backends and a proxy")
        compared.send_signal(signal.SIGTERM)
        said, _ = compared.communicate(timeout=4 * DEADLINE_S)
    assert compared.returncode == 130, said
    assert carriers(name, value) == []
