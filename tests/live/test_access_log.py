"""The access log: what a line says, where it goes, and that nobody waits for it."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.client import Client, fetch, get, request
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.conftest import Scripted, StartServer
    from tests.live.scripted import Talk
    from tests.live.server import Server

pytestmark = pytest.mark.live

LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<client>\S+) "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<backend>\S+) (?P<status>\d{3}) '
    r"(?P<bytes>\d+) (?P<attempts>\d+) (?P<ms>\d+\.\d\d)ms(?P<notes>.*)"
)
"""The documented fields, in order."""

LANES = ["fast", "gthread"]


def parsed(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if '"HEAD / HTTP/1.0"' not in line]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), [x for x, m in zip(lines, matches, strict=True) if not m]
    return [match.groupdict() for match in matches if match]


@pytest.mark.parametrize("lane", LANES)
def test_each_request_is_one_line(
    start_server: StartServer, scripted: Scripted, lane: str
) -> None:
    """Also those that failed; all of it is written when the server has stopped."""
    one = scripted("one")
    one.scripts[b"/close"] = lambda talk: talk.close()
    one.scripts[b"/cut"] = half
    server = start_server(lane, LB_BACKENDS=one.address)
    server.wait_answering()
    with Client(server.port) as client:
        assert client.ask(get(b"/a?b=%20")).status == 200
        assert client.ask(request(b"POST", b"/post", body=b"x" * 10)).status == 200
        assert client.ask(get(b"/close")).status == 502
    assert not fetch(server.port, get(b"/cut")).is_whole
    assert server.stop() == 0
    lines = parsed(server.output())
    said = {line["request"]: line for line in lines}
    assert len(said) == len(lines) == 4
    plain = said["GET /a?b=%20 HTTP/1.1"]
    assert (plain["client"], plain["backend"]) == ("127.0.0.1", "one")
    assert (plain["status"], plain["bytes"], plain["attempts"]) == ("200", "3", "1")
    assert plain["notes"] == ""
    assert said["POST /post HTTP/1.1"]["status"] == "200"
    failed = said["GET /close HTTP/1.1"]
    assert (failed["status"], failed["backend"]) == ("502", "one")
    assert failed["notes"].startswith(" connection_terminated ")
    cut = said["GET /cut HTTP/1.1"]
    assert (cut["status"], cut["bytes"]) == ("200", "4")
    assert cut["notes"] != ""


def half(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    talk.close()


def test_a_retry_is_told_by_its_attempts(
    start_server: StartServer, scripted: Scripted
) -> None:
    one, two = scripted("one"), scripted("two")
    one.close()
    server = start_server(
        "fast",
        LB_BACKENDS=f"{one.address},{two.address}",
        LB_HEALTH__INTERVAL="600",
        LB_HEALTH__FAST_INTERVAL="600",
    )
    server.wait_answering()
    for _ in range(2):
        assert fetch(server.port, get(b"/try")).status == 200
    assert server.stop() == 0
    lines = parsed(server.output())
    assert "2" in {line["attempts"] for line in lines}
    assert {line["backend"] for line in lines} == {"two"}


def test_clients_that_leave_or_talk_nonsense_have_their_lines(
    start_server: StartServer, scripted: Scripted
) -> None:
    """Quotes cannot be closed from outside."""
    one = scripted("one")
    one.scripts[b"/leave"] = lambda talk: talk.await_close()
    server = start_server("fast", LB_BACKENDS=one.address)
    server.wait_answering()
    with Client(server.port) as client:
        client.send(get(b"/leave"))
        wait_for(lambda: one.seen(b"/leave"), "the request at the backend")
    wait_for(lambda: server.in_flight() == 0, "the backend to be let go")
    assert fetch(server.port, get(b'/"quoted"')).status == 200
    assert fetch(server.port, b"GET / HTTP/1.1\r\n\r\n").status == 400
    assert server.stop() == 0
    output = server.output()
    assert '"GET /\\"quoted\\" HTTP/1.1" one 200' in output
    assert '"-" - 400' in output
    left = parsed("\n".join(x for x in output.splitlines() if "/leave" in x))
    assert [(line["backend"], line["status"]) for line in left] == [("one", "499")]
    assert "client_left" in left[0]["notes"]


def test_it_can_be_switched_off(start_server: StartServer, scripted: Scripted) -> None:
    one = scripted("one")
    server = start_server("fast", LB_BACKENDS=one.address, LB_LOG__ACCESS="off")
    server.wait_answering()
    assert fetch(server.port, get()).status == 200
    assert server.stop() == 0
    assert server.output() == ""


@pytest.mark.parametrize("lane", LANES)
def test_it_can_be_a_file(
    start_server: StartServer, scripted: Scripted, tmp_path: Path, lane: str
) -> None:
    """Which is appended to."""
    path = tmp_path / "access.log"
    path.write_text("before\n")
    one = scripted("one")
    server = start_server(lane, LB_BACKENDS=one.address, LB_LOG__ACCESS=str(path))
    server.wait_answering()
    assert fetch(server.port, get(b"/file")).status == 200
    wait_for(lambda: "/file" in path.read_text(), "the line, while it runs")
    assert server.stop() == 0
    before, *lines = path.read_text().splitlines()
    assert before == "before"
    assert len(parsed("\n".join(lines))) == 1
    assert server.output() == ""


def test_a_file_that_was_moved_away_is_left_at_usr1(
    start_server: StartServer, scripted: Scripted, tmp_path: Path
) -> None:
    """As those who rotate gunicorn's logs do it."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    one = scripted("one")
    server = start_server(
        "fast", "-w", "2", LB_BACKENDS=one.address, LB_LOG__ACCESS=str(path)
    )
    server.wait_answering(workers=2)
    assert fetch(server.port, get(b"/old")).status == 200
    wait_for(lambda: "/old" in path.read_text(), "the line")
    path.rename(moved)
    os.kill(server.process.pid, signal.SIGUSR1)
    wait_for(path.exists, "a new file")

    def is_in_both_new() -> bool:
        return fetch(server.port, get(b"/new")).status == 200 and (
            held_by(server, moved) == set()
        )

    wait_for(is_in_both_new, "both workers to let go of the old file")
    old = moved.read_text()
    assert fetch(server.port, get(b"/newest")).status == 200
    wait_for(lambda: "/newest" in path.read_text(), "the line in the new file")
    assert moved.read_text() == old
    assert server.stop() == 0


