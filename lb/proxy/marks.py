"""Response fields of the balancer's own: a cookie, an explanation, a sign of panic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lb.proxy.exchange import Request

PANIC: Final = b"LB-Panic", b"1"
"""Its set is in panic: the backend may be one that checks or traffic speak against."""


def marks(request: Request, *, is_refused: bool = False) -> list[tuple[bytes, bytes]]:
    """The names and values to add to the response to `request`, most often none.

    A request that the balancer itself answers (`is_refused`) gets no cookie.
    """
    fields = []
    chosen, backend = request.backend_set, request.backend
    if chosen and chosen.is_panic:
        fields.append(PANIC)
    if chosen and chosen.has_marks and backend and not is_refused:
        cookie = chosen.policy.answer(request, backend)
        if cookie:
            fields.append((b"Set-Cookie", cookie))
    if request.explanation is not None:
        fields += request.explanation.fields(request)
    return fields


def mark_lines(request: Request, *, is_refused: bool = False) -> bytes:
    """The same as lines of a head, each with its CRLF before it."""
    return b"".join(
        [b"\r\n%b: %b" % field for field in marks(request, is_refused=is_refused)]
    )
