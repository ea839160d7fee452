"""The settings that the balancer goes by, as far as the admin process can know them.

This process itself keeps those by which it listens and guards until it is started
again; what it tells of sets, policies and probes must be what is in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.config import from_document
from lb.errors import LbError

if TYPE_CHECKING:
    from lb.config import Settings
    from lb.shm import SharedFile


class InForce:
    """The settings that the balancer goes by; `own` where no arbiter tells them."""

    def __init__(self, own: Settings) -> None:
        self.own = self._found = own
        self._seen: tuple[int, int] | None = None

    def settings(self, file: SharedFile) -> Settings:
        """Those in force now. Read anew when others were put in force: 1 ms."""
        generation = file.settings_generation()
        seen = file.events_end().born, generation
        if seen != self._seen:
            self._found = self.own
            if generation:
                try:
                    self._found = from_document(file.document())
                except LbError:  # the balancer ends, or is of another version
                    return self.own
            self._seen = seen
        return self._found
