"""Who of a set's members is in the line-up: the tier, and panic.

    wanted     the operator and the backend itself want it to get requests
    judged     wanted, and somebody listens there (its last probe could connect)
    available  judged, and neither probes nor traffic speak against it

Backups count only while no primary is available.  *Panic*: when fewer than a share of
the judged members of the tier are available, the judgement itself is doubted (a health
page that all share has broken, or probes time out because the few that are left are
overrun) and all judged ones get requests.  Who cannot even be connected to is never
among them: that is no judgement, and a request would fare no better than the probe.

The same function decides in every worker, in the checker's log and in `lb status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class Member(Protocol):
    """A backend of a set, as far as the line-up is concerned; see the module."""

    @property
    def is_backup(self) -> bool:
        """Whether it serves only while no primary can."""

    @property
    def is_wanted(self) -> bool:
        """See the module."""

    @property
    def is_judged(self) -> bool:
        """See the module; only of those that are wanted."""

    @property
    def is_available(self) -> bool:
        """See the module; only of those that are judged."""


M = TypeVar("M", bound=Member)


@dataclass(frozen=True, slots=True)
class LineUp(Generic[M]):
    """Who gets requests; `available` of `judged` members of the tier are available."""

    members: list[M]
    is_panic: bool
    available: int
    judged: int


def line_up(members: Sequence[M], panic_percent: int) -> LineUp[M]:
    """The line-up of a set; below `panic_percent` (0: never) it is panic. O(n)."""
    judged = [m for m in members if m.is_wanted and m.is_judged]
    primaries = [m for m in judged if not m.is_backup]
    backups = [m for m in judged if m.is_backup]
    up_primaries = [m for m in primaries if m.is_available]
    up_backups = [m for m in backups if m.is_available]
    if up_primaries or (primaries and not up_backups):
        tier, up = primaries, up_primaries
    else:
        tier, up = backups, up_backups
    is_panic = is_too_few(len(up), len(tier), panic_percent)
    return LineUp(tier if is_panic else up, is_panic, len(up), len(tier))


def is_too_few(available: int, judged: int, panic_percent: int) -> bool:
    """Whether so few are available that it is panic."""
    return 100 * available < panic_percent * judged
