"""The state of now: backends, who checks them, and the processes that serve."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lb.model import Wish
from lb.shm import leader_pid

if TYPE_CHECKING:
    from lb.shm import BackendState, ProbeRecord, SharedFile

Report = dict[str, Any]


def state_report(file: SharedFile) -> Report:
    """All that the file says of now; times are unix seconds. 20 us per backend."""
    return {
        "state_path": str(file.path),
        "generation": file.generation(),
        "settings_generation": file.settings_generation(),
        "checker_pid": leader_pid(file),
        "workers": worker_reports(file),
        "backends": backend_reports(file),
        "removed": [
            {"name": row.backend.name, "address": str(row.backend.address)}
            for row in file.removed()
        ],
    }


def worker_reports(file: SharedFile) -> list[Report]:
    """The processes that serve now; `behind` is how many changes they have not seen."""
    now, generation = time.time(), file.generation()
    return [
        {
            "slot": slot.index,
            "pid": slot.pid,
            "started": slot.started,
            "heartbeat_age_s": round(max(0.0, now - slot.heartbeat), 3),
            "generation_seen": slot.generation_seen,
            "behind": max(0, generation - slot.generation_seen),
            "settings_seen": slot.settings_seen,
            "is_leaving": slot.is_leaving,
            "connections": slot.connections,
            "accepted": slot.accepted,
            "requests": slot.requests,
            "in_flight": slot.in_flight,
            "queued": slot.queued,
            "idle_connections": slot.idle,
        }
        for slot in file.slots()
        if slot.alive
    ]


def backend_reports(file: SharedFile) -> list[Report]:
    """Every backend: what is configured, wished, found and under way."""
    in_flight, totals = file.in_flight_reader().all(), file.totals()
    reports = []
    for state in file.backends():
        counted = totals.get(state.id)
        figures = {
            "in_flight": in_flight[state.row],
            "requests": counted.attempts if counted else 0,
            "retries": counted.retries if counted else 0,
            "retries_refused": counted.refused_retries if counted else 0,
        }
        reports.append(_backend(state) | figures)
    return reports


def _backend(state: BackendState) -> Report:
    return {
        "name": state.backend.name,
        "address": str(state.backend.address),
        "set": state.backend.group,
        "weight": state.backend.weight,
        "max_in_flight": state.backend.max_in_flight,
        "backup": state.backend.backup,
        "changed": changes_of(state),
        "verdict": state.verdict.name.lower(),
        "wish": state.wish.name.lower(),
        "cut_at": state.cut_at or None,
        "available": state.wish is Wish.READY
        and state.standing.is_good
        and state.standing.share > 0,
        "ejected": state.standing.is_ejected,
        "ejected_until": state.memory.ejected_until
        if state.standing.is_ejected
        else None,
        "share": state.standing.share,
        "notes": notes_of(state),
        "since": state.since or None,
        "reason": state.reason,
        "last_probe": _probe(state.last_probe),
        "probes": [_probe(probe) for probe in state.probes],
        "probed": state.tally.probes,
        "probes_failed": state.tally.failed,
        "ejections": state.tally.ejections,
    }


def _probe(probe: ProbeRecord | None) -> Report | None:
    if probe is None:
        return None
    return {
        "at": probe.at,
        "ok": probe.ok,
        "duration_s": round(probe.duration_s, 6),
        "detail": probe.detail,
    }


def notes_of(state: BackendState) -> list[str]:
    """What traffic and the backend itself say, each in a few words."""
    memory = state.memory
    notes = [memory.why] if memory.why else []
    if memory.asked is not None:
        notes.append(f"asks for {memory.asked} % of its weight")
    if memory.holds:
        notes.append(f"held down {memory.holds} times in a row: it changes often")
    return notes


def changes_of(state: BackendState) -> list[str]:
    """What was changed at run time, each in a few words."""
    settings_weight = state.settings_weight
    if settings_weight is None:
        return ["added"]
    if settings_weight != state.backend.weight:
        return [f"weight, {settings_weight} in the settings"]
    return []
