"""When a failed attempt may be made again: one table, and its reader.

Never two backends for one POST: once bytes may have been processed, only methods
whose effect is the same once or twice go again (RFC 9110 section 9.2.2). A timeout
is never tried again, because the client has waited long enough, and nothing is once
a byte of the response went to the client or of an unkept body was taken.

What a backend may have worked on costs the set's budget to be tried again. A request
that reached none, or met a connection that its backend had closed, is not done twice:
it goes on for nothing, or no backend could die without errors.
docs/retries.md has the whole truth table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from lb.errors import AttemptError, ResponseTimeoutError, Sent
from lb.http1.grammar import IDEMPOTENT
from lb.proxy.budget import NO_LIMITS_SAID, BudgetLimits

if TYPE_CHECKING:
    from lb.proxy.upload import Upload


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """What a set may do beyond the table, and how much of it all.

    `statuses` are answers after which idempotent requests go elsewhere; `hedge_s`
    after how long a second backend is asked beside the first (0: never).
    """

    budget: BudgetLimits = NO_LIMITS_SAID
    statuses: frozenset[int] = frozenset()
    hedge_s: float = 0.0


NO_OPTIONS: Final = RetryOptions()


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


BUDGETED: Final = frozenset({Sent.YES})
"""What the backend may have seen where another attempt costs the budget."""


def may_repeat(method: bytes, upload: Upload | None) -> bool:
    """Whether a request can be sent again though a backend has answered it."""
    return method in IDEMPOTENT and (upload is None or not upload.is_lost)


def after(error: AttemptError, *, method: bytes, body_is_lost: bool) -> Again:
    """What may be done after `error` ended an attempt of a `method` request."""
    is_final = body_is_lost or isinstance(error, ResponseTimeoutError)
    if is_final and error.sent is not Sent.NOTHING:
        return Again.NO
    return RETRIES[error.sent, method in IDEMPOTENT]
