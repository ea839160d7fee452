"""What tracing puts on the path of a request where it is on, and where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lb.config import Settings, load
from lb.http1.forward import Peer
from lb.http1.trace import TracedPeer
from lb.proxy.exchange import Request
from lb.proxy.reception import Reception
from lb.proxy.tally import LockedTally, PlainTally
from lb.proxy.tracing import SpanNotes
from lb.shm import Passage, SharedFile, SpanReader, publish
from lb.shm.layout import SlotCell
from tests.shm.children import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = b"GET /a?b HTTP/1.1\r\nHost: lb.test\r\n%b\r\n"
PARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    publish(tmp_path / "state", backends(9001))
    with SharedFile.open(tmp_path / "state") as opened:
        yield opened


def tracing(folder: Path) -> Settings:
    return load({"LB_TRACING__ENDPOINT": "http://127.0.0.1:9/v1/traces"}, folder)


def received(settings: Settings, data: bytes, proto: bytes = b"http") -> Request:
    """A request of that head, as a lane receives it."""
    peer, parser = Reception(settings).welcome("192.0.2.1", proto)
    head = parser.parse(data)
    assert head is not None
    wire, request_id = peer.request_head(head)
    return Request(head, wire, client=peer.ip, request_id=request_id, began=1000.0)


def test_without_the_setting_nothing_is_on_the_path(file: SharedFile) -> None:
    """The very functions that are there without this module; and no space is taken."""
    slot, settings = file.take_slot(), Settings()
    tally = PlainTally(slot)
    before = tally._record
    tally.also(SpanNotes(slot).by(settings))
    assert tally._record == before == tally.recorder.finish
    assert type(Reception(settings).welcome("192.0.2.1")[0]) is Peer
    assert file.cells[file.geometry.head(slot.index) + SlotCell.SPANS] == 0


@pytest.mark.parametrize("kind", [PlainTally, LockedTally])
def test_with_it_a_request_that_is_over_is_noted(
    file: SharedFile, tmp_path: Path, kind: type[PlainTally]
) -> None:
    """By the ids that its backend was told; and no more when it is switched off."""
    slot, settings = file.take_slot(), tracing(tmp_path)
    tally, notes = kind(slot), SpanNotes(slot)
    tally.also(notes.by(settings))
    assert type(Reception(settings).welcome("192.0.2.1")[0]) is TracedPeer
    for data, proto in ((HEAD % PARENT, b"https"), (HEAD % b"", b"http")):
        request = received(settings, data, proto)
        tally.finish(request, None, 1000.5)
        (span,) = SpanReader(file).read(10)
        sent = request.wire[request.wire.find(b"traceparent: ") + 13 :].decode()
        assert sent.startswith(f"00-{span.trace}-{span.span}-01\r\n")
        assert span.parent == ("b7ad6b7169203331" if proto == b"https" else "")
        assert (span.is_https, span.is_1_1) == (proto == b"https", True)
        assert (span.host, span.target) == ("lb.test", "/a?b")
    tally.also(notes.by(Settings()))
    tally.finish(received(settings, HEAD % b""), None, 1000.5)
    assert SpanReader(file).read(10) == []


def test_what_was_never_understood_is_no_span(file: SharedFile, tmp_path: Path) -> None:
    slot, settings = file.take_slot(), tracing(tmp_path)
    note = SpanNotes(slot).by(settings)
    assert note is not None
    note(Passage(slot.no_backend), 1.0)
    head = received(settings, HEAD % b"").head
    note(Request(head, b""), 1.0)
    assert SpanReader(file).read(10) == []


def test_a_body_behind_the_head_says_nothing(file: SharedFile, tmp_path: Path) -> None:
    """Whatever a client writes into it."""
    slot, settings = file.take_slot(), tracing(tmp_path)
    note = SpanNotes(slot).by(settings)
    assert note is not None
    request = received(settings, HEAD % b"")
    request.cells = slot.no_backend
    request.wire += b"\r\nX-Forwarded-Proto: https\r\n" + PARENT + b"\r\n\r\n"
    note(request, 1000.5)
    (span,) = SpanReader(file).read(10)
    assert not span.is_https
    assert span.trace != "0af7651916cd43dd8448eb211c80319c"


def test_one_that_was_under_way_when_it_was_switched_on_has_no_span(
    file: SharedFile, tmp_path: Path
) -> None:
    """Its backend was told the client's span; that is not ours to send."""
    slot = file.take_slot()
    note = SpanNotes(slot).by(tracing(tmp_path))
    assert note is not None
    note(received(Settings(), HEAD % PARENT), 1000.5)
    assert SpanReader(file).read(10) == []
