"""Bodies of many mebibytes, which the fast lane passes through pipes: byte for byte,
and with the deadlines, ends and faults of small ones. The portable lane reads them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import h11
import pytest

from tests.live.client import Client, get, request
from tests.live.rig import Rig, running_rig
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.scripted import Talk

pytestmark = pytest.mark.live

MIB = 1 << 20
BODY = Random(7).randbytes(20 * MIB)
"""More than all the buffers on its way hold."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
IDLE_S = 0.6


def digest(data: bytes) -> bytes:
    return sha256(data).hexdigest().encode()


@pytest.fixture(scope="module", params=["fast", "gthread"])
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp(request.param)
    env = {
        "LB_HEALTH__INTERVAL": "600",
        "LB_TIMEOUTS__IDLE": str(IDLE_S),
        "LB_TIMEOUTS__RESPONSE": "5",
    }
    with running_rig(request.param, folder, **env) as rig:
        yield rig


@pytest.fixture
def fast(rig: Rig) -> Rig:
    """The fast lane alone."""
    if rig.lane != "fast":
        pytest.skip("the portable lane's server decides about that")
    return rig


def pipes_of(rig: Rig) -> int:
    """Pipes that the worker holds."""
    (pid,) = rig.server.worker_pids()
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(fd.readlink()))
    return len({link for link in links if link.startswith("pipe:")})


def logged(rig: Rig, target: bytes) -> str:
    """The access log's line of the request for `target`."""
    name = target.decode()

    def found() -> list[str]:
        return [line for line in rig.server.output().splitlines() if name in line]

    wait_for(found, "the line in the log")
    return found()[0]


def let_go(rig: Rig) -> None:
    wait_for(lambda: rig.server.in_flight() == 0, "nothing in flight")


def test_a_download_arrives_to_the_byte(rig: Rig) -> None:
    rig.script(b"/down", lambda talk: talk.reply(BODY))
    with Client(rig.port) as client:
        for _ in range(3):
            answer = client.ask(get(b"/down"))
            assert (answer.is_whole, digest(answer.body)) == (True, digest(BODY))
    assert f" 200 {len(BODY)} 1 " in logged(rig, b"/down")


def test_an_upload_arrives_to_the_byte(rig: Rig) -> None:
    rig.script(b"/up", lambda talk: talk.reply(digest(talk.read_body())))
    with Client(rig.port) as client:
        for _ in range(3):
            assert client.ask(request(b"POST", b"/up", body=BODY)).body == digest(BODY)


def test_it_went_through_pipes_which_are_kept(fast: Rig) -> None:
    """Else all of these tests would say nothing. One is enough for one at a time."""
    fast.script(b"/kept", lambda talk: talk.reply(digest(talk.read_body()) + BODY))
    before = pipes_of(fast)
    for _ in range(3):
        fast.fetch(request(b"POST", b"/kept", body=BODY))
    assert before <= pipes_of(fast) <= before + 1
    assert pipes_of(fast) > 0


def test_many_at_once_do_not_mix(rig: Rig) -> None:
    """More than there are pipes; each has a body of its own."""
    count = 40 if rig.lane == "fast" else 8

    def answer(talk: Talk) -> None:
        number = int(talk.target[6:])
        got = digest(talk.read_body())
        talk.reply(got + BODY[number : number + MIB])

    done: list[bool] = []

    def ask(number: int) -> None:
        target, body = b"/many/%d" % number, BODY[-MIB - number :]
        rig.script(target, answer)
        got = rig.fetch(request(b"POST", target, body=body)).body
        done.append(got == digest(body) + BODY[number : number + MIB])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S * 2)
    assert done == [True] * count


def test_small_requests_are_served_beside_a_large_one(fast: Rig) -> None:
    """A transfer has its turns as everybody has."""
    ended = threading.Event()

    def flood(talk: Talk) -> None:
        talk.send(HEAD % 10**10)
        while not ended.is_set():
            talk.send(BODY)

    fast.script(b"/flood", flood)
    with Client(fast.port) as large:
        large.send(get(b"/flood"))
        taker = threading.Thread(target=take_until_closed, args=(large.sock,))
        taker.start()
        with Client(fast.port) as small:
            for _ in range(50):
                begun = time.monotonic()
                assert small.ask(get()).status == 200
                assert time.monotonic() - begun < 0.5
        ended.set()
        large.sock.shutdown(socket.SHUT_RDWR)
        taker.join(DEADLINE_S)
    let_go(fast)


