"""The access log: lines that hold together, written where nobody waits for them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.http1.request_head import RequestHead
from lb.proxy.accesslog import AccessLog, escape, line
from lb.proxy.exchange import Request
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


def test_a_line_says_what_was_asked_and_what_became_of_it() -> None:
    request = Request(RequestHead(b"GET", b"/a?b", 1, 10), b"")
    request.attempts = 2
    text = line(request, "10.0.0.1", status=503, sent_bytes=70, took_s=0.0123)
    assert text == '10.0.0.1 "GET /a?b HTTP/1.1" - 503 70 2 12.30ms'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1"),
        (b'/"', '/\\"'),
        (b"/\\", "/\\\\"),
        (b'/\\"', '/\\\\\\"'),
        (b"/caf\xc3\xa9", "/caf\\xc3\\xa9"),
        (b"\r\n\t\0\x1b[31m\x7f", "\\r\\n\\t\\x00\\x1b[31m\\x7f"),
        (b"\x85\xa0\xad", "\\x85\\xa0\\xad"),
    ],
)
def test_what_could_break_a_line_is_escaped(data: bytes, text: str) -> None:
    assert escape(data) == text


@given(st.binary(max_size=50))
def test_escaped_text_stays_in_its_quotes_and_can_be_read_back(data: bytes) -> None:
    text = escape(data)
    assert text.isascii()
    assert text.isprintable() or not text
    assert re.fullmatch(r'(?:[^"\\]|\\.)*', text), "no quote that is not escaped"
    back = text.replace('\\"', '"').encode().decode("unicode_escape")
    assert back.encode("latin-1") == data


def test_lines_go_to_a_file_in_order_and_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    log = AccessLog(str(path), limit=1000)
    for number in range(500):
        log.write(f"line {number}")
    log.close()
    first, *lines = path.read_text().splitlines()
    assert first == "before"
    assert len(lines) == 500
    for number, text in enumerate(lines):
        assert re.fullmatch(STAMP + f"line {number}", text)
    assert log.dropped == 0


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        AccessLog(str(tmp_path / "none" / "access.log"), limit=10)


def test_lines_are_written_without_a_close(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), limit=10)
    log.write("soon")
    wait_for(lambda: path.read_text().endswith("soon\n"), "the line")
    log.close()


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """What could not be written is, as soon as there is room."""
    path, roomy = tmp_path / "access.log", tmp_path / "roomy"
    path.symlink_to("/dev/full")
    log = AccessLog(str(path), limit=10)
    log.write("early")
    wait_for(lambda: log.is_stuck, "the full disk")
    log.write("late")
    path.unlink()
    path.symlink_to(roomy)
    log.reopen()
    wait_for(lambda: roomy.exists() and "late" in roomy.read_text(), "room")
    log.close()
    assert [line.split(" ", 1)[1] for line in roomy.read_text().splitlines()] == [
        "early",
        "late",
    ]


def test_a_disk_that_stays_full_does_not_hold_up_the_end(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.symlink_to("/dev/full")
    log = AccessLog(str(path), limit=10)
    log.write("never")
    began = monotonic()
    log.close(timeout_s=DEADLINE_S)
    assert monotonic() - began < DEADLINE_S


def test_closing_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    AccessLog(str(path), limit=10).close()

    def is_open() -> bool:
        return any(fd.resolve() == path for fd in Path("/proc/self/fd").iterdir())

    wait_for(lambda: not is_open(), "the close")


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A named pipe whose reader stands still until it is read."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield str(path), reader
    os.close(reader)


def drain(reader: int, into: bytearray) -> None:
    try:
        while data := os.read(reader, 1 << 16):
            into += data
    except BlockingIOError:
        pass


def test_a_reader_that_stands_still_stops_nobody(pipe: tuple[str, int]) -> None:
    """Lines beyond the buffer are dropped and counted, and the count is written."""
    path, reader = pipe
    log = AccessLog(path, limit=100)
    begun = monotonic()
    for number in range(20_000):
        log.write(f"{number} " + "x" * 100)
    assert monotonic() - begun < 2, "0.02 s when measured"
    assert log.dropped > 10_000
    begun = monotonic()
    log.close(timeout_s=0.1)
    assert monotonic() - begun < 1, "close is bounded as well"
    received = bytearray()

    def is_accounted_for() -> bool:
        drain(reader, received)
        told = re.findall(rb"access log: (\d+) lines dropped$", received, re.MULTILINE)
        return sum(map(int, told)) == log.dropped

    wait_for(is_accounted_for, "the count of dropped lines, in one part or more")
    kept = re.findall(rb"^\S+ (\d+) x{100}$", received, re.MULTILINE)
    assert len(kept) + log.dropped == 20_000
    assert list(map(int, kept)) == sorted(map(int, kept))


def test_after_a_stall_the_log_goes_on(pipe: tuple[str, int]) -> None:
    path, reader = pipe
    log = AccessLog(path, limit=1000)
    received = bytearray()
    while log.dropped == 0:
        log.write("x" * 1000)
    wait_for(lambda: (drain(reader, received), b"dropped" in received)[1], "the count")
    log.write("and then")
    wait_for(lambda: (drain(reader, received), b"and then" in received)[1], "a line")
    log.close()


def test_a_reader_that_is_gone_for_good_stops_nobody(pipe: tuple[str, int]) -> None:
    path, reader = pipe
    log = AccessLog(path, limit=10)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.dup2(spare, reader)
    os.close(spare)
    begun = monotonic()
    for _ in range(100):
        log.write("x")
    log.close()
    assert monotonic() - begun < 2


def test_standard_output_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("-", limit=10)
    log.write("to standard output")
    log.close()
    os.fstat(sys.stdout.fileno())
    assert "to standard output\n" in capfd.readouterr().out
