"""How a change at run time is told: what was changed, the wait, and the exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from lb.cli.group import INTERRUPTED, print_json, say
from lb.cli.printing import plain, stamp
from lb.cli.progress import Progress
from lb.operating import listed, wait_drained
from lb.report import failing, outcome_report

if TYPE_CHECKING:
    from lb.cli.reach.operator import Made
    from lb.operating import Outcome

NOT_IN_TIME: Final = 1
"""Exit status: what was waited for did not come by itself before the deadline."""


class Teller:
    """Tells of one change, to people as it goes on or to programs when it is over."""

    def __init__(self, made: Made, word: str, *, as_json: bool) -> None:
        self._made = made
        self._word = word
        self._as_json = as_json

    @property
    def names(self) -> str:
        """The changed backends, for a sentence."""
        return listed([each["name"] for each in self._made.report["backends"]])

    def tell_done(self, *, had_state: bool = True) -> None:
        """Say what was changed, a line per backend, and from what if it `had_state`."""
        if self._as_json:
            return
        for each in self._made.report["backends"]:
            state = f"{each['wish_before']}, weight {each['weight_before']}"
            text = f"{each['name']} ({each['address']}): {self._word}"
            click.echo(plain(f"{text}{'; was' if had_state else ':'} {state}"))

    def tell_in_flight(self) -> None:
        """Say how much is in flight, where nobody waits for it to end."""
        if not self._as_json:
            total = sum(each["in_flight"] for each in self._made.report["backends"])
            click.echo(f"{total} in flight, not waited for")

    def wait_drained(self, *, cut_at: float) -> Outcome:
        """Wait as `lb.operating.wait_drained`, showing how far it is.

        Ctrl-C ends the command; it says what stays in force.
        """
        progress = Progress(is_quiet=self._as_json)
        try:
            outcome = wait_drained(self._made, cut_at=cut_at, tell=progress.tell)
        except KeyboardInterrupt:
            progress.end()
            say(
                f"interrupted: {self.names} still drains, and what is in flight there"
                f" is cut at {stamp(cut_at)}; undo it by: lb ready {self.names}"
            )
            sys.exit(INTERRUPTED)
        progress.end()
        return outcome

    def end(self, outcome: Outcome | None, sentence: str = "") -> NoReturn:
        """Say how it went, and exit with the status that fits."""
        if self._as_json:
            ended = {"change": self._word, "outcome": outcome_report(outcome)}
            print_json(self._made.report | ended)
        elif outcome is not None:
            click.echo(plain(sentence if outcome.is_good else failing(outcome)))
        sys.exit(0 if outcome is None or outcome.is_good else NOT_IN_TIME)
