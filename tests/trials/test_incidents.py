"""Which failed requests were nobody's fault, and which the balancer has to answer for."""

from __future__ import annotations

import pytest

from trials.asking import Answer, Ask
from trials.incidents import AFTER_S, Incident, excuse

KILLED = Incident("kill", "one", began=10.0, ended=12.0)
WORKER = Incident("kill worker", "", began=10.0, ended=10.1, ports=frozenset({5000}))
ALL = Incident("kill all", "", began=10.0, ended=12.0)
HALF = Incident("half", "one", began=10.0, ended=12.0)
GARBAGE = Incident("garbage", "one", began=10.0, ended=12.0)


def failed(
    method: bytes = b"GET", *, at: tuple[float, float] = (9.9, 10.2), **told: object
) -> Answer:
    answer = Answer(Ask(b"1", method), *at)
    for name, value in told.items():
        setattr(answer, name, value)
    return answer


@pytest.mark.parametrize(
    ("incident", "answer", "is_excused"),
    [
        (WORKER, failed(port=5000), True),
        (WORKER, failed(port=5001), False),
        (WORKER, failed(port=5000, at=(8.0, 9.0)), False),
        (WORKER, failed(port=5000, at=(10.1, 10.2)), True),
        (WORKER, failed(port=5000, at=(11.0, 11.1)), False),
        (HALF, failed(status=200, backend="one"), True),
        (HALF, failed(status=200, backend="two"), False),
        (HALF, failed(status=502, backend=""), False),
        (GARBAGE, failed(status=200, backend="one"), False),
        (KILLED, failed(status=0), False),
        (KILLED, failed(b"POST", status=502), True),
        (KILLED, failed(b"POST", status=503), False),
        (KILLED, failed(b"POST", status=502, at=(12.1, 12.0 + AFTER_S)), True),
        (KILLED, failed(b"POST", status=502, at=(14.0, 14.1)), False),
        (WORKER, failed(b"POST", status=502), False),
        (ALL, failed(status=502), True),
        (ALL, failed(status=503), False),
        (ALL, failed(status=502, at=(10.5, 10.6)), False),
    ],
)
def test_a_failure_is_excused_by_what_was_done_to_it(
    incident: Incident, answer: Answer, is_excused: bool
) -> None:
    assert bool(excuse(answer, [incident])) is is_excused


def test_what_never_ends_excuses_what_comes_later() -> None:
    assert excuse(
        failed(b"POST", status=502, at=(99.0, 99.1)), [Incident("kill", "one", 1.0)]
    )
