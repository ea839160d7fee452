"""What a reload would change: a table of edits, and what is said of each."""

from __future__ import annotations

import json
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config import Settings, load
from lb.model import Address, Backend, Wish
from lb.plan import RESTART, make_plan
from lb.shm import TableRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOSTS = ("a", "b", "c", "d")
IN_FORCE = 'backends = ["a=10.0.0.1:80", "b=10.0.0.2:80", "c=10.0.0.3:80"]\n'


def loaded(folder: Path, text: str) -> Settings:
    (folder / "lb.toml").write_text(text)
    return load({"LB_WORKERS": "2"}, folder)


def rows_of(backends: Sequence[Backend], **wishes: Wish) -> list[TableRow]:
    return [
        TableRow(
            at,
            at + 1,
            backend,
            wishes.get(backend.name, Wish.READY),
            settings_weight=backend.weight,
        )
        for at, backend in enumerate(backends)
    ]


# the edit, and every line of the plan
EDITS: list[tuple[str, list[str]]] = [
    (IN_FORCE, []),
    (IN_FORCE + "[health]\nrise = 2\n", []),
    (
        'backends = ["c=10.0.0.3:80", "a=10.0.0.1:80", "b=10.0.0.2:80"]',
        [],
    ),
    (
        'backends = ["a=10.0.0.1:80", "c=10.0.0.3:80", "d=10.0.0.4:80"]',
        ["+ d=10.0.0.4:80", "- b (10.0.0.2:80)"],
    ),
    (
        'backends = ["a=10.0.0.1:80", "b=10.0.0.2:80", "c=10.0.0.9:80"]',
        ["+ c=10.0.0.9:80", "- c (10.0.0.3:80)"],
    ),
    (
        'backends = ["a=10.0.0.1:80", "b=10.0.0.2:80",'
        '{name = "c", address = "10.0.0.3:80", weight = 5},'
        '{name = "d", address = "10.0.0.4:80", weight = 2}]',
        ["+ d=10.0.0.4:80 (weight 2)", "~ c: weight 1 -> 5"],
    ),
    (
        'backends = ["a=10.0.0.1:80", "b=10.0.0.2:80"]\n[sets.s]\nbackends = '
        '[{name = "c", address = "10.0.0.3:80", backup = true, max_in_flight = 9}]',
        ["~ c: set default -> s", "~ c: max_in_flight 0 -> 9",
         "~ c: backup False -> True"],
    ),
    (
        IN_FORCE + "[timeouts]\nconnect = 0.5\n[limits]\nhead_bytes = '16KiB'",
        ["~ timeouts.connect: 3 -> 0.5", "~ limits.head_bytes: 64KiB -> 16KiB"],
    ),
    (
        IN_FORCE + "bind = ':81'",
        [
            "! bind: 0.0.0.0:8080 -> 0.0.0.0:81"
            " (the listening sockets stay until a restart)"
        ],
    ),
    (
        IN_FORCE + "[admin]\ntoken = 'hush'",
        ['! admin.token: "" -> another *** '
         "(the admin process takes it at its next start)"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "lines"), EDITS)
def test_each_edit_is_told(tmp_path: Path, edit: str, lines: list[str]) -> None:
    old = loaded(tmp_path, IN_FORCE)
    plan = make_plan(old, rows_of(old.backends), loaded(tmp_path, edit))
    assert list(plan.lines()) == lines
    assert plan.is_empty == (not lines)
    assert set(plan.waiting) == {
        line.split()[1][:-1] for line in lines if line[0] == "!"
    }
    json.dumps(plan.report())


def test_what_operators_did_stays_and_is_told(tmp_path: Path) -> None:
    """As far as the settings say of it what they said before."""
    old = loaded(tmp_path, IN_FORCE)
    a, b, c = rows_of(old.backends, b=Wish.DRAIN)
    a = replace(a, backend=replace(a.backend, weight=7))
    added = TableRow(9, 10, Backend("x", Address("h", 1), weight=2), Wish.READY)
    plan = make_plan(old, [a, b, added], old, away=[c])
    assert plan.is_empty
    assert list(plan.lines()) == [
        "= a: given weight 7 at run time",
        "= b: drained at run time",
        "= x: added at run time",
        "= c: removed at run time",
    ]
    assert plan.report()["kept"][0] == {"name": "a", "what": "given weight 7"}
    heavier = IN_FORCE.replace(
        '"a=10.0.0.1:80"', '{name="a", address="10.0.0.1:80", weight=3}'
    )
    new = loaded(tmp_path, heavier.replace(', "c=10.0.0.3:80"', ""))
    plan = make_plan(old, [a, b, added], new, away=[c])
    assert next(iter(plan.lines())) == "~ a: weight 7 -> 3"
    assert "= c: removed at run time" not in plan.lines()


HASHED = IN_FORCE + "[balance]\npolicy = 'hash'\n"


def test_the_share_of_hash_keys_that_move_is_about_the_gone_ones(
    tmp_path: Path,
) -> None:
    old = loaded(tmp_path, HASHED)
    new = loaded(tmp_path, HASHED.replace(', "b=10.0.0.2:80"', ""))
    ((group, share),) = make_plan(old, rows_of(old.backends), new).moved
    assert group == "default"
    assert 0.30 < share < 0.40


def test_no_key_moves_from_one_that_is_drained_or_where_nothing_changes(
    tmp_path: Path,
) -> None:
    old = loaded(tmp_path, HASHED)
    new = loaded(tmp_path, HASHED.replace(', "b=10.0.0.2:80"', ""))
    assert make_plan(old, rows_of(old.backends, b=Wish.DRAIN), new).moved == ()
    other = loaded(tmp_path, HASHED + "[health]\nrise = 7")
    assert make_plan(old, rows_of(old.backends), other).moved == ()
    plain = loaded(tmp_path, IN_FORCE)
    assert make_plan(old, rows_of(old.backends), plain).moved == ()


def test_every_key_that_waits_is_a_setting() -> None:
    for key in RESTART:
        attrgetter(key)(Settings())


BACKENDS = st.lists(
    st.builds(
        Backend,
        name=st.sampled_from(HOSTS),
        address=st.builds(Address, host=st.just("h"), port=st.integers(1, 3)),
        weight=st.integers(1, 3),
    ),
    unique_by=lambda b: b.name,
    max_size=4,
)


@given(BACKENDS, BACKENDS)
def test_a_plan_accounts_for_every_backend(
    before: list[Backend], after: list[Backend]
) -> None:
    """Whoever does what it says has what the settings want."""
    old, new = (
        Settings().model_copy(update={"backends": tuple(b)}) for b in (before, after)
    )
    plan = make_plan(old, rows_of(before), new)
    left = [b for b in before if b not in plan.removed]
    weights = {c.name: int(c.after) for c in plan.changed}
    made = {(b.name, b.address, weights.get(b.name, b.weight)) for b in left}
    made |= {(b.name, b.address, b.weight) for b in plan.added}
    assert made == {(b.name, b.address, b.weight) for b in after}
    assert plan.is_empty == (set(before) == set(after))
