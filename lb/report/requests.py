"""Finished requests, from the flight recorder of every process, dead ones too."""

from __future__ import annotations

import dataclasses
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from lb.operating import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lb.shm import RequestRecord, SharedFile

ID_BYTES: Final = 40
"""How much of an id is recorded."""


def select(
    file: SharedFile,
    *,
    slow_s: float | None = None,
    failed: bool = False,
    backend: str | None = None,
    limit: int,
) -> list[RequestRecord]:
    """The last requests, the newest first, `limit` of them at most.

    `slow_s` keeps those that took at least so long, the slowest first; `failed` those
    that `has_failed` says; `backend` those that were sent there, if only for a failed
    attempt. With any of these all that is recorded is read: 14 us for each request.

    Raises:
        OperationError: no backend is called so.
    """
    records: Iterable[RequestRecord] = file.recent()
    if backend is not None:
        (row,) = find(file.rows(), [backend])
        records = _sent_to(row.id, records)
    if failed:
        records = filter(has_failed, records)
    if slow_s is not None:
        found = [each for each in records if each.total_s >= slow_s]
        records = sorted(found, key=lambda each: each.total_s, reverse=True)
    return list(islice(records, limit))


def _sent_to(
    backend_id: int, records: Iterable[RequestRecord]
) -> Iterator[RequestRecord]:
    for record in records:
        if backend_id == record.backend_id or backend_id in record.tried:
            yield record


def with_id(file: SharedFile, request_id: str) -> tuple[list[RequestRecord], int]:
    """The requests of that id, and how many were looked at; O(all recorded)."""
    wanted = request_id.encode("utf-8", "surrogateescape")[:ID_BYTES].decode("latin-1")
    records = list(file.recent())
    return [each for each in records if each.request_id == wanted], len(records)


def has_failed(record: RequestRecord) -> bool:
    """Whether the client had no good answer: none at all, cut short, or a 5xx."""
    return bool(record.label) or not record.status or record.status >= 500


def request_report(record: RequestRecord) -> dict[str, Any]:
    """All that is known of a request; texts are latin-1."""
    return dataclasses.asdict(record) | {"ended": record.ended}


def story(record: RequestRecord) -> dict[str, str]:
    """What happened to a request in words, by what they are about."""
    return {
        "worker": f"slot {record.slot}, its request number {record.number}",
        "chosen by": record.policy or "-",
        "attempts": _attempts(record),
        "phases": _phases(record),
        "bytes": f"{record.bytes_in} from the client, {record.bytes_out} to it",
        "answer": _answer(record),
    }


def _attempts(record: RequestRecord) -> str:
    failed = zip(record.tried, record.tried_names, strict=True)
    names = [f"{backend_name(*each)} failed" for each in failed]
    if record.attempts > len(names) + 1:
        names.append("more")
    last = backend_name(record.backend_id, record.backend)
    tried_last = bool(record.tried) and record.tried[-1] == record.backend_id
    if not tried_last and record.backend_id:
        names.append(last)
    return f"{record.attempts}: {', then '.join(names) or 'no backend'}"


def _phases(record: RequestRecord) -> str:
    phases = {
        "queue": record.queued_s,
        "connect": record.connect_s,
        "head": record.to_head_s,
        "total": record.total_s,
    }
    return ", ".join(
        f"{name} {milliseconds(took_s)}" + (" ms" if took_s is not None else "")
        for name, took_s in phases.items()
    )


def _answer(record: RequestRecord) -> str:
    status = str(record.status) if record.status else "none"
    return f"{status}, {record.label}" if record.label else f"{status}, it ended well"


def backend_name(backend_id: int, name: str) -> str:
    """A backend's name; its number in the table if it has left."""
    if not backend_id:
        return "-"
    return name or f"(gone: {backend_id})"


def milliseconds(seconds: float | None) -> str:
    """A phase, "-" if there was none."""
    return "-" if seconds is None else f"{seconds * 1000:.2f}"
