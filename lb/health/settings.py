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
    def concurrency(self) -> int:
        """How many probes may be under way at once."""
