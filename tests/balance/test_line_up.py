"""The line-up: tiers and panic, as a truth table."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.balance.line_up import line_up


@dataclass(frozen=True)
class One:
    """`u` up, `d` down or ejected but there, `g` gone, `-` not wanted.

    A capital letter is a backup.
    """

    state: str

    @property
    def is_backup(self) -> bool:
        return self.state.isupper()

    @property
    def is_wanted(self) -> bool:
        return self.state != "-"

    @property
    def is_judged(self) -> bool:
        return self.state.lower() in "ud"

    @property
    def is_available(self) -> bool:
        return self.state.lower() == "u"


def lined_up(states: str, panic: int = 50) -> tuple[str, bool]:
    found = line_up([One(state) for state in states], panic)
    return "".join(m.state for m in found.members), found.is_panic


@pytest.mark.parametrize(
    ("states", "members", "is_panic"),
    [
        ("uuu", "uuu", False),
        ("uud", "uu", False),
        ("ud", "u", False),  # half of them is not fewer than half
        ("udd", "udd", True),
        ("ugg", "u", False),  # who is not there is not tried
        ("ugd", "u", False),
        ("ggg", "", False),  # 503
        ("ddd", "ddd", True),  # the judgement is doubted, not the backends
        ("gdd", "dd", True),
        ("d", "d", True),
        ("u--", "u", False),
        ("d--", "d", True),
        ("---", "", False),
        ("", "", False),
        ("uuU", "uu", False),
        ("ddU", "U", False),  # a backup that is well is better than panic
        ("ggU", "U", False),
        ("ddDU", "U", False),
        ("ddDDU", "DDU", True),
        ("uddU", "udd", True),
        ("ddD", "dd", True),
        ("ggD", "D", True),
        ("U", "U", False),
    ],
)
def test_who_gets_requests(states: str, members: str, is_panic: bool) -> None:
    assert lined_up(states) == (members, is_panic)


@pytest.mark.parametrize(
    ("panic", "members"), [(0, "u"), (33, "u"), (34, "udd"), (100, "udd")]
)
def test_the_threshold_is_a_setting(panic: int, members: str) -> None:
    """0: never."""
    assert lined_up("udd", panic)[0] == members


@given(st.text("udg-UDG", max_size=12), st.integers(0, 100))
def test_whoever_is_well_gets_requests_and_nobody_who_is_gone(
    states: str, panic: int
) -> None:
    """All members of one tier; and somebody, as long as one is well."""
    members, is_panic = lined_up(states, panic)
    assert not set(members) & set("gG-")
    assert members.islower() or members.isupper() or not members
    assert bool(members) >= ("u" in states or "U" in states)
    if not is_panic:
        assert set(members) <= set("uU")
