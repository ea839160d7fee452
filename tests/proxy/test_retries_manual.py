"""`docs/retries.md`: each row of its truth table is what the code does."""

from __future__ import annotations

import pytest

from lb.errors import (
    AttemptError,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResponseError,
    ResponseTimeoutError,
    ResponseTooLargeError,
    Sent,
    TerminatedError,
)
from lb.http1.grammar import IDEMPOTENT
from lb.proxy.retry import BUDGETED, Again, after
from tests.processes import ROOT

MANUAL = (ROOT / "docs" / "retries.md").read_text()

ERRORS: dict[str, list[AttemptError]] = {
    "the connect": [ConnectRefusedError()],
    "no answer to the connect": [ConnectTimeoutError()],
    "a connection used before": [TerminatedError(sent=Sent.MAYBE)],
    "a new connection": [TerminatedError()],
    "the answer is not": [ResponseError(), ResponseTooLargeError()],
    "no head in": [ResponseTimeoutError()],
}
WORDS = {
    Again.ELSEWHERE: "elsewhere",
    Again.FRESH: "new connection",
    Again.NO: "error",
}
OTHERS = (b"POST", b"PATCH", b"LOCK")


def rows() -> dict[str, list[str]]:
    """The cells of each row behind the first, by that."""
    part = MANUAL.split("<!-- truth -->\n")[1].split("\n\n")[0]
    found = {}
    for line in part.splitlines()[2:]:
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[first] = cells
    return found


@pytest.mark.parametrize("row", rows())
def test_the_truth_table_is_the_codes(row: str) -> None:
    (name,) = [name for name in ERRORS if row.startswith(name)]
    seen, kept, lost, others, budget = rows()[row]
    for error in ERRORS[name]:
        assert error.sent is Sent[seen.upper()]
        for methods, is_lost, word in (
            (sorted(IDEMPOTENT), False, kept),
            (sorted(IDEMPOTENT), True, lost),
            (OTHERS, False, others),
            (OTHERS, True, others),
        ):
            for method in methods:
                again = after(error, method=method, body_is_lost=is_lost)
                assert WORDS[again] == word
        goes_on = kept != "error"
        assert (budget == "costs") is (goes_on and error.sent in BUDGETED)


def test_every_failure_has_its_row() -> None:
    assert len(rows()) == len(ERRORS)


def test_no_post_goes_on_once_a_backend_has_seen_it() -> None:
    for seen, _, lost, others, _ in rows().values():
        if seen != "nothing":
            assert (lost, others) == ("error", "error")
