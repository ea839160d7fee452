"""Server-Sent Events: the same messages however the bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.admin.streaming import message
from lb.cli.reach import messages
from lb.cli.reach.messages import Message, Messages
from lb.errors import ReachError

STREAM = (
    "retry: 1000\n\n"
    ": alive\r\n\r\n"
    "id: 1-2-3\nevent: transition\ndata: {\"é\": 1}\n\n"
    "data: two\rdata: lines\r\r"
    "event: nothing\n\n"
    "data\ndata:\n\n"
    "id: bad\0id\nignored\nevent: last\ndata:x: y\n\n"
    "data: never ended"
).encode()  # fmt: skip

TOLD = [
    Message("transition", '{"é": 1}', "1-2-3"),
    Message("message", "two\nlines", "1-2-3"),
    Message("message", "\n", "1-2-3"),
    Message("last", "x: y", "1-2-3"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_tell_what_the_whole_tells(cuts: list[int]) -> None:
    reader = Messages()
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert [each for piece in pieces for each in reader.feed(piece)] == TOLD


def test_byte_by_byte() -> None:
    reader = Messages()
    found = [each for byte in STREAM for each in reader.feed(bytes([byte]))]
    assert found == TOLD


def test_it_reads_what_the_admin_process_writes() -> None:
    (found,) = Messages().feed(message("snapshot", '{"a": 1}'))
    assert found == Message("snapshot", '{"a": 1}', "")


@pytest.mark.parametrize(
    "endless", [b"data: " + b"x" * 300, b"data: " + b"x" * 50 + b"\n"]
)
def test_an_endless_message_is_refused(
    endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_BYTES", 1000)
    reader = Messages()

    def feed() -> None:
        for _ in range(100):
            assert list(reader.feed(endless)) == []

    with pytest.raises(ReachError, match="more than 1000 bytes"):
        feed()
