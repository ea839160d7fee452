"""The state of now: backends, sets, who checks them, and the processes that serve."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lb.config import health_by_set
from lb.health.outlook import Viewed, line_up_of
from lb.shm import leader_pid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.config import Settings
    from lb.shm import BackendState, ProbeRecord, SharedFile

Report = dict[str, Any]


def state_report(file: SharedFile, settings: Settings) -> Report:
    """All that the file says of now; times are unix seconds. 60 us per backend."""
    states = file.backends()
    sets = _sets(states, settings)
    return {
        "state_path": str(file.path),
        "generation": file.generation(),
        "settings_generation": file.settings_generation(),
        "checker_pid": leader_pid(file),
        "workers": worker_reports(file),
        "sets": sets,
        "backends": _backends(file, states, sets),
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


def _sets(states: Sequence[BackendState], settings: Settings) -> list[Report]:
    """Each set's line-up: who gets requests, and whether it is panic."""
    members: dict[str, list[BackendState]] = {}
    for state in states:
        members.setdefault(state.backend.group, []).append(state)
    sets = []
    for name, health in health_by_set(settings).items():
        found = line_up_of(members.get(name, []), health.panic)
        sets.append(
            {
                "name": name,
                "is_panic": found.is_panic,
                "available": found.available,
                "judged": found.judged,
                "served": [viewed.state.id for viewed in found.members],
            }
        )
    return sets


def _backends(
    file: SharedFile, states: Sequence[BackendState], sets: Sequence[Report]
) -> list[Report]:
    served = {row_id for each in sets for row_id in each["served"]}
    in_flight, totals = file.in_flight_reader().all(), file.totals()
    reports = []
    for state in states:
        counted = totals.get(state.id)
        figures = {
            "is_served": state.id in served,
            "in_flight": in_flight[state.row],
            "requests": counted.attempts if counted else 0,
            "retries": counted.retries if counted else 0,
            "retries_refused": counted.refused_retries if counted else 0,
            "cut": counted.cut if counted else 0,
        }
        reports.append(_backend(state) | figures)
    return reports


def _backend(state: BackendState) -> Report:
    standing, memory = state.standing, state.memory
    return {
        "id": state.id,
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
        "available": Viewed(state).is_available,
        "share": standing.share,
        "is_gone": standing.is_gone,
        "ejected": _ejected(state),
        "ejections": state.tally.ejections,
        "held_until": memory.held_until or None,
        "changes": memory.changes,
        "since": state.since or None,
        "reason": state.reason,
        "last_probe": _probe(state.last_probe) if state.last_probe else None,
        "probes": [_probe(probe) for probe in state.probes],
        "probed": state.tally.probes,
        "probes_failed": state.tally.failed,
    }


def _ejected(state: BackendState) -> Report | None:
    memory = state.memory
    if not state.standing.is_ejected:
        return None
    return {
        "times": memory.ejections,
        "at": memory.ejected_at,
        "until": memory.ejected_until,
        "why": memory.why,
    }


def _probe(probe: ProbeRecord) -> Report:
    return {
        "at": probe.at,
        "ok": probe.ok,
        "duration_s": round(probe.duration_s, 6),
        "detail": probe.detail,
    }


def changes_of(state: BackendState) -> list[str]:
    """What was changed at run time, each in a few words."""
    settings_weight = state.settings_weight
    if settings_weight is None:
        return ["added"]
    if settings_weight != state.backend.weight:
        return [f"weight, {settings_weight} in the settings"]
    return []
