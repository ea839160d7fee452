"""Floods of every kind: good requests go on, and nothing is left behind.

Afterwards the worker must be the same process with the descriptors that it had, no
request in flight, and about the memory that it had.
"""

from __future__ import annotations

import hashlib
import os
import random
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.client import fetch, get, in_chunks, request
from tests.rfc.exam import CASE, Exam, answer_or_none, send
from tests.rfc.variants import examined
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.scripted import Talk

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]

MALFORMED = 10_000
SLOW_HEADS = 1_000
CROWD = 10
"""Clients at once."""

POOLED = CROWD
"""Connections to the backend that may stay idle when so many came at once."""

MAX_GROWTH = 10 << 20
BIG = 64 << 20
BLOCK = random.Random(1).randbytes(1 << 20)

GARBAGE = [
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 300 + b"\r\n",
    request(b"POST", b"/", b"Content-Length: -1"),
    request(b"POST", b"/", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n",
    request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"5\r\nhello",
    request(b"POST", b"/", b"Content-Length: 10") + b"half",
    b"GET / HT",
    b"\x00" * 100,
    b"\r\n\r\n\r\n",
    b"",
]


@pytest.fixture
def exam(tmp_path: Path) -> Iterator[Exam]:
    with examined("plain", tmp_path) as exam:
        yield exam


def worker_of(exam: Exam) -> int:
    assert exam.server is not None
    (pid,) = exam.server.worker_pids()
    return pid


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_flight(exam: Exam) -> int:
    assert exam.server is not None
    report = exam.server.ask_status()
    return sum(backend["in_flight"] for backend in report["backends"])


def throw(exam: Exam, number: int) -> None:
    """One malformed request, some bitten off, some left without hearing the answer."""
    chance = random.Random(number)
    data = chance.choice(GARBAGE)
    with exam.connect() as client:
        send(
            client, data[: chance.randrange(len(data) + 1)] if number % 7 == 0 else data
        )
        if number % 3 == 0:
            select.select([client.sock], [], [], 0.01)


def test_ten_thousand_malformed_requests_harm_no_good_one(exam: Exam) -> None:
    exam.check_unharmed(20)
    pid = worker_of(exam)
    before = descriptors(pid)
    answers: list[tuple[bytes, bytes]] = []

    def throw_or_ask(number: int) -> None:
        throw(exam, number)
        if number % 50 == 0:
            target = b"/good/of/%d" % number
            answers.append((target, fetch(exam.port, get(target)).body))

    with ThreadPoolExecutor(max_workers=CROWD) as pool:
        for _ in pool.map(throw_or_ask, range(MALFORMED)):
            pass
    assert len(answers) == MALFORMED // 50
    assert [t for t, body in answers if body != t] == []
    wait_for(lambda: descriptors(pid) <= before + POOLED, "descriptors as before")
    assert in_flight(exam) == 0
    assert worker_of(exam) == pid
    exam.check_unharmed()


def test_a_thousand_slow_heads_do_not_keep_others_waiting(exam: Exam) -> None:
    """The median of a hundred requests stays below 50 ms, on a busy machine too."""
    slow = [
        socket.create_connection(("127.0.0.1", exam.port)) for _ in range(SLOW_HEADS)
    ]
    took = []
    try:
        for number, sock in enumerate(slow):
            sock.sendall(get(CASE)[: 1 + number % 30])
        for _ in range(100):
            begun = time.monotonic()
            exam.check_unharmed(1)
            took.append(time.monotonic() - begun)
            for sock in random.sample(slow, 10):
                sock.sendall(b"x")
    finally:
        for sock in slow:
            sock.close()
    assert sorted(took)[50] < 0.05
    assert exam.seen() == []


def digest_of(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


WHOLE = digest_of(BLOCK for _ in range(BIG // len(BLOCK)))


def download(exam: Exam, head: bytes, *, coded: bool) -> str:
    """The checksum of 64 MiB that a client gets from a backend."""
    end = b"0\r\n\r\n" if coded else b""
    piece = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if coded else BLOCK

    def script(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        talk.send(*[piece] * (BIG // len(BLOCK)), end)

    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE))
        return digest_of(iter(client.answer().body for _ in range(1)))


def upload(exam: Exam, *, coded: bool) -> str:
    """The checksum of 64 MiB that a backend gets from a client."""

    def script(talk: Talk) -> None:
        talk.reply(hashlib.sha256(talk.read_body()).hexdigest().encode())

    exam.script(script)
    framing = b"Transfer-Encoding: chunked" if coded else b"Content-Length: %d" % BIG
    with exam.connect() as client:
        client.send(request(b"POST", CASE, framing))
        for _ in range(BIG // len(BLOCK)):
            client.send(in_chunks(BLOCK, 65536)[:-5] if coded else BLOCK)
        if coded:
            client.send(b"0\r\n\r\n")
        return client.answer(b"POST").body.decode()


@pytest.mark.parametrize("coded", [False, True], ids=["length", "chunked"])
def test_64_mib_each_way_in_bounded_memory(exam: Exam, coded: bool) -> None:
    exam.check_unharmed(20)
    pid = worker_of(exam)
    before = resident(pid)
    head = b"Transfer-Encoding: chunked" if coded else b"Content-Length: %d" % BIG
    assert download(exam, head, coded=coded) == WHOLE
    assert upload(exam, coded=coded) == WHOLE
    assert resident(pid) - before < MAX_GROWTH
    assert in_flight(exam) == 0


def test_slow_readers_hold_little_memory(exam: Exam) -> None:
    """Fifty clients that read nothing of 64 MiB each: less than 40 MiB in all."""
    exam.check_unharmed(20)
    pid = worker_of(exam)
    before = resident(pid)
    held: list[Talk] = []

    def flood(talk: Talk) -> None:
        held.append(talk)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        talk.send(*[BLOCK] * (BIG // len(BLOCK)))

    exam.script(flood)
    clients = [exam.connect() for _ in range(50)]
    for client in clients:
        client.send(get(CASE))
    wait_for(lambda: len(held) == 50, "all backends to send")
    exam.check_unharmed(20)
    assert resident(pid) - before < 40 << 20
    for client in clients:
        client.sock.close()
    wait_for(lambda: in_flight(exam) == 0, "nothing in flight")


def test_clients_that_vanish_leave_nothing_behind(exam: Exam) -> None:
    """At every phase, 600 in all: no descriptor, nothing in flight."""
    exam.check_unharmed(20)
    pid = worker_of(exam)
    before = descriptors(pid)

    def half(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        talk.await_close()

    exam.script(lambda talk: talk.await_close(), b"/hang")
    exam.script(half, b"/half")
    phases = [
        get(b"/hang"),
        get(b"/half"),
        get(b"/")[:20],
        request(b"POST", b"/up", b"Content-Length: 100") + b"half",
        request(b"PUT", b"/up", b"Content-Length: 4", b"Expect: 100-continue"),
        get(b"/half") + get(b"/hang"),
    ]

    def vanish(number: int) -> None:
        with exam.connect() as client:
            client.send(phases[number % len(phases)])
            select.select([client.sock], [], [], 0.02)

    with ThreadPoolExecutor(max_workers=CROWD) as pool:
        for _ in pool.map(vanish, range(600)):
            pass
    wait_for(lambda: in_flight(exam) == 0, "nothing in flight")
    wait_for(lambda: descriptors(pid) <= before + POOLED, "descriptors as before")
    assert worker_of(exam) == pid
    exam.check_unharmed()


def test_a_good_answer_comes_after_each_kind_of_garbage(exam: Exam) -> None:
    for data in GARBAGE:
        with exam.connect() as client:
            send(client, data)
            if b"\r\n\r\n" in data and b"half" not in data and b"\nhello" not in data:
                answer = answer_or_none(client)
                assert answer is None or answer.status >= 400
        exam.check_unharmed(1)
