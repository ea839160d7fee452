"""The retry table, row by row: what may be sent again, and where."""

from __future__ import annotations

from itertools import product

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
from lb.proxy.retry import RETRIES, Again, after

SAFE_TWICE = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE")
ONCE_ONLY = (b"POST", b"PATCH", b"BREW", b"get", b"LOCK")

REFUSED = ConnectRefusedError()
NO_CONNECT = ConnectTimeoutError()
STALE = TerminatedError(sent=Sent.MAYBE)
DIED = TerminatedError()
GARBLED = ResponseError()
TOO_LARGE = ResponseTooLargeError()
SLOW = ResponseTimeoutError()

# (what happened, safe twice?, body lost?): what to do
TABLE = {
    (REFUSED, True, False): Again.ELSEWHERE,
    (REFUSED, False, False): Again.ELSEWHERE,
    (REFUSED, True, True): Again.ELSEWHERE,
    (REFUSED, False, True): Again.ELSEWHERE,
    (NO_CONNECT, True, False): Again.ELSEWHERE,
    (NO_CONNECT, False, False): Again.ELSEWHERE,
    (NO_CONNECT, True, True): Again.ELSEWHERE,
    (NO_CONNECT, False, True): Again.ELSEWHERE,
    (STALE, True, False): Again.FRESH,
    (STALE, False, False): Again.NO,
    (STALE, True, True): Again.NO,
    (STALE, False, True): Again.NO,
    (DIED, True, False): Again.ELSEWHERE,
    (DIED, False, False): Again.NO,
    (DIED, True, True): Again.NO,
    (DIED, False, True): Again.NO,
    (GARBLED, True, False): Again.ELSEWHERE,
    (GARBLED, False, False): Again.NO,
    (GARBLED, True, True): Again.NO,
    (GARBLED, False, True): Again.NO,
    (TOO_LARGE, True, False): Again.ELSEWHERE,
    (TOO_LARGE, False, False): Again.NO,
    (TOO_LARGE, True, True): Again.NO,
    (TOO_LARGE, False, True): Again.NO,
    (SLOW, True, False): Again.NO,
    (SLOW, False, False): Again.NO,
    (SLOW, True, True): Again.NO,
    (SLOW, False, True): Again.NO,
}


def name(value: object) -> str:
    if isinstance(value, AttemptError):
        return f"{type(value).__name__} {value.sent.name}"
    return str(value)


@pytest.mark.parametrize(
    ("error", "is_safe", "is_lost", "what"),
    [(*key, what) for key, what in TABLE.items()],
    ids=name,
)
def test_what_may_be_done_after_a_failure(
    error: AttemptError, is_safe: bool, is_lost: bool, what: Again
) -> None:
    for method in SAFE_TWICE if is_safe else ONCE_ONLY:
        assert after(error, method=method, body_is_lost=is_lost) is what


def test_the_table_of_the_code_has_every_row() -> None:
    assert set(RETRIES) == set(product(Sent, (True, False)))


def test_what_may_have_been_processed_goes_twice_only_if_that_is_safe() -> None:
    for (sent, is_safe), what in RETRIES.items():
        if sent is not Sent.NOTHING and not is_safe:
            assert what is Again.NO
