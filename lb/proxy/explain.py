"""Why a request went where it went, said in response fields to whom may ask.

A client of a trusted address that sends `LB-Explain: 1` is told what its set looked
like when the backend was chosen: the candidates with what the policy looked at, who
was left out and why, and how each attempt went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lb.errors import HttpError
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.exchange import Request
    from lb.upstream.backend import LiveBackend

MOST: Final = 32
"""Backends told of each kind; the others are only counted."""

DECISION: Final = b"LB-Explain"
CANDIDATE: Final = b"LB-Explain-Candidate"
EXCLUDED: Final = b"LB-Explain-Excluded"
ATTEMPT: Final = b"LB-Explain-Attempt"

Field = tuple[bytes, bytes]


class Explanation:
    """What one request met; made just before its backend is chosen. O(backends)."""

    def __init__(self, chosen: BackendSet, request: Request) -> None:
        candidates, excluded = chosen.candidates, chosen.excluded()
        counts = f"candidates={len(candidates)} excluded={len(excluded)}"
        set_name, policy = chosen.name, chosen.policy_name.decode("ascii", "replace")
        self._decision = f"set={set_name} policy={policy} {counts}"
        self._fields: list[Field] = [
            _field(CANDIDATE, b, chosen.policy.inputs(request, b))
            for b in candidates[:MOST]
        ]
        self._fields += [
            _field(EXCLUDED, b, f"reason={why}") for b, why in excluded[:MOST]
        ]

    def failed(self, backend: LiveBackend, error: HttpError) -> None:
        """An attempt failed."""
        self._fields.append(_field(ATTEMPT, backend, f"failed={error.label}"))

    def answered(self, backend: LiveBackend, status: int) -> None:
        """An attempt got an answer after which the request went elsewhere."""
        self._fields.append(_field(ATTEMPT, backend, f"answered={status}"))

    def fields(self, request: Request) -> list[Field]:
        """All of it, with how the request ended as far as that is known."""
        times = [
            f"{name}={seconds * 1000:.2f}ms"
            for name, seconds in (
                ("queued", request.queued_s),
                ("connect", request.connect_s),
                ("head", request.to_head_s),
            )
            if seconds >= 0
        ]
        told = " ".join([self._decision, f"attempts={request.attempts}", *times])
        last = []
        if request.backend is not None and request.to_head_s >= 0:
            last = [_field(ATTEMPT, request.backend, "answered")]
        return [(DECISION, _wire(told)), *self._fields, *last]


def _field(name: bytes, backend: LiveBackend, what: str) -> Field:
    return name, _wire(f"{backend.name} {what}")


def _wire(text: str) -> bytes:
    """Text that cannot end its field."""
    return (
        text.encode("ascii", "backslashreplace").replace(b"\r", b"").replace(b"\n", b"")
    )
