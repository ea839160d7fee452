"""What a reload would change: a table of edits, and what is said of each."""

from __future__ import annotations

import json
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
        TableRow(at, at + 1, backend, wishes.get(backend.name, Wish.READY))
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
        ["+ d (10.0.0.4:80)", "- b (10.0.0.2:80)"],
    ),
    (
        'backends = ["a=10.0.0.1:80", "b=10.0.0.2:80", "c=10.0.0.9:80"]',
        ["+ c (10.0.0.9:80)", "- c (10.0.0.3:80)"],
    ),
    (
        'backends = ["a=10.0.0.1:80", "b=10.0.0.2:80",'
        '{name = "c", address = "10.0.0.3:80", weight = 5},'
        '{name = "d", address = "10.0.0.4:80", weight = 2}]',
        ["+ d (10.0.0.4:80) weight 2", "~ c: weight 1 -> 5"],
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


def test_what_operators_did_is_compared_too(tmp_path: Path) -> None:
    """The table is in force, not what the settings said of it once."""
    old = loaded(tmp_path, IN_FORCE)
    at_run_time = [
        Backend("a", Address("10.0.0.1", 80), weight=7),
        Backend("b", Address("10.0.0.2", 80)),
    ]
    rows = rows_of(at_run_time, b=Wish.DRAIN)
    plan = make_plan(old, rows, old)
    assert list(plan.lines()) == [
        "+ c (10.0.0.3:80)",
        "~ a: weight 7 -> 1",
        "= b: drain, as an operator wants",
    ]
    report = plan.report()
    assert report["taken_out"] == [{"name": "b", "wish": "drain"}]
    assert report["added"][0]["address"] == "10.0.0.3:80"


def test_a_backend_that_is_only_drained_is_no_change(tmp_path: Path) -> None:
    old = loaded(tmp_path, IN_FORCE)
    plan = make_plan(old, rows_of(old.backends, a=Wish.MAINT), old)
    assert plan.is_empty
    assert list(plan.lines()) == ["= a: maint, as an operator wants"]


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
    assert all(Settings().value_of(key) is not None for key in RESTART)


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
