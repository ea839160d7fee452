"""When a failed attempt may be made again: one table, and its reader.

Never two backends for one POST: once bytes may have been processed, only methods
whose effect is the same once or twice go again (RFC 9110 section 9.2.2). A timeout
is never tried again, because the client has waited long enough, and nothing is once
a byte of the response went to the client or of an unkept body was taken.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from lb.errors import AttemptError, ResponseTimeoutError, Sent
from lb.http1.grammar import IDEMPOTENT


class Again(Enum):
    """What to do after an attempt failed."""

    ELSEWHERE = "at a backend not tried yet"
    FRESH = "on a new connection, elsewhere if there is one, else at the same backend"
    NO = "no"


RETRIES: Final = {
    # (what the backend may have seen, is the method idempotent): what to do
    (Sent.NOTHING, True): Again.ELSEWHERE,
    (Sent.NOTHING, False): Again.ELSEWHERE,
    (Sent.MAYBE, True): Again.FRESH,
    (Sent.MAYBE, False): Again.NO,
    (Sent.YES, True): Again.ELSEWHERE,
    (Sent.YES, False): Again.NO,
}


def after(error: AttemptError, *, method: bytes, body_is_lost: bool) -> Again:
    """What may be done after `error` ended an attempt of a `method` request."""
    is_final = body_is_lost or isinstance(error, ResponseTimeoutError)
    if is_final and error.sent is not Sent.NOTHING:
        return Again.NO
    return RETRIES[error.sent, method in IDEMPOTENT]
