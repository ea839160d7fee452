"""The spans of all slots, read once each by the one process that exports them.

How far they were read stands in the shared file, as do the counts of what became of
them: a new exporter goes on where the last one ended, and totals survive it. Who
exports is decided by a byte's lock, so two never send the same span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from lb.shm.cells import read_whole
from lb.shm.labels import label_of
from lb.shm.layout import CELL_BYTES, LOCK_EXPORTER, Head, SlotCell
from lb.shm.slots import used_slots
from lb.shm.spans import FACTS, IS_1_1, IS_HTTPS, SPAN_CELLS, SPANS_KEPT, SpanCell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.shm.file import SharedFile

TEXTS: Final = 12
"""Which of the facts is the first text."""


class Span(NamedTuple):
    """One traced request; `began` is unix time, phases are seconds, None if skipped.

    Ids are in hex; `parent` is "" where it has none. The rest is as `RequestRecord`.
    """

    slot: int
    trace: str
    span: str
    parent: str
    began: float
    total_s: float
    queued_s: float | None
    connect_s: float | None
    to_head_s: float | None
    status: int
    label: str
    attempts: int
    backend_id: int
    bytes_in: int
    bytes_out: int
    is_1_1: bool
    is_https: bool
    policy: str
    method: str
    request_id: str
    client: str
    host: str
    target: str


class SpanCounts(NamedTuple):
    """What became of all spans of a file's life."""

    sent: int
    failed: int
    lost: int


def span_counts(file: SharedFile) -> SpanCounts:
    """The counts, for anybody."""
    first = int(Head.SPANS_SENT)
    return SpanCounts(*file.cells[first : first + len(SpanCounts._fields)].tolist())


class SpanReader:
    """Reads a file's spans, if this process may be the one; `close` lets others."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def may_read(self) -> bool:
        """Whether this process is the one that exports; it is from then on."""
        locks = self._file.locks
        return locks.is_ours(LOCK_EXPORTER) or locks.take(LOCK_EXPORTER)

    def close(self) -> None:
        """Let another process export."""
        self._file.locks.free(LOCK_EXPORTER)

    def read(self, limit: int) -> list[Span]:
        """At most so many spans that were not read yet; 10 us each.

        Those that were overwritten meanwhile are counted as lost.
        """
        found: list[Span] = []
        for slot in used_slots(self._file.cells, self._file.geometry):
            if len(found) < limit:
                found += self._read_slot(slot, limit - len(found))
        return found

    def count(self, *, sent: int = 0, failed: int = 0, lost: int = 0) -> None:
        """Add to what became of spans."""
        cells = self._file.cells
        for cell, more in (
            (Head.SPANS_SENT, sent),
            (Head.SPANS_FAILED, failed),
            (Head.SPANS_LOST, lost),
        ):
            cells[cell] += more

    def _read_slot(self, slot: int, limit: int) -> Iterator[Span]:
        cells, head = self._file.cells, self._file.geometry.head(slot)
        end = max(1, int(cells[head + SlotCell.SPANS])) - 1
        read = int(cells[head + SlotCell.SPANS_READ])
        first = max(read, end - SPANS_KEPT)
        last = min(end, first + limit)
        lost = first - read
        for number in range(first, last):
            span = self._read(slot, number)
            if span is None:
                lost += 1
            else:
                yield span
        cells[head + SlotCell.SPANS_READ] = last
        self.count(lost=lost)

    def _read(self, slot: int, number: int) -> Span | None:
        cells = self._file.cells
        ring = self._file.geometry.spans(slot)
        at = ring + number % SPANS_KEPT * SPAN_CELLS
        first = at + SpanCell.FACTS
        end = first + FACTS.size // CELL_BYTES
        found = read_whole(cells, at, lambda: (cells[at], cells[first:end].tobytes()))
        if found is None or found[0] != 2 * number + 2:
            return None
        return _span(slot, FACTS.unpack(found[1]))


def _span(slot: int, facts: tuple[float | int | bytes, ...]) -> Span:
    numbers, texts = facts[:TEXTS], facts[TEXTS:]
    began, backend, bytes_in, bytes_out, queued, connect, to_head, total = numbers[:8]
    status, attempts, label, traits = (int(number) for number in numbers[8:])
    ids, parent, policy, method, request_id, client, host, target = map(_text, texts)
    trace, _, span = ids.partition("-")
    return Span(
        slot=slot,
        trace=trace,
        span=span,
        parent=parent,
        began=float(began),
        total_s=float(total),
        queued_s=_phase(queued),
        connect_s=_phase(connect),
        to_head_s=_phase(to_head),
        status=status,
        label=label_of(label),
        attempts=attempts,
        backend_id=int(backend),
        bytes_in=int(bytes_in),
        bytes_out=int(bytes_out),
        is_1_1=bool(traits & IS_1_1),
        is_https=bool(traits & IS_HTTPS),
        policy=policy,
        method=method,
        request_id=request_id,
        client=client,
        host=host,
        target=target,
    )


def _text(data: object) -> str:
    return data.rstrip(b"\0").decode("latin-1") if isinstance(data, bytes) else ""


def _phase(seconds: float | bytes) -> float | None:
    return float(seconds) if float(seconds) >= 0 else None
