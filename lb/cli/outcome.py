"""How a change at run time is told: what was changed, the wait, and the exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from lb.cli.group import print_json, say
from lb.cli.printing import plain, stamp
from lb.cli.progress import Progress
from lb.operating import names_of, wait_drained
from lb.report import change_report, failing

if TYPE_CHECKING:
    from lb.operating import Done, Outcome, Standing
    from lb.shm import SharedFile

NOT_IN_TIME: Final = 1
"""Exit status: what was waited for did not come by itself before the deadline."""

INTERRUPTED: Final = 130
"""Exit status: Ctrl-C, as shells have it."""


class Teller:
    """Tells of one change, to people as it goes on or to programs when it is over."""

    def __init__(self, word: str, *, as_json: bool) -> None:
        self._word = word
        self._as_json = as_json
        self._in_flight: dict[str, int] = {}

    def tell_done(self, done: Done, *, had_state: bool = True) -> None:
        """Say what was changed, a line per backend, and from what if it `had_state`."""
        if self._as_json:
            return
        for row in done.rows:
            state = f"{row.wish.name.lower()}, weight {row.backend.weight}"
            text = f"{row.backend.name} ({row.backend.address}): {self._word}"
            click.echo(plain(f"{text}{'; was' if had_state else ':'} {state}"))

    def tell_standing(self, standing: Standing) -> None:
        """Say how much is in flight, where nobody waits for it to end."""
        self._in_flight = standing.in_flight
        if not self._as_json:
            click.echo(f"{standing.total} in flight, not waited for")

    def wait_drained(self, file: SharedFile, done: Done, *, cut_at: float) -> Outcome:
        """Wait as `lb.operating.wait_drained`, showing how far it is.

        Ctrl-C ends the command; it says what stays in force.
        """
        progress = Progress(is_quiet=self._as_json)
        try:
            outcome = wait_drained(file, done, cut_at=cut_at, tell=progress.tell)
        except KeyboardInterrupt:
            progress.end()
            names = names_of(done.rows)
            say(
                f"interrupted: {names} still drains, and what is in flight there is"
                f" cut at {stamp(cut_at)}; undo it by: lb ready {names}"
            )
            sys.exit(INTERRUPTED)
        progress.end()
        return outcome

    def end(self, done: Done, outcome: Outcome | None, sentence: str = "") -> NoReturn:
        """Say how it went, and exit with the status that fits."""
        if self._as_json:
            print_json(change_report(self._word, done, outcome, self._in_flight))
        elif outcome is not None:
            click.echo(plain(sentence if outcome.is_good else failing(outcome)))
        sys.exit(0 if outcome is None or outcome.is_good else NOT_IN_TIME)