def take_until_closed(sock: socket.socket) -> None:
    room = bytearray(MIB)
    with contextlib.suppress(OSError):
        while sock.recv_into(room):
            pass


def test_a_request_behind_a_large_upload_is_the_next(fast: Rig) -> None:
    fast.script(b"/first", lambda talk: talk.reply(digest(talk.read_body())))
    with Client(fast.port) as client:
        client.send(request(b"POST", b"/first", body=BODY) + get(b"/second"))
        assert client.answer(b"POST").body == digest(BODY)
        assert client.answer().status == 200
    assert len(fast.seen(b"/second")) == 1


def test_bytes_behind_a_large_answer_are_nobodys(rig: Rig) -> None:
    """They poison the backend's connection, and never become another's answer."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    rig.script(b"/surplus", lambda talk: talk.send(HEAD % len(BODY) + BODY + evil))
    with Client(rig.port) as client:
        for _ in range(4):
            assert digest(client.ask(get(b"/surplus")).body) == digest(BODY)
            assert client.ask(get(b"/after")).body in (b"one", b"two")


@pytest.mark.parametrize("end", ["close", "reset", "stall"])
def test_a_download_that_breaks_off_never_looks_whole(rig: Rig, end: str) -> None:
    def break_off(talk: Talk) -> None:
        talk.send(HEAD % len(BODY) + BODY[: 5 * MIB])
        if end == "close":
            talk.close()
        elif end == "reset":
            talk.reset()
        else:
            talk.await_close()

    target = b"/broken/" + end.encode()
    rig.script(target, break_off)
    answer = rig.fetch(get(target))
    assert not answer.is_whole
    assert BODY.startswith(answer.body)
    if rig.lane == "fast":
        label = "http_response_timeout" if end == "stall" else "connection_terminated"
        assert logged(rig, target).endswith(" " + label)
    let_go(rig)


def test_a_client_that_leaves_lets_go_of_its_backend(fast: Rig) -> None:
    gone: list[bool] = []

    def send_on(talk: Talk) -> None:
        talk.send(HEAD % 10**10)
        try:
            while True:
                talk.send(BODY)
        finally:
            gone.append(True)

    fast.script(b"/leaver", send_on)
    with Client(fast.port) as client:
        client.send(get(b"/leaver"))
        for _ in range(20):
            assert client.sock.recv(MIB)
        left = time.monotonic()
    wait_for(lambda: gone, "the backend to be let go")
    assert time.monotonic() - left < 1.0
    let_go(fast)
    assert logged(fast, b"/leaver").endswith(" client_left")


def test_a_reader_that_stands_still_is_cut(fast: Rig) -> None:
    """After `timeouts.idle` in which it took nothing; and its pipe is closed."""
    before = pipes_of(fast)
    fast.script(b"/still", lambda talk: talk.reply(BODY * 2))
    with Client(fast.port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(get(b"/still"))
        wait_for(lambda: fast.server.in_flight() == 1, "the request at the backend")
        let_go(fast)
    assert logged(fast, b"/still").endswith(" client_left")
    assert pipes_of(fast) <= before


def test_a_sender_that_stands_still_is_told(fast: Rig) -> None:
    fast.script(b"/silent", lambda talk: talk.reply(talk.read_body()))
    with Client(fast.port) as client:
        client.send(request(b"POST", b"/silent", b"Content-Length: %d" % len(BODY)))
        client.send(BODY[: 5 * MIB])
        answer = client.answer(b"POST")
    assert answer.status == 408
    let_go(fast)


def test_a_client_that_leaves_amid_its_upload_lets_go(fast: Rig) -> None:
    gone: list[bool] = []

    def take(talk: Talk) -> None:
        try:
            talk.read_body()
        finally:
            gone.append(True)

    fast.script(b"/half", take)
    with Client(fast.port) as client:
        client.send(request(b"POST", b"/half", b"Content-Length: %d" % len(BODY)))
        client.send(BODY[: 5 * MIB])
    wait_for(lambda: gone, "the backend to be let go")
    let_go(fast)


def test_a_backend_that_takes_nothing_ends_the_upload(fast: Rig) -> None:
    ended = threading.Event()
    fast.script(b"/full", lambda _: ended.wait(DEADLINE_S))
    with Client(fast.port) as client:
        sender = threading.Thread(
            target=send_all, args=(client.sock, request(b"POST", b"/full", body=BODY))
        )
        sender.start()
        answer = client.answer(b"POST")
        assert answer.status == 504
        assert answer.value(b"proxy-status").endswith(b"http_response_timeout")
    sender.join(DEADLINE_S)
    ended.set()
    let_go(fast)


def send_all(sock: socket.socket, data: bytes) -> None:
    """As much of it as is taken."""
    with contextlib.suppress(OSError):
        sock.sendall(data)


@pytest.mark.parametrize("taken", [0, MIB, 8 * MIB])
def test_a_final_answer_amid_an_upload_is_heard(fast: Rig, taken: int) -> None:
    """Whatever lies in the pipe then is not sent any more."""

    def refuse(talk: Talk) -> None:
        left = taken
        while left > 0:
            left -= len(talk.read())
        talk.reply(b"enough", b"Connection: close", status=b"413 Too Much")
        talk.await_close()
        talk.close()

    target = b"/early/%d" % taken
    fast.script(target, refuse)
    before = pipes_of(fast)
    with Client(fast.port) as client:
        client.send(request(b"POST", target, b"Content-Length: %d" % len(BODY)))
        sender = threading.Thread(target=send_all, args=(client.sock, BODY))
        sender.start()
        answer = client.answer(b"POST")
        sender.join(DEADLINE_S)
    assert (answer.status, answer.body) == (413, b"enough")
    let_go(fast)
    assert pipes_of(fast) <= before + 1


def test_an_interim_answer_amid_an_upload_loses_no_byte(fast: Rig) -> None:
    """It comes while the upload stands still with bytes in the pipe."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    def take(talk: Talk) -> None:
        got = b""
        for stop in (2, 6, 11, 15):
            while len(got) < stop * MIB:
                got += talk.read(MIB)
            talk.send(hint)
        talk.rest = got
        talk.reply(digest(talk.read_body()))

    fast.script(b"/hints", take)
    with Client(fast.port) as client:
        sender = threading.Thread(
            target=send_all, args=(client.sock, request(b"POST", b"/hints", body=BODY))
        )
        sender.start()
        answer = client.answer(b"POST")
        sender.join(DEADLINE_S)
    assert answer.interim == [103] * 4
    assert answer.body == digest(BODY)


