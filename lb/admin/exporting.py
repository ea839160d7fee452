"""The thread that sends what workers noted of traced requests to a collector.

It reads the rings of the shared file some times a second, a batch at a time. While the
collector does not answer, it waits for it and nobody else does: what is overwritten
meanwhile is lost, what was given up has failed, and both are counted in the shared
file, where `/metrics` finds them. Of several admin processes one exports.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.admin.otlp import Place, Sender
from lb.errors import StateFileError
from lb.shm import SpanReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import Logger

    from lb.admin.in_force import InForce
    from lb.admin.source import Source
    from lb.config.sections import Tracing
    from lb.shm import SharedFile, Span

EVERY_S: Final = 0.1
IDLE_S: Final = 1.0
"""The same while nothing is traced here."""

BATCH: Final = 512

FLUSH_S: Final = 1.5
"""How long the end of the process waits for what was noted before it."""


class Exporter:
    """Exports while the settings in force ask for it, from `start` to `stop`."""

    def __init__(self, source: Source, in_force: InForce, log: Logger) -> None:
        self._source = source
        self._in_force = in_force
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._sender: Sender | None = None
        self._is_taken = True
        self._places: tuple[tuple[int, int], Mapping[int, Place]] = ((0, 0), {})

    def start(self) -> None:
        """Export in a thread of its own from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is there and end, within `FLUSH_S` seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(FLUSH_S)
        if self._sender is not None:
            self._sender.close()

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            wait_s = self._step()
        ends = monotonic() + FLUSH_S
        while self._step() == 0 and monotonic() < ends:
            pass

    def _step(self) -> float:
        """Send a batch; after how many seconds there may be another."""
        try:
            with self._source.use() as file:
                return self._export(file)
        except StateFileError:
            return IDLE_S
        except Exception:  # noqa: BLE001 - logged; the next round may go well
            self._log.exception("spans were not exported")
            return IDLE_S

    def _export(self, file: SharedFile) -> float:
        tracing = self._in_force.settings(file).tracing
        reader = SpanReader(file)
        if not tracing.endpoint or not reader.may_read():
            return IDLE_S
        sender = self._sender_for(tracing)
        spans = reader.read(BATCH)
        if not spans:
            return EVERY_S
        self._tell(sender, reader, spans, sender.send(spans, self._places_in(file)))
        return 0.0 if len(spans) == BATCH else EVERY_S

    def _sender_for(self, tracing: Tracing) -> Sender:
        if self._sender is None or self._sender.tracing != tracing:
            if self._sender is not None:
                self._sender.close()
            self._sender = Sender(tracing)
        return self._sender

    def _tell(
        self, sender: Sender, reader: SpanReader, spans: list[Span], is_taken: bool
    ) -> None:
        """Count what became of them, and log when that changes."""
        if is_taken:
            reader.count(sent=len(spans))
        else:
            reader.count(failed=len(spans))
        if is_taken is self._is_taken:
            return
        self._is_taken = is_taken
        endpoint = sender.tracing.endpoint
        if is_taken:
            self._log.info("spans are taken again by %s", endpoint)
        else:
            why = sender.last_word.said
            self._log.warning("spans are not taken by %s: %s", endpoint, why)

    def _places_in(self, file: SharedFile) -> Mapping[int, Place]:
        """The backends by their ids, read anew when the table changed."""
        now = file.events_end().born, int(file.cells[file.generation_cells[0]])
        if self._places[0] != now:
            found = {key: Place(name, group) for key, name, _, group in file.labels()}
            self._places = now, found
        return self._places[1]
