"""`docs/http.md` says what the code's own tables say."""

from __future__ import annotations

import re

import pytest

from lb import errors
from lb.http1.grammar import HOP_BY_HOP, IDEMPOTENT, NEVER_TRAILERS
from lb.proxy.retry import RETRIES
from tests.processes import ROOT

MANUAL = (ROOT / "docs" / "http.md").read_text()


def part(mark: str) -> str:
    """The paragraph or table behind a mark."""
    return MANUAL.split(f"<!-- {mark} -->\n")[1].split("\n\n")[0]


def words(mark: str) -> set[bytes]:
    return {word.encode() for word in re.findall(r"`([^`]+)`", part(mark))}


def rows(mark: str) -> list[list[str]]:
    lines = part(mark).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_retry_table_is_that_of_the_code() -> None:
    manual = {}
    for seen, idempotent, other in rows("retries"):
        sent = errors.Sent[seen.split()[0].upper()]
        manual[sent, True], manual[sent, False] = idempotent, other
    assert manual == {key: again.value for key, again in RETRIES.items()}


@pytest.mark.parametrize(
    ("mark", "names"),
    [
        ("hop-by-hop", HOP_BY_HOP),
        ("never-trailers", NEVER_TRAILERS - HOP_BY_HOP),
        ("idempotent", IDEMPOTENT),
    ],
)
def test_a_list_of_names_is_that_of_the_code(mark: str, names: set[bytes]) -> None:
    assert words(mark) == names


def kinds(root: type[errors.HttpError]) -> set[type[errors.HttpError]]:
    return {root}.union(*(kinds(kind) for kind in root.__subclasses__()))


def test_the_errors_are_those_of_the_code() -> None:
    """Every error with a label, but the root of the attempts, which is never raised."""
    told = {(int(row[0]), row[1].strip("`")) for row in rows("errors")}
    labelled = {
        k
        for k in kinds(errors.HttpError)
        if k.label and k.__module__ == errors.__name__
    }
    labelled -= {errors.AttemptError}
    assert told == {(kind.status, kind.label) for kind in labelled}
