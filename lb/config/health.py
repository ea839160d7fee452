"""How backends are judged: by probes, by what traffic sees, and how fast they return.

The declarations of `[health]`, `[health.eject]` and `[health.flap]`; a set may have
its own. The rules themselves are in `lb.health` and in docs/resilience.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from lb.config.balance import TOKEN
from lb.config.fields import Count, Seconds, Section, choice, count, seconds, setting
from lb.config.statuses import StatusSet

HealthKind = Literal["tcp", "http"]
Statuses = Annotated[StatusSet, BeforeValidator(StatusSet.parse)]


def _faults(value: object) -> StatusSet:
    """The statuses that count against a backend; empty text is none."""
    if isinstance(value, str) and not value.strip():
        return StatusSet(())
    found = StatusSet.parse(value)
    if any(low < 400 for low, _ in found.ranges):
        raise ValueError("a status below 400 is no fault")
    return found


FaultStatuses = Annotated[StatusSet, BeforeValidator(_faults)]


class Eject(Section):
    """When what traffic sees takes a backend out, and for how long."""

    failures: Count = count(
        5,
        "failures in a row, over all workers, until a backend is ejected; 0: never",
        "Few take out good backends for the requests of one bad client.",
        low=0,
        high=10000,
    )
    time: Seconds = seconds(
        30.0, "seconds out, times how often it was ejected lately", low=1.0
    )
    time_max: Seconds = seconds(
        300.0, "seconds out at most, however often it was ejected", low=1.0
    )
    share: Count = count(
        50,
        "percent of a set that may be out at a time; one of two or more always may",
        "Those that are left get all the requests.",
        high=100,
    )
    status: FaultStatuses = setting(
        StatusSet.parse("502-504"),
        "which statuses of a response count as failures; empty for none",
        "Whoever makes backends answer so can have them ejected.",
        allowed="codes and ranges from 400 to 599 with commas between, or empty",
    )


class Flap(Section):
    """When a backend that goes down again and again is held down for longer."""

    changes: Count = count(
        6,
        "changes of its verdict within window until a fall is held; 0: never",
        low=0,
        high=1000,
    )
    window: Seconds = seconds(60.0, "seconds in which changes are counted")
    hold: Seconds = seconds(
        10.0, "seconds that it is held down the first time, then twice as long each"
    )
    hold_max: Seconds = seconds(
        160.0,
        "seconds that it is held down at most",
        "So long a backend that is well again may stay out.",
    )


class Health(Section):
    """How the checker probes backends, and when it believes what it sees."""

    kind: HealthKind = choice(
        "tcp",
        "what a probe does: connect only (tcp), or ask for a page (http)",
        "A connect succeeds at a backend whose program hangs.",
        words=HealthKind,
    )
    interval: Seconds = seconds(
        2.0,
        "seconds between two probes of one backend",
        "A dead backend is noticed after up to interval + fall x fast_interval.",
    )
    fast_interval: Seconds = seconds(
        0.5, "seconds between two probes while a verdict is in doubt"
    )
    timeout: Seconds = seconds(
        1.0,
        "seconds that one probe may take in all",
        "Shorter than a busy backend's pause, it takes good backends out.",
        high=60.0,
    )
    rise: Count = count(2, "good probes in a row until a backend is UP", high=100)
    fall: Count = count(
        3,
        "failed probes in a row until a backend is DOWN",
        "1 takes a backend out for one lost packet.",
        high=100,
    )
    path: str = setting(
        "/",
        "which target an http probe asks for",
        "A page that needs a database takes all backends out with it.",
        allowed="text that starts with / and has no spaces, in ASCII",
        pattern="^/[!-~]*$",
    )
    status: Statuses = setting(
        StatusSet.parse("200-399"),
        "which statuses of an http probe are good",
        allowed="codes and ranges from 100 to 599 with commas between",
    )
    host: str = setting(
        "",
        "the Host field of an http probe; empty for the backend's address",
        allowed="text in ASCII without spaces, or empty",
        pattern="^[!-~]*$",
    )
    body: str = setting(
        "",
        "text that must be in the first 64 KiB of an http probe's answer",
        allowed="text of at most 4096 characters, or empty for no such test",
        max_length=4096,
    )
    header: str = setting(
        "",
        "which field of an http probe's answer may ask for a share or to drain",
        "Whoever can write it takes the backend out.",
        allowed="a field's name, or empty for none",
        pattern=f"^({TOKEN})?$",
    )
    concurrency: Count = count(
        256,
        "how many probes may run at once",
        "Too few for many dead backends, and probes come late.",
        high=4096,
    )
    panic: Count = count(
        50,
        "percent of a set available below which all get requests; 0 for never",
        "Backends that fail checks, but can be connected to, then get requests.",
        low=0,
        high=100,
    )
    slow_start: Seconds = seconds(
        0.0,
        "seconds until a backend that came back has its whole share; 0: at once",
        "Those that are left carry the rest meanwhile.",
        low=0.0,
    )
    eject: Eject = Eject()
    flap: Flap = Flap()
