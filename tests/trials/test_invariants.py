"""What is asked at the end of a soak: it must see each kind of harm, and only harm."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from trials.asking import Answer, Ask
from trials.incidents import Incident
from trials.invariants import GROWN_KIB, Evidence, check, lines
from trials.ledger import Ledger
from trials.watch import Size, Watch

if TYPE_CHECKING:
    from collections.abc import Callable


def answer(method: bytes = b"GET", status: int = 200, why: str = "") -> Answer:
    made = Answer(Ask(b"1", method), 5.0, 5.1, status=status, backend="one", why=why)
    made.is_whole = status > 0
    return made


def well() -> Evidence:
    """A soak without a flaw, of two requests."""
    ledger = Ledger()
    ledger.note(answer())
    ledger.note(answer(b"POST"))
    return Evidence(
        ledger=ledger,
        incidents=[],
        watch=Watch({7: Size("worker", 0.0, kib=100, last_kib=200)}),
        posts={"one": Counter([b"1"]), "two": Counter()},
        counted=(0, 0, 2, 0, 0, 0),
        rest={"in flight": 0},
        files_at_rest={7: 12},
        return_s=1.0,
        shares={"one": 100, "two": 101},
        commands=[],
        tracebacks=[],
        left=[],
    )


def failing(evidence: Evidence) -> list[str]:
    return [finding.what for finding in check(evidence) if not finding.holds]


def test_a_soak_without_a_flaw_holds() -> None:
    assert failing(well()) == []
    assert all(line.startswith("ok") for line in lines(check(well())))


def noted(*answers: Answer) -> Callable[[Evidence], Evidence]:
    def change(evidence: Evidence) -> Evidence:
        statuses = list(evidence.counted)
        for each in answers:
            evidence.ledger.note(each)
            statuses[each.status // 100] += 1
        return replace(evidence, counted=tuple(statuses))

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (noted(answer(status=502)), "no request failed without an excuse"),
        (noted(answer(status=0)), "no request failed without an excuse"),
        (
            lambda e: replace(
                e, posts={"one": Counter([b"1"]), "two": Counter([b"1"])}
            ),
            "no POST came twice",
        ),
        (lambda e: replace(e, posts={}), "every answered POST came"),
        (
            lambda e: replace(e, counted=(0, 0, 3, 0, 0, 0)),
            "counters agree with the clients",
        ),
        (
            lambda e: replace(e, counted=(0, 0, 1, 0, 0, 1)),
            "counters agree with the clients",
        ),
        (
            lambda e: replace(e, rest={"in flight": 1}),
            "nothing is in flight at the end",
        ),
        (
            lambda e: replace(e, return_s=None),
            "every backend is UP and served again",
        ),
        (
            lambda e: replace(e, shares={"one": 100, "two": 50}),
            "shares are even again",
        ),
        (
            lambda e: replace(
                e, watch=Watch({7: Size("worker", 0, kib=1, last_kib=2 + GROWN_KIB)})
            ),
            "memory and descriptors are bounded",
        ),
        (
            lambda e: replace(e, files_at_rest={7: 1000}),
            "memory and descriptors are bounded",
        ),
        (
            lambda e: replace(e, commands=["lb drain one: 1"]),
            "every command did what it was asked",
        ),
        (lambda e: replace(e, tracebacks=["Traceback"]), "no traceback in a log"),
        (lambda e: replace(e, left=["process 1"]), "nothing is left behind"),
        (lambda e: replace(e, unended="gunicorn"), "nothing is left behind"),
    ],
)
def test_each_harm_is_seen(change: Callable[[Evidence], Evidence], what: str) -> None:
    assert failing(change(well())) == [what]


def test_the_answer_to_another_request_is_seen() -> None:
    seen = failing(noted(answer(why="the answer to another request"))(well()))
    assert "every answer is its request's own" in seen


def test_what_a_killed_worker_had_may_be_uncounted() -> None:
    killed = Incident("kill worker", "", 4.9, 5.0, ports=frozenset({1}))
    evidence = replace(well(), counted=(0, 0, 1, 0, 0, 0), incidents=[killed])
    assert failing(evidence) == []
