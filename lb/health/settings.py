"""What a health check needs to be told.

The shape of the settings' `health` section, so that probes and tests do not need
the whole configuration.
"""

from __future__ import annotations

from typing import Protocol


class Statuses(Protocol):
    """Which statuses are good; `str` of it goes into the reason of a failure."""

    def __contains__(self, status: int, /) -> bool:
        """Whether an HTTP status is good."""


class EjectSettings(Protocol):
    """See `lb.health.ejection`; times in seconds, `share` in percent."""

    @property
    def failures(self) -> int:
        """In a row, until a backend is ejected; 0 for never."""

    @property
    def time(self) -> float:
        """Out so long, times the count."""

    @property
    def time_max(self) -> float:
        """Out so long at most."""

    @property
    def share(self) -> int:
        """Of a set that may be out."""


class FlapSettings(Protocol):
    """See `lb.health.flapping`; times in seconds."""

    @property
    def changes(self) -> int:
        """Within `window`, until a fall is held; 0 for never."""

    @property
    def window(self) -> float:
        """In which changes are counted."""

    @property
    def hold(self) -> float:
        """Held so long the first time."""

    @property
    def hold_max(self) -> float:
        """Held so long at most."""


class HealthSettings(Protocol):
    """How to probe a backend, how often, and what to make of it."""

    @property
    def kind(self) -> str:
        """`tcp`: connecting is enough; `http`: ask for `path`."""

    @property
    def interval(self) -> float:
        """Seconds from one probe's start to the next's."""

    @property
    def fast_interval(self) -> float:
        """The same, while the verdict is in doubt."""

    @property
    def timeout(self) -> float:
        """Seconds that one probe may take in all."""

    @property
    def rise(self) -> int:
        """How many successes in a row make a DOWN backend UP."""

    @property
    def fall(self) -> int:
        """How many failures in a row make a backend DOWN."""

    @property
    def path(self) -> str:
        """The target of an HTTP probe."""

    @property
    def status(self) -> Statuses:
        """Which answers to an HTTP probe are good."""

    @property
    def host(self) -> str:
        """The Host of an HTTP probe; empty for the backend's address."""

    @property
    def body(self) -> str:
        """Text that the first 64 KiB of the answer must contain; empty for any."""

    @property
    def header(self) -> str:
        """The field by which the answer may ask for a share; empty for none."""

    @property
    def concurrency(self) -> int:
        """How many probes may be under way at once."""

    @property
    def panic(self) -> int:
        """Percent of a set available below which it is panic; 0 for never."""

    @property
    def slow_start(self) -> float:
        """Seconds until a backend that came back has its whole share."""

    @property
    def eject(self) -> EjectSettings:
        """When traffic takes a backend out."""

    @property
    def flap(self) -> FlapSettings:
        """When a backend is held down for longer."""
