"""Rows of figures, made of one snapshot after another; rates are of the last two.

Pure: snapshots are handed in, and their own times are gone by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lb.report import Report

LEAST_S: Final = 0.5
"""Between two snapshots for a rate: of less, a few requests would make a high one."""

NO_LATENCY: Final = {"p50_s": None, "p95_s": None, "p99_s": None}


@dataclass(frozen=True, slots=True)
class Row:
    """A backend at one moment; a rate is None before there are two snapshots.

    `errors_s` are failed attempts or answers with 5xx, whichever are more; `share` is
    its part of its set's attempts, 0 to 1; latencies are seconds, None of no request.
    """

    id: int
    name: str
    address: str
    set: str
    verdict: str
    wish: str
    weight: int
    is_served: bool
    is_available: bool
    requests_s: float | None
    share: float | None
    errors_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    in_flight: int
    since: float | None
    age_s: float | None
    """How long it was so at the snapshot, by the clock of who made that."""
    why: str
    probes: tuple[bool, ...]
    """The last ones, the oldest first: whether each passed."""


@dataclass(frozen=True, slots=True)
class Sum:
    """All backends and workers together, at one moment."""

    at: float
    requests_s: float | None
    errors_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    latency_window_s: float
    in_flight: int
    backends: int
    served: int
    workers: int
    workers_behind: int
    """Those that have not seen every change."""
    checker_pid: int | None
    panic: tuple[str, ...]
    """The sets that are in panic."""
    state_path: str


@dataclass(frozen=True, slots=True)
class _Counted:
    """The totals of one snapshot."""

    at: float
    requests: int
    errors: int
    backends: dict[int, tuple[int, int, int]]
    """Attempts, failures and answers with 5xx, by the backend's id."""


class Board:
    """What was last told, as rows; `take` a snapshot to have others."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.sum: Sum | None = None
        self._before: _Counted | None = None

    def take(self, snapshot: Report) -> None:
        """Make rows of a snapshot; 20 us for each."""
        now, before = _counted(snapshot), self._before
        if before is not None and now.at < before.at:
            before = None  # the clock there was set back: begin anew
        if before is not None and now.at - before.at < LEAST_S:
            return
        self._before = now
        rates = {} if before is None else _rates(before, now)
        of_set: dict[str, float] = {}
        for each in snapshot["backends"]:
            if each["id"] in rates:
                attempts_s = rates[each["id"]][0]
                of_set[each["set"]] = of_set.get(each["set"], 0.0) + attempts_s
        self.rows = [
            _row(each, now.at, rates.get(each["id"]), of_set.get(each["set"], 0.0))
            for each in snapshot["backends"]
        ]
        self.sum = _sum(snapshot, before, now)


def _counted(snapshot: Report) -> _Counted:
    responses = snapshot["totals"]["responses"]
    backends = {}
    for each in snapshot["backends"]:
        if totals := each["totals"]:
            failures = sum(totals["failures"].values())
            errors = totals["responses"].get("5xx", 0)
            backends[each["id"]] = totals["attempts"], failures, errors
    return _Counted(
        snapshot["at"], sum(responses.values()), responses.get("5xx", 0), backends
    )


def _rise(now: int, before: int, took_s: float) -> float:
    """How much a total rose each second; a file that began anew begins at 0."""
    return max(0, now - before) / took_s


def _rates(before: _Counted, now: _Counted) -> dict[int, tuple[float, float]]:
    """Attempts and errors each second, by the backend's id."""
    took_s = now.at - before.at
    found = {}
    for key, totals in now.backends.items():
        then = before.backends.get(key, totals)
        attempts, failures, errors = (
            _rise(a, b, took_s) for a, b in zip(totals, then, strict=True)
        )
        found[key] = attempts, max(failures, errors)
    return found


def _row(
    each: Report, now: float, rates: tuple[float, float] | None, all_s: float
) -> Row:
    requests_s, errors_s = rates or (None, None)
    is_ejected = bool(each["ejected"]) and each["verdict"] != "down"
    ejected: Report = each["ejected"] if is_ejected else {}
    since = ejected.get("at") or each["since"]
    return Row(
        id=each["id"],
        name=each["name"],
        address=each["address"],
        set=each["set"],
        verdict="ejected" if is_ejected else each["verdict"],
        wish=each["wish"],
        weight=each["weight"],
        is_served=each["is_served"],
        is_available=each["available"],
        requests_s=requests_s,
        share=requests_s / all_s if requests_s is not None and all_s else None,
        errors_s=errors_s,
        **(each["latency"] or NO_LATENCY),
        in_flight=each["in_flight"],
        since=since,
        age_s=max(0.0, now - since) if since else None,
        why=ejected.get("why") or each["reason"],
        probes=tuple(probe["ok"] for probe in each["probes"]),
    )


def _sum(snapshot: Report, before: _Counted | None, now: _Counted) -> Sum:
    rates: dict[str, Any] = {"requests_s": None, "errors_s": None}
    if before is not None:
        took_s = now.at - before.at
        rates["requests_s"] = _rise(now.requests, before.requests, took_s)
        rates["errors_s"] = _rise(now.errors, before.errors, took_s)
    backends, workers = snapshot["backends"], snapshot["workers"]
    return Sum(
        at=snapshot["at"],
        **rates,
        **(snapshot["latency"] or NO_LATENCY),
        latency_window_s=snapshot["latency_window_s"],
        in_flight=sum(each["in_flight"] for each in backends),
        backends=len(backends),
        served=sum(each["is_served"] for each in backends),
        workers=len(workers),
        workers_behind=sum(worker["behind"] > 0 for worker in workers),
        checker_pid=snapshot["checker_pid"],
        panic=tuple(each["name"] for each in snapshot["sets"] if each["is_panic"]),
        state_path=snapshot["state_path"],
    )
