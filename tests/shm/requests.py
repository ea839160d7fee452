"""Finished requests for tests: begun, counted and recorded as a worker does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.shm import Passage

if TYPE_CHECKING:
    from lb.shm import Recorder, RowCells, SharedFile


def begin(file: SharedFile, at: RowCells) -> None:
    """An attempt begins."""
    file.cells[at.block] += 1
    file.cells[at.in_flight] += 1


def end(file: SharedFile, at: RowCells) -> None:
    """An attempt is over."""
    file.cells[at.in_flight] -= 1


def passage(at: RowCells, *, status: int = 200, took_s: float = 0.001) -> Passage:
    """A request that began at 1,000 s and whose head came in half of its time."""
    made = Passage(at)
    made.client, made.policy = b"127.0.0.1", b"round_robin"
    made.begin(at, 1000.0)
    made.method, made.target, made.request_id = b"GET", b"/a?b=c", b"0123456789abcdef"
    made.attempts, made.status = 1, status
    made.to_head_s = took_s / 2
    made.bytes_in, made.bytes_out = 10, 500
    return made


def serve(
    file: SharedFile,
    recorder: Recorder,
    at: RowCells,
    *,
    status: int = 200,
    took_s: float = 0.001,
) -> None:
    """A whole request at a backend, answered with `status`."""
    begin(file, at)
    recorder.finish(passage(at, status=status, took_s=took_s), 1000.0 + took_s)
    end(file, at)
