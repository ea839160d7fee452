"""Body framings: what is cut out of a byte stream, however it is split."""

from __future__ import annotations

import itertools
from time import perf_counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.http1.body import (
    MAX_SIZE_LINE,
    MAX_TRAILERS,
    Chunked,
    FramingError,
    Sized,
    UntilClose,
    chunk,
    framing_for,
    last_chunk,
)
from lb.http1.grammar import CHUNKED, NEVER_TRAILERS, UNTIL_CLOSE
from tests.http1.feeding import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lb.http1.body import Framing


def fed(framing: Framing, pieces: Iterable[bytes]) -> bytes:
    """The body in `pieces`; what comes when it is done is added to its rest."""
    body = b""
    for piece in pieces:
        if framing.is_done:
            framing.rest += piece
        else:
            body += framing.feed(piece)
    return body


def single(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# (encoded, body, trailers)
GOOD = {
    "empty": (b"0\r\n\r\n", b"", []),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "two chunks": (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!", []),
    "upper and lower case": (
        b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        b"0123456789" * 2,
        [],
    ),
    "leading zeros": (b"000000000000005\r\nhello\r\n000\r\n\r\n", b"hello", []),
    "data that looks like framing": (
        b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        [],
    ),
    "extension": (b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello", []),
    "quoted extension": (b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', b"hello", []),
    "empty extension": (b"5;\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "space before an extension": (b"5 \t; a = b\r\nhello\r\n0\r\n\r\n", b"hello", []),
    "extension of high bytes": (b"1;\xe9\r\nx\r\n0\r\n\r\n", b"x", []),
    "trailers": (
        b"1\r\nx\r\n0\r\nX-Sum: 1\r\nx-b:2\r\nX-Sum: 3\r\n\r\n",
        b"x",
        [b"X-Sum: 1", b"x-b:2", b"X-Sum: 3"],
    ),
    "trailers that may not be passed on": (
        b"0\r\nContent-Length: 5\r\nTRANSFER-encoding: x\r\nHost: b\r\nA_B: 1\r\n"
        b"Authorization: x\r\nX-Forwarded-For: y\r\nOk: 1\r\n\r\n",
        b"",
        [b"Ok: 1"],
    ),
    "empty trailer value": (b"0\r\nX:\r\n\r\n", b"", [b"X:"]),
}


@pytest.mark.parametrize(("data", "body", "trailers"), GOOD.values(), ids=GOOD)
def test_chunked_body_is_decoded_however_it_comes(
    data: bytes, body: bytes, trailers: list[bytes]
) -> None:
    behind = b"GET / HTTP/1.1\r\n"
    ways = [[data], [data + behind], single(data), single(data + behind)]
    ways += [[data[:cut], data[cut:] + behind] for cut in range(1, len(data))]
    for pieces in ways:
        framing = Chunked()
        assert fed(framing, pieces) == body
        assert framing.is_done
        assert framing.trailers == trailers
        assert framing.rest == b"".join(pieces)[len(data) :]


@pytest.mark.parametrize("data", [g[0] for g in GOOD.values()], ids=GOOD)
def test_chunked_body_that_is_cut_short_is_never_done(data: bytes) -> None:
    for cut in range(len(data)):
        framing = Chunked()
        framing.feed(data[:cut])
        assert not framing.is_done
        with pytest.raises(FramingError):
            framing.ended()


BAD = {
    "no size": b"\r\nhello\r\n",
    "not a number": b"g\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "minus": b"-5\r\nhello\r\n",
    "underscore": b"1_0\r\n",
    "space before": b" 5\r\nhello\r\n",
    "space behind": b"5 \r\nhello\r\n",
    "tab behind": b"5\t\r\nhello\r\n",
    "space inside": b"1 0\r\n",
    "space behind the last": b"0 \r\n\r\n",
    "16 digits": b"0000000000000005\r\nhello\r\n",
    "overflow of 64 bits": b"10000000000000005\r\nhello\r\n",
    "overflow of 32 bits with a sign": b"-100000005\r\nhello\r\n",
    "very many digits": b"f" * 2000 + b"\r\n",
    "digit of another script": "\u0665\r\nhello\r\n".encode(),
    "LF behind a size": b"5\nhello\r\n0\r\n\r\n",
    "CR behind a size": b"5\rhello\r\n",
    "CR CR LF": b"5\r\r\nhello\r\n",
    "VT behind a size": b"5\x0b\r\nhello\r\n",
    "NUL behind a size": b"5\0\r\nhello\r\n",
    "comma for semicolon": b"5,a\r\nhello\r\n",
    "extension with LF": b"5;a\nb\r\nhello\r\n",
    "extension with CR": b"5;a\rb\r\nhello\r\n",
    "extension with NUL": b"5;\0\r\nhello\r\n",
    "extension with DEL": b"5;\x7f\r\nhello\r\n",
    "chunk longer than its size": b"5\r\nhello!\r\n",
    "chunk shorter than its size": b"5\r\nhell\r\n0\r\n\r\n",
    "chunk that ends in LF": b"5\r\nhello\n0\r\n\r\n",
    "chunk that ends in CR": b"5\r\nhello\r0\r\n\r\n",
    "chunk without an end": b"5\r\nhello0\r\n\r\n",
    "last chunk that ends in LF": b"0\n\r\n",
    "end in LF": b"0\r\n\n",
    "trailer without colon": b"0\r\nX\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nX : 1\r\n\r\n",
    "trailer that is folded": b"0\r\nX: 1\r\n 2\r\n\r\n",
    "trailer without name": b"0\r\n: 1\r\n\r\n",
    "trailer that ends in LF": b"0\r\nX: 1\n\r\n",
    "trailer with CR": b"0\r\nX: 1\r2\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \0\r\n\r\n",
    "a request for a trailer": b"0\r\nGET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_chunked_body_is_refused_however_it_comes(data: bytes) -> None:
    ways = [[data], single(data)]
    ways += [[data[:cut], data[cut:]] for cut in range(1, len(data))]
    for pieces in ways:
        framing = Chunked()
        with pytest.raises(FramingError):
            fed(framing, pieces)
        assert not framing.is_done


def size_line(length: int) -> bytes:
    return b"1;" + b"x" * (length - 2)


def test_extensions_are_bounded() -> None:
    whole = size_line(MAX_SIZE_LINE) + b"\r\nx\r\n0\r\n\r\n"
    for pieces in ([whole], single(whole)):
        assert fed(Chunked(), pieces) == b"x"
    with pytest.raises(FramingError):
        Chunked().feed(size_line(MAX_SIZE_LINE + 1) + b"\r\n")
    with pytest.raises(FramingError):
        fed(Chunked(), single(size_line(MAX_SIZE_LINE + 2)))


@pytest.mark.parametrize("value", [0, 100, MAX_TRAILERS - 10])
def test_trailers_are_bounded(value: int) -> None:
    line = b"X: " + b"x" * value + b"\r\n"
    room = MAX_TRAILERS // len(line)
    framing = Chunked()
    framing.feed(b"0\r\n" + line * room + b"\r\n")
    assert len(framing.trailers) == room
    with pytest.raises(FramingError):
        Chunked().feed(b"0\r\n" + line * (room + 1))


def test_a_trailer_line_that_never_ends_is_refused() -> None:
    framing = Chunked()
    framing.feed(b"0\r\n")
    with pytest.raises(FramingError):
        fed(framing, (b"x" * 1000 for _ in range(100)))


@pytest.mark.parametrize("name", sorted(NEVER_TRAILERS))
def test_trailers_of_routing_framing_or_authority_are_dropped(name: bytes) -> None:
    framing = Chunked()
    framing.feed(b"0\r\n%b: 1\r\n%b: 1\r\n\r\n" % (name, name.upper()))
    assert framing.is_done
    assert framing.trailers == []


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


CHUNKS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=40),
        st.sampled_from([b"", b";a", b';a="b"', b" ;x=y", b";\xff"]),
        st.sampled_from([b"%x", b"%X", b"%04x"]),
    ),
    max_size=8,
)
TRAILERS = st.lists(st.sampled_from([b"A: 1", b"b:2", b"X-C:  three "]), max_size=3)


@settings(max_examples=EXAMPLES, deadline=None)
@given(CHUNKS, TRAILERS, st.binary(max_size=20), st.lists(st.integers(0, 10**6)))
def test_any_split_of_any_encoding_gives_the_same(
    chunks: list[tuple[bytes, bytes, bytes]],
    trailers: list[bytes],
    behind: bytes,
    cuts: list[int],
) -> None:
    data = b""
    for body, extension, form in chunks:
        data += form % len(body) + extension + b"\r\n" + body + b"\r\n"
    data += last_chunk(trailers) + behind
    framing = Chunked()
    assert fed(framing, split(data, cuts)) == b"".join(c[0] for c in chunks)
    assert framing.is_done
    assert (framing.rest, framing.trailers) == (behind, trailers)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 10**6)))
