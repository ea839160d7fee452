"""Cores, process tables, environments: what the benchmark reads and cleans."""

from __future__ import annotations

import os

import pytest

from bench import accounting, machine
from bench.errors import BenchError
from bench.processes import clean_environment


def test_the_proxy_gets_the_first_cores_and_the_rest_the_others() -> None:
    assert machine.split({3, 1, 2}, 2) == machine.Cores(
        frozenset({1, 2}), frozenset({3})
    )


def test_a_machine_without_a_core_for_the_load_is_refused() -> None:
    with pytest.raises(BenchError, match="needs 3 cores"):
        machine.split({0, 1}, 2)


def test_the_parent_is_found_behind_any_command_name() -> None:
    """A command may hold spaces and brackets."""
    assert accounting.parent_in("42 (a) b (c)) S 7 42 42 0") == 7


def test_a_family_holds_the_process_itself() -> None:
    assert accounting.family(os.getpid())[0] == os.getpid()


def test_the_clock_of_a_process_is_user_and_system_time() -> None:
    """It agrees with what the kernel tells the process itself."""
    before = os.times()
    read_s = accounting.cpu_ns(os.getpid()) / 1e9
    after = os.times()
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert before.user + before.system - 2 * tick_s <= read_s
    assert read_s <= after.user + after.system + 2 * tick_s


@pytest.mark.parametrize(
    ("name", "kib"), [("VmHWM:", 1234), ("VmRSS:", 1200), ("VmSwap:", 0)]
)
def test_memory_is_read_by_name(name: str, kib: int) -> None:
    status = "Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t    1200 kB\n"
    assert accounting.kib_in(status, name) == kib


def test_children_see_no_settings_of_whoever_measures() -> None:
    variables = {
        "LB_BIND": ":1",
        "PORT": "1",
        "WEB_CONCURRENCY": "9",
        "http_proxy": "x",
        "PATH": "/bin",
    }
    assert clean_environment(variables) == {"PATH": "/bin"}
