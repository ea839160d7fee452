"""What a command can ask of a balancer, wherever that runs: the one narrow interface.

Commands are written once over an `Operator`. There are two: one reads and changes the
shared file of this machine (`by_file`), one asks an admin process by HTTP (`by_url`).
Both give the same plain values, those of `lb.report`, and raise the same errors, so a
command prints the same and exits alike over either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lb.operating import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from lb.model import Wish
    from lb.report import Report


@dataclass(frozen=True, slots=True)
class Which:
    """Which of the recorded requests are asked for; as `lb.report.select`."""

    slow_s: float | None = None
    failed: bool = False
    backend: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A backend to be added, as it was written; None where nothing was said."""

    text: str
    weight: int | None = None
    group: str | None = None
    max_in_flight: int | None = None
    backup: bool | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """The recorded requests of one id; `nothing` says that there are none."""

    requests: list[Report] = field(default_factory=list)
    nothing: str = ""


class Happened(NamedTuple):
    """Events, the oldest first; `cursor` is where to go on."""

    events: list[Report]
    cursor: str


class News(NamedTuple):
    """What a stream brings: something new, or why there is nothing new for now.

    `lost` events were overwritten before they were read. While there is `trouble`,
    what came before is old.
    """

    told: Report | None = None
    lost: int = 0
    trouble: str = ""


class Made(Watched, Protocol):
    """A change that was made, and how it takes effect."""

    report: Report
    """As `lb.report.change_report` has it, without an outcome."""

    def remove(self) -> None:
        """Take the changed backends out of the table."""


class Operator(Protocol):
    """A balancer, as commands see it.

    Every method raises an LbError when the balancer cannot be asked, and
    OperationError when it refuses. All but the streams end within their deadlines.
    """

    def close(self) -> None:
        """Give up what is open; it is opened again when it is needed."""

    def status(self, names: Sequence[str] = ()) -> Report:
        """The state of now; with names, only those backends, each with its health."""

    def names(self) -> list[str]:
        """What the backends are called."""

    def requests(self, which: Which) -> list[Report]:
        """Recorded requests."""

    def explain(self, request_id: str) -> Story:
        """What happened to the requests of one id."""

    def events(self, backend: str | None, limit: int) -> Happened:
        """The last events, of one backend if it is named."""

    def follow(self, cursor: str) -> Iterator[News]:
        """What happens after `cursor`, as it happens; does not end by itself."""

    def snapshots(self, stop: Event) -> Iterator[News]:
        """A snapshot now and each second, as `lb.report.snapshot` makes them.

        Ends at once when `stop` is set, or else with the next one.
        """

    def set_wish(
        self, names: Sequence[str] | None, wish: Wish, *, wait_s: float | None
    ) -> Made:
        """Make backends (None: all) ready or take them out, and cut after `wait_s`."""

    def set_weight(self, names: Sequence[str] | None, weight: int) -> Made:
        """Give backends (None: all) a weight."""

    def add(self, wanted: Sequence[Wanted]) -> Made:
        """Add backends, or bring back those that were removed."""

    def plan(self) -> Report:
        """What a reload would change."""

    def reload(self, timeout_s: float) -> Report:
        """Put the settings in force as they are now; as `lb.report.reload_report`."""
