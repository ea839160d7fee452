"""What the balancer's flight recorder says of requests that failed.

Clients send no id of the balancer's kind, which would make their requests unusual;
method, target, status and time are enough to find one again within a second.
"""

from __future__ import annotations

import time
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.shm import RequestRecord, SharedFile
    from trials.asking import Answer

NEAR_S: Final = 0.5
"""How far the balancer's time of a request may be from its client's."""


def add_stories(file: SharedFile, answers: Sequence[Answer]) -> None:
    """Tell each of them what was recorded. 14 us for each request looked at."""
    if not answers:
        return
    to_unix = time.time() - monotonic()
    records = list(file.recent())
    for answer in answers:
        found = [r for r in records if _is_of(r, answer, to_unix)]
        answer.story = " or ".join(map(_words, found)) or "not recorded"


def _is_of(record: RequestRecord, answer: Answer, to_unix: float) -> bool:
    ask = answer.ask
    return (
        record.status == answer.status
        and record.method.encode() == ask.method
        and record.target.encode() == ask.target()
        and abs(record.began - answer.began - to_unix) < NEAR_S
    )


def _words(record: RequestRecord) -> str:
    tried = " ".join(record.tried_names)
    queued = f", queued {record.queued_s:.3f} s" if record.queued_s else ""
    return (
        f"slot {record.slot} by {record.policy}, {record.attempts} attempts, failed:"
        f" {tried}, last {record.backend}, {record.label}{queued}"
    )
