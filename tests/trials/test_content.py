"""Bodies that tell whose they are."""

from __future__ import annotations

import pytest

from trials.content import body_of


@pytest.mark.parametrize("length", [0, 1, 3, 1000])
def test_a_body_has_its_length_and_is_its_requests_own(length: int) -> None:
    body = body_of(b"17", length)
    assert len(body) == length
    assert body == (b"17\n" * 1000)[:length]
    assert length < 2 or body != body_of(b"18", length)
