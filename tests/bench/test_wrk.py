"""wrk's script and summary: what is sent, what is read, which runs are void."""

from __future__ import annotations

import json
import math

import pytest

from bench import wrk
from bench.errors import RunVoidError
from bench.exact import Reply, check_bytes
from bench.measurement import LoadResult
from bench.workloads import ALL, Load, Workload, named

NO_ERRORS = dict.fromkeys(wrk.ERRORS, 0)
SUMMARY = {
    "requests": 2000,
    "us": 2_000_000,
    "bytes": 400_000,
    "p50": 120,
    "p99": 900,
    "p999": 1500,
    **NO_ERRORS,
}


def output(**changes: int) -> str:
    said = json.dumps(SUMMARY | changes)
    return f"Running 1s test\n  2 threads\nRequests/sec: 1\n{wrk.MARK}{said}\n"


def test_the_summary_gives_requests_seconds_bytes_and_latencies() -> None:
    """Nothing is read from the text that wrk lays out for people."""
    result = wrk.parse(output())
    assert result == LoadResult(2000, 2.0, 400_000, 120, 900, 1500)


@pytest.mark.parametrize("kind", wrk.ERRORS)
def test_any_error_voids_the_run_and_is_named(kind: str) -> None:
    """One failed request is enough."""
    with pytest.raises(RunVoidError, match=f"1 {kind}"):
        wrk.parse(output(**{kind: 1}))


@pytest.mark.parametrize(
    "text", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"]
)
def test_no_summary_voids_the_run_with_what_wrk_said(text: str) -> None:
    """wrk's own failure is shown, not a traceback."""
    with pytest.raises(RunVoidError, match="no summary"):
        wrk.parse(text)


def test_no_answered_request_voids_the_run() -> None:
    """Else costs would be divided by zero."""
    with pytest.raises(RunVoidError, match="no request"):
        wrk.parse(output(requests=0))


@pytest.mark.parametrize(
    ("data", "lua"),
    [
        (b"plain", '"plain"'),
        (b'a"b\\c', '"a\\034b\\092c"'),
        (b"\r\n\x00\xff1", '"\\013\\010\\000\\2551"'),
    ],
)
def test_bytes_survive_as_a_lua_string(data: bytes, lua: str) -> None:
    """Every escape has three digits, so that a digit may follow it."""
    assert wrk.lua_string(data) == lua


def test_a_changing_cookie_is_made_for_every_request() -> None:
    """The other workloads give wrk one request that it does not make again."""
    (browser,) = named(["browser"])
    (tiny,) = named(["tiny"])
    assert "function request()" in wrk.script(browser)
    assert "function request()" not in wrk.script(tiny)
    assert browser.head(1) != browser.head(2)
    assert len(browser.head(1)) == len(browser.head(2))


@pytest.mark.parametrize(
    "workload", [w for w in ALL if w.load is Load.WRK], ids=lambda w: w.name
)
def test_no_placeholder_of_the_templates_is_left(workload: Workload) -> None:
    text = wrk.script(workload)
    assert "{start}" not in text
    assert "{{" not in text
    assert text.count(wrk.MARK) == 1


@pytest.mark.parametrize(
    ("connections", "cores", "threads"), [(64, 1, 1), (64, 7, 3), (1, 7, 1)]
)
def test_wrk_leaves_half_of_the_cores_to_the_backends(
    connections: int, cores: int, threads: int
) -> None:
    assert wrk.threads_for(connections, cores) == threads


REPLY = Reply(200, head_bytes=184, body=b"0123456789abcdef")


def received(count: float) -> LoadResult:
    return LoadResult(1000, 1.0, math.ceil(count), 1, 1, 1)


@pytest.mark.parametrize("count", [200_000, 198_500, 200_000 + 64 * 200])
def test_whole_responses_pass(count: int) -> None:
    """Heads may vary a little, and some responses are cut by the end of the run."""
    check_bytes(received(count), REPLY, connections=64)


@pytest.mark.parametrize("count", [197_000, 100_000, 260_000])
def test_short_and_long_responses_void_the_run(count: int) -> None:
    with pytest.raises(RunVoidError, match="instead of 200"):
        check_bytes(received(count), REPLY, connections=64)
