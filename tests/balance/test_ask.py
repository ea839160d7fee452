"""A cookie is found in its field, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.balance.ask import NO_ASK, PlainAsk, cookie_in

FIELDS = {
    "alone": (b"lb=1", b"1"),
    "first": (b"lb=1; a=2", b"1"),
    "last": (b"a=2; lb=1", b"1"),
    "without a space": (b"a=2;lb=1;b=3", b"1"),
    "with many": (b"a=2 ;   lb = 1 ; b", b"1"),
    "twice: the first": (b"lb=1; lb=2", b"1"),
    "in quotes": (b'lb="1"', b"1"),
    "with = in it": (b"lb=a=b==", b"a=b=="),
    "empty": (b"lb=; a=1", b""),
    "absent": (b"a=1", b""),
    "a longer name": (b"xlb=1; lbx=2", b""),
    "another case": (b"LB=1", b""),
    "in a value": (b"a=lb=1", b""),
    "without =": (b"lb", b""),
    "no field": (b"", b""),
}


@pytest.mark.parametrize(("field", "value"), FIELDS.values(), ids=FIELDS)
def test_a_cookie_is_found_by_its_name(field: bytes, value: bytes) -> None:
    assert cookie_in(field, b"lb") == value
    assert PlainAsk(fields={b"cookie": field}).cookie(b"lb") == value


@given(st.binary(max_size=100))
def test_no_field_does_harm(field: bytes) -> None:
    assert cookie_in(field, b"lb") in field


def test_no_ask_has_nothing() -> None:
    assert NO_ASK.client == NO_ASK.header(b"host") == NO_ASK.cookie(b"lb") == b""
