"""Request bodies on their way: kept for a second attempt, bounded, refused."""

from __future__ import annotations

import socket
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import ClientGoneError, RequestError
from lb.http1.grammar import CHUNKED
from lb.proxy.upload import StreamSource, Upload, check_size
from lb.streams.splice import Pipe
from tests.streams.pairs import Kind, kinds, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 5.0


class Client:
    """The far end of a stream, and uploads read from it."""

    def __init__(self, kind: str) -> None:
        self.kind = Kind(kind, kinds()[kind]())
        self.stream, self.sock = self.kind.pair()

    def upload(
        self,
        here: bytes,
        length: int,
        *,
        keep: int = 10,
        limit: int = 0,
        idle_s: float = PATIENCE_S,
    ) -> Upload:
        source = StreamSource(
            self.stream, here, length=length, idle_s=idle_s, clock=monotonic
        )
        return Upload(source, length=length, keep_bytes=keep, limit_bytes=limit)


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client("blocking")
    yield made
    made.stream.close()
    made.sock.close()


def read_all(upload: Upload) -> bytes:
    return b"".join(iter(upload.read, b""))


def test_a_body_comes_from_what_is_here_and_then_from_the_stream(
    client: Client,
) -> None:
    client.sock.sendall(b"lo, GET /next")
    upload = client.upload(b"hel", 5)
    assert upload.read() == b"hel"
    assert not upload.is_done
    assert (upload.read(), upload.read()) == (b"lo", b"")
    assert (upload.is_done, upload.rest) == (True, b", GET /next")


def test_a_chunked_body_is_decoded_with_its_trailers(client: Client) -> None:
    client.sock.sendall(b"2\r\nlo\r\n0\r\nX: 1\r\nHost: b\r\n\r\nnext")
    upload = client.upload(b"3\r\nhel\r\n", CHUNKED)
    assert read_all(upload) == b"hello"
    assert (upload.rest, upload.trailers) == (b"next", [b"X: 1"])


def test_a_small_body_can_be_sent_again(client: Client) -> None:
    client.sock.sendall(b"lo")
    upload = client.upload(b"hel", 5)
    assert read_all(upload) == b"hello"
    for _ in range(2):
        upload.rewind()
        assert not upload.is_lost
        assert read_all(upload) == b"hello"


def test_a_body_half_sent_goes_on_behind_what_was_kept(client: Client) -> None:
    upload = client.upload(b"hel", 5)
    assert upload.read() == b"hel"
    upload.rewind()
    client.sock.sendall(b"lo")
    assert read_all(upload) == b"hello"
    upload.rewind()
    assert read_all(upload) == b"hello"


@pytest.mark.parametrize(("length", "is_lost"), [(10, False), (11, True)])
def test_a_body_beyond_the_bound_is_not_kept(
    client: Client, length: int, is_lost: bool
) -> None:
    body = b"0123456789a"[:length]
    upload = client.upload(body[:6], length)
    client.sock.sendall(body[6:])
    assert not upload.is_lost
    assert read_all(upload) == body
    assert upload.is_lost is is_lost


def test_nothing_is_lost_before_it_is_taken(client: Client) -> None:
    """A long body may go to another backend while the first has had none of it."""
    assert not client.upload(b"", 1_000_000).is_lost


@pytest.mark.parametrize("length", [0, 10, 11])
def test_a_declared_size_above_the_limit_is_refused_at_once(
    client: Client, length: int
) -> None:
    if length <= 10:
        client.upload(b"", length, limit=10)
        return
    with pytest.raises(RequestError) as caught:
        client.upload(b"", length, limit=10)
    assert caught.value.status == 413


def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_limit(
    client: Client,
) -> None:
    upload = client.upload(b"a\r\n0123456789\r\n", CHUNKED, limit=10)
    assert upload.read() == b"0123456789"
    client.sock.sendall(b"1\r\nx\r\n")
    with pytest.raises(RequestError) as caught:
        upload.read()
    assert caught.value.status == 413


def test_without_a_limit_any_size_is_taken() -> None:
    check_size(10**17, 0)
    with pytest.raises(RequestError):
        check_size(2, 1)


