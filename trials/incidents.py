"""What was done on purpose and when, and which failures it excuses: a table.

Pure: it knows times, ports and names, and nothing of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trials.asking import Answer

IDLE_S: Final = 0.25
"""A connection that idles may be used so long after its worker died: a client's own
event loop hears of it later than the kernel."""

AFTER_S: Final = 1.5
"""A POST may fail so long after a fault: it met what the fault has left behind."""

CUTS_BODIES: Final = frozenset({"kill", "flap", "half", "reset"})
"""Faults that end an answer which has begun."""

ALL_KILLED: Final = "kill all"
DYING_S: Final = 0.25
"""A killed process on a busy machine may take so long until its sockets are closed."""

NO_ANSWER: Final = frozenset({0, 502, 504})
SEEN: Final = {"busy": frozenset({503})}
"""What a POST may get of a fault; the answer of a busy backend is passed on."""

WORKER_KILLED: Final = "kill worker"
LIMITED: Final = "limited"
"""While settings with `max_in_flight` are in force."""


@dataclass(slots=True)
class Incident:
    """Something that was done, from `began` to `ended` in monotonic seconds.

    `ports` are the clients' ends of the connections that a killed worker had.
    """

    deed: str
    backend: str
    began: float
    ended: float = inf
    ports: frozenset[int] = frozenset()

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether it was under way then."""
        return self.began <= ended and began <= self.ended


def excuse(answer: Answer, incidents: Sequence[Incident]) -> str:
    """Why a request may have failed, or nothing: then the balancer failed it.

    | request | excused by |
    | --- | --- |
    | any | its connection was one of a worker that was killed meanwhile |
    | whose answer had begun | its backend was killed, or cut bodies, meanwhile |
    | that may not be repeated | a backend failed meanwhile, or just before |
    | any | its backend was busy, and the others perhaps full, by the settings |
    | 502 | all backends died at that moment: its attempts were used up by then |
    """
    is_limited = any(
        each.deed == LIMITED and each.overlaps(answer.began, answer.ended)
        for each in incidents
    )
    for incident in incidents:
        if _by_worker(answer, incident):
            return "in flight in a killed worker"
        if _by_all(answer, incident):
            return "asked three that died together"
        if is_limited and _by_busy(answer, incident):
            return "busy, and the others full"
        if _by_cut(answer, incident):
            return "its answer had begun"
        if _by_any(answer, incident):
            return "a POST while a backend failed"
    return ""


def _by_worker(answer: Answer, incident: Incident) -> bool:
    return (
        incident.deed == WORKER_KILLED
        and answer.port in incident.ports
        and answer.began - IDLE_S <= incident.began <= answer.ended
    )


def _by_cut(answer: Answer, incident: Incident) -> bool:
    return (
        incident.deed in CUTS_BODIES
        and incident.backend == answer.backend
        and bool(answer.status)
        and not answer.is_whole
        and incident.overlaps(answer.began, answer.ended)
    )


def _by_all(answer: Answer, incident: Incident) -> bool:
    return (
        incident.deed == ALL_KILLED
        and answer.status == 502
        and answer.began - DYING_S <= incident.began <= answer.ended
    )


def _by_busy(answer: Answer, incident: Incident) -> bool:
    return (
        incident.deed == "busy"
        and incident.backend == answer.backend
        and answer.status == 503
        and incident.overlaps(answer.began, answer.ended)
    )


def _by_any(answer: Answer, incident: Incident) -> bool:
    return (
        bool(incident.backend)
        and not answer.ask.is_idempotent
        and answer.status in SEEN.get(incident.deed, NO_ANSWER)
        and incident.overlaps(answer.began - AFTER_S, answer.ended)
    )