def test_bytes_of_any_kind_are_decoded_the_same_however_split(
    noise: bytes, cuts: list[int]
) -> None:
    def outcome(pieces: list[bytes]) -> object:
        framing = Chunked()
        try:
            body = fed(framing, pieces)
        except FramingError:
            return "refused"
        return body, framing.is_done, framing.rest, framing.trailers

    data = b"3\r\nabc\r\n0\r\n" + noise + b"\r\n\r\n"
    assert outcome(split(data, cuts)) == outcome([data])


@pytest.mark.parametrize("size", [1, 4096, 65536, 100_000])
def test_many_small_chunks_cost_in_proportion(size: int) -> None:
    """64 KiB in chunks of one byte: 400 KB of coding, read by `size` bytes at once."""
    data = chunk(b"x") * 65536 + last_chunk([])
    framing = Chunked()
    begun = perf_counter()
    body = fed(framing, (data[i : i + size] for i in range(0, len(data), size)))
    took_s = perf_counter() - begun
    assert body == b"x" * 65536
    assert took_s < 3, "0.1 s (0.5 by single bytes) when measured"


@pytest.mark.parametrize(
    ("before", "line", "behind"),
    [
        (b"", size_line(MAX_SIZE_LINE), b"\r\nx\r\n0\r\n\r\n"),
        (b"0\r\n", b"X: " + b"x" * (MAX_TRAILERS - 5), b"\r\n\r\n"),
        (b"0\r\n", b"X: 1\r\n" * 2000, b"\r\n"),
    ],
    ids=["extension", "trailer", "trailers"],
)
def test_long_lines_by_single_bytes_cost_little(
    before: bytes, line: bytes, behind: bytes
) -> None:
    """A line is joined anew with each byte, but only up to its bound."""
    framing = Chunked()
    pieces = single(before + line + behind)
    begun = perf_counter()
    fed(framing, pieces)
    took_s = perf_counter() - begun
    assert framing.is_done
    assert took_s < 1, "0.03 s when measured"