@pytest.mark.parametrize("data", [b"zz\r\n", b"2\nok\n", b"2\r\nokay\r\n"])
def test_a_broken_chunk_is_the_clients_fault(client: Client, data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read_all(client.upload(data, CHUNKED))
    assert caught.value.status == 400


def test_a_body_that_stalls_is_408(client: Client) -> None:
    upload = client.upload(b"hel", 5, idle_s=0.02)
    assert upload.read() == b"hel"
    with pytest.raises(RequestError) as caught:
        upload.read()
    assert caught.value.status == 408


@pytest.mark.parametrize("length", [5, CHUNKED])
@pytest.mark.parametrize("end", ["close", "half", "reset"])
def test_a_client_that_leaves_amid_its_body_is_gone(
    client: Client, end: str, length: int
) -> None:
    upload = client.upload(b"2\r\n", length)
    if end == "half":
        client.sock.shutdown(socket.SHUT_WR)
    elif end == "reset":
        reset(client.sock)
    else:
        client.sock.close()
    with pytest.raises(ClientGoneError):
        read_all(upload)
    assert not upload.is_done


def test_what_came_with_the_head_is_judged_at_once(client: Client) -> None:
    """A bad chunk is known before anything is sent; a good one is not lost."""
    made = partial(
        StreamSource, client.stream, length=CHUNKED, idle_s=1, clock=monotonic
    )
    with pytest.raises(RequestError):
        made(b"0x3\r\nhel").prime()
    source = made(b"3\r\nhel\r\n2\r\nlo")
    assert source.prime() == 5
    client.sock.sendall(b"\r\n0\r\n\r\nnext")
    assert (source.read(), source.read()) == (b"hello", b"")
    assert (source.is_done, source.rest) == (True, b"next")


@pytest.fixture
def fast() -> Iterator[Client]:
    """The same over the fast lane's stream."""
    made = Client("hub")
    yield made
    made.sock.close()
    made.kind.transport.close()


BODY = bytes(range(250)) * 400


def take_all(upload: Upload) -> tuple[bytes, list[bool]]:
    """A body to its end, and which of its pieces were in pipes."""
    data, pipes = b"", []
    while piece := upload.take():
        pipes.append(isinstance(piece, Pipe))
        if isinstance(piece, Pipe):
            data += piece.read_out()
            piece.release()
        else:
            data += piece
    return data, pipes


def test_a_large_body_is_taken_by_pipe_once_it_cannot_be_sent_again(
    fast: Client,
) -> None:
    """And what the client sent behind it stays where it is."""
    fast.sock.sendall(BODY[11:] + b"GET /next")
    upload = fast.upload(BODY[:11], len(BODY))
    assert upload.take() == BODY[:11]
    assert upload.is_lost
    data, pipes = take_all(upload)
    assert data == BODY[11:]
    assert pipes[0]
    assert upload.is_done
    assert upload.rest + fast.stream.read() == b"GET /next"


def test_what_may_be_sent_again_is_read_and_kept(fast: Client) -> None:
    fast.sock.sendall(BODY)
    upload = fast.upload(b"", len(BODY), keep=len(BODY))
    for _ in range(2):
        data, pipes = take_all(upload)
        assert data == BODY
        assert not any(pipes)
        upload.rewind()


@pytest.mark.parametrize("end", ["close", "stall"])
def test_a_client_that_fails_amid_a_large_body_is_told_apart(
    fast: Client, end: str
) -> None:
    upload = fast.upload(b"x" * 11, 10**6, idle_s=0.05)
    upload.take()
    if end == "close":
        fast.sock.close()
    expected = ClientGoneError if end == "close" else RequestError
    with pytest.raises(expected):
        upload.take()
    assert not upload.is_done


def test_what_came_with_the_head_goes_before_what_a_pipe_takes(fast: Client) -> None:
    fast.sock.sendall(BODY[5:])
    for is_primed in (True, False):
        source = StreamSource(
            fast.stream, BODY[:5], length=len(BODY), idle_s=PATIENCE_S, clock=monotonic
        )
        if is_primed:
            source.prime()
        assert source.take() == BODY[:5]
    assert isinstance(source.take(), Pipe)