def test_a_backend_that_dies_amid_an_upload_is_a_502(fast: Rig) -> None:
    def die(talk: Talk) -> None:
        talk.read()
        talk.reset()

    fast.script(b"/dies", die)
    with Client(fast.port) as client:
        sender = threading.Thread(
            target=send_all, args=(client.sock, request(b"POST", b"/dies", body=BODY))
        )
        sender.start()
        answer = client.answer(b"POST")
        sender.join(DEADLINE_S)
    assert answer.status == 502
    assert answer.value(b"proxy-status").endswith(b"connection_terminated")
    assert len(fast.seen(b"/dies")) == 1
    let_go(fast)


def test_what_comes_little_by_little_leaves_at_once(fast: Rig) -> None:
    """Also where much is yet to come: a pipe holds nothing back."""
    got = bytearray()

    def drip(talk: Talk) -> None:
        talk.send(HEAD % (5 * MIB))
        for number in range(5):
            wait_for(lambda n=number: len(got) == n * MIB, "the client to have it all")
            talk.send(BODY[number * MIB : (number + 1) * MIB])

    fast.script(b"/drip", drip)
    with Client(fast.port) as client:
        client.send(get(b"/drip"))
        client.expect()
        assert isinstance(client.event(), h11.Response)
        while isinstance(event := client.event(), h11.Data):
            got += event.data
    assert got == BODY[: 5 * MIB]


def test_the_size_of_an_upload_is_bounded_as_ever(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("limit")
    env = {"LB_LIMITS__BODY_BYTES": str(10 * MIB), "LB_HEALTH__INTERVAL": "600"}
    with running_rig("fast", folder, **env) as rig:
        fits = request(b"POST", b"/fits", body=BODY[: 10 * MIB])
        assert rig.fetch(fits).status == 200
        (talk,) = rig.seen(b"/fits")
        assert talk.body == BODY[: 10 * MIB]
        head = request(b"POST", b"/large", b"Content-Length: %d" % (10 * MIB + 1))
        assert rig.fetch(head).status == 413
        assert rig.seen(b"/large") == []
