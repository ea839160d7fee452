"""wrk as the load: its script written, its run bounded, its own summary read.

The script sends requests as they are in the table of workloads and prints the
summary as one line of JSON, so nothing depends on how wrk lays out its text.
"""

from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING, Final

from bench.errors import RunVoidError
from bench.measurement import LoadResult

if TYPE_CHECKING:
    from pathlib import Path

    from bench.exact import Address
    from bench.workloads import Workload

TIMEOUT_S: Final = 10
"""After which wrk counts a response as an error."""

SLACK_S: Final = 20.0
"""How much longer than its run wrk may take in all."""

MARK: Final = "BENCH "

ONE_REQUEST: Final = """\
local one = {start} .. {end_}
function wrk.format() return one end
"""

CHANGING: Final = """\
local threads = 0
function setup(thread)
  thread:set("number", threads * 2^40)
  threads = threads + 1
end
local head, tail = {start}, {end_}
local format = string.format
function request()
  number = number + 1
  return head .. format("%016x", number) .. tail
end
"""

SUMMARY: Final = """
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{mark}{{"requests": %d, "us": %d, "bytes": %.0f, "p50": %.0f, "p99": %.0f,' ..
    ' "p999": %.0f, "connect": %d, "read": %d, "write": %d, "timeout": %d,' ..
    ' "status": %d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(99), latency:percentile(99.9), errors.connect, errors.read,
    errors.write, errors.timeout, errors.status))
end
"""

ERRORS: Final = ("connect", "read", "write", "timeout", "status")


def script(workload: Workload) -> str:
    """The Lua script that makes wrk send the workload's requests."""
    start, end = workload.head_parts()
    request = CHANGING if workload.has_changing_cookie else ONE_REQUEST
    quoted = {"start": lua_string(start), "end_": lua_string(end + workload.sent())}
    return request.format(**quoted) + SUMMARY.format(mark=MARK)


def lua_string(data: bytes) -> str:
    """Bytes as a Lua string in quotes."""
    safe = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}"
        for byte in data
    )
    return f'"{"".join(safe)}"'


def threads_for(connections: int, cores: int) -> int:
    """How many threads wrk gets: half of the cores, the backends have the rest."""
    return max(1, min(cores // 2, connections))


def run(
    address: Address, workload: Workload, *, seconds: float, threads: int, lua: Path
) -> LoadResult:
    """Load one address for `seconds`; `lua` is where the script is written.

    Raises:
        RunVoidError: any request failed, or wrk itself.
    """
    lua.write_text(script(workload))
    argv = ["wrk", f"-t{threads}", f"-c{workload.connections}"]
    argv += [f"-d{math.ceil(seconds)}s", f"--timeout={TIMEOUT_S}s", f"-s{lua}"]
    argv.append("http://{}:{}{}".format(*address, workload.path))
    try:
        done = subprocess.run(  # noqa: S603 # our own command, no shell
            argv,
            capture_output=True,
            text=True,
            timeout=seconds + SLACK_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunVoidError(f"wrk did not end within {error.timeout:g} s") from error
    return parse(done.stdout + done.stderr)


def parse(output: str) -> LoadResult:
    """What wrk's summary says.

    Raises:
        RunVoidError: it counts errors, no requests, or there is none.
    """
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if len(lines) != 1:
        raise RunVoidError(f"wrk gave no summary: {output.strip()[-300:]}")
    said = json.loads(lines[0].removeprefix(MARK))
    if failed := {kind: said[kind] for kind in ERRORS if said[kind]}:
        kinds = ", ".join(f"{count} {kind}" for kind, count in failed.items())
        raise RunVoidError(f"errors: {kinds} (of {said['requests']} requests)")
    if not said["requests"]:
        raise RunVoidError("no request was answered")
    return LoadResult(
        requests=said["requests"],
        elapsed_s=said["us"] / 1e6,
        received_bytes=said["bytes"],
        p50_us=said["p50"],
        p99_us=said["p99"],
        p999_us=said["p999"],
    )
