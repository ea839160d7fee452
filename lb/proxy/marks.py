"""Response fields of the balancer's own for one request: a cookie, an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lb.proxy.exchange import Request


def marks(request: Request, *, is_refused: bool = False) -> list[tuple[bytes, bytes]]:
    """The names and values to add to the response to `request`, most often none.

    A request that the balancer itself answers (`is_refused`) gets no cookie.
    """
    fields = []
    chosen, backend = request.backend_set, request.backend
    if chosen and chosen.has_answers and backend and not is_refused:
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