def held_by(server: Server, path: Path) -> set[int]:
    """The workers that have the file open."""
    return {
        pid
        for pid in server.living()
        for fd in Path(f"/proc/{pid}/fd").iterdir()
        if fd.resolve() == path
    }


@pytest.mark.parametrize("lane", LANES)
def test_a_reader_that_stands_still_stops_no_traffic(
    start_server: StartServer, scripted: Scripted, lane: str
) -> None:
    """Lines are dropped and counted; requests, verdicts and the stop go on."""
    one = scripted("one")
    reader, writer = os.pipe()
    try:
        server = start_server.into(
            writer, lane, LB_BACKENDS=one.address, LB_LOG__BUFFER_LINES="50"
        )
        os.close(writer)
        server.wait_answering()
        # 100 lines of 2,000 characters are more than a pipe's 64 KiB and the buffer.
        slowest_s = 0.0
        with Client(server.port) as client:
            for _ in range(200):
                begun = time.monotonic()
                assert client.ask(get(b"/" + b"x" * 2000)).status == 200
                slowest_s = max(slowest_s, time.monotonic() - begun)
        assert slowest_s < 1.0
        os.set_blocking(reader, False)
        text = drained(reader)
        wait_for(lambda: "lines dropped" in text + drained(reader), "the count")
        assert server.stop() == 0
    finally:
        os.close(reader)


def test_a_stop_does_not_wait_for_a_reader(
    start_server: StartServer, scripted: Scripted
) -> None:
    one = scripted("one")
    reader, writer = os.pipe()
    try:
        server = start_server.into(writer, "fast", LB_BACKENDS=one.address)
        os.close(writer)
        server.wait_answering()
        with Client(server.port) as client:
            for _ in range(100):
                assert client.ask(get(b"/" + b"x" * 2000)).status == 200
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 4.0
        assert server.living() == []
    finally:
        os.close(reader)


def drained(reader: int) -> str:
    """What is in a pipe now."""
    parts = []
    try:
        while part := os.read(reader, 65536):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts).decode()
