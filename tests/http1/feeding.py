"""Feed a message in every way it can arrive: whole, cut anywhere, with more behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from lb.errors import RequestError
from lb.http1.request import RequestParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.http1.request_head import RequestHead

H = TypeVar("H")

NEXT = b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n"
LIMIT = 65536

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "250"))
"""Messages that each generating test makes; `scripts/fuzz.sh` asks for more."""


def request_parser(**rules: object) -> RequestParser:
    """A parser with the default limit, unless `rules` say otherwise."""
    return RequestParser(**{"limit_bytes": LIMIT, **rules})  # type: ignore[arg-type]


def parsed(data: bytes, **rules: object) -> RequestHead:
    """The head of a whole message, which must be good however it arrives."""
    parser = request_parser(**rules)
    return whole_cut_and_followed(parser.parse, data, NEXT)


def whole_cut_and_followed(
    parse: Callable[[bytes], H | None], data: bytes, behind: bytes
) -> H:
    """What `parse` makes of `data`: nothing until it is whole, then the same always."""
    for cut in range(len(data)):
        assert parse(data[:cut]) is None, f"too early, at byte {cut}"
    whole, followed = parse(data), parse(data + behind)
    assert whole is not None, "whole and still nothing"
    assert followed is not None
    assert whole.size == followed.size == len(data)  # type: ignore[attr-defined]
    assert seen(whole) == seen(followed)
    return whole


def seen(head: object) -> dict[str, object]:
    """All that a head says."""
    names = type(head).__slots__  # type: ignore[attr-defined]
    return {name: getattr(head, name) for name in names}


def refusal(data: bytes, **rules: object) -> int:
    """The status a bad head gets; no beginning of it may be taken for a head."""
    parser = request_parser(**rules)
    for cut in range(len(data)):
        try:
            assert parser.parse(data[:cut]) is None, f"taken for whole at byte {cut}"
        except RequestError:
            break
    with pytest.raises(RequestError) as behind:
        parser.parse(data + NEXT)
    with pytest.raises(RequestError) as caught:
        parser.parse(data)
    assert caught.value.status == behind.value.status
    return caught.value.status