def test_sized_body_is_cut_out_however_it_comes() -> None:
    for cut in range(1, 8):
        framing = Sized(5)
        data = b"hello!!"
        assert fed(framing, [data[:cut], data[cut:]]) == b"hello"
        assert (framing.is_done, framing.rest) == (True, b"!!")


def test_sized_body_of_nothing_is_done_at_once() -> None:
    framing = Sized(0)
    assert framing.is_done
    assert (framing.feed(b"next"), framing.rest) == (b"", b"next")


@pytest.mark.parametrize("came", [b"", b"hell"])
def test_sized_body_may_not_end_early(came: bytes) -> None:
    framing = Sized(5)
    framing.feed(came)
    with pytest.raises(FramingError):
        framing.ended()
    assert not framing.is_done


def test_body_until_close_ends_with_the_close() -> None:
    framing = UntilClose()
    assert fed(framing, [b"a", b"b"]) == b"ab"
    assert not framing.is_done
    framing.ended()
    assert (framing.is_done, framing.rest) == (True, b"")


@pytest.mark.parametrize(
    ("length", "kind"), [(CHUNKED, Chunked), (UNTIL_CLOSE, UntilClose), (5, Sized)]
)
def test_framing_follows_the_length(length: int, kind: type) -> None:
    assert type(framing_for(length)) is kind


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), TRAILERS)
def test_what_is_encoded_is_decoded(bodies: list[bytes], trailers: list[bytes]) -> None:
    framing = Chunked()
    data = b"".join(map(chunk, bodies)) + last_chunk(trailers)
    assert framing.feed(data) == b"".join(bodies)
    assert framing.is_done
    assert (framing.trailers, framing.rest) == (trailers, b"")


def test_trailers_that_connection_names_are_dropped() -> None:
    """RFC 9110 section 7.6.1 speaks of header and trailer fields."""
    framing = framing_for(CHUNKED, [b"x-mine"])
    framing.feed(b"0\r\nX-Mine: 1\r\nX-Other: 2\r\nx-mine: 3\r\n\r\n")
    assert isinstance(framing, Chunked)
    assert framing.trailers == [b"X-Other: 2"]
