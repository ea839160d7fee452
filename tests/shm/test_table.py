"""The backends' rows: what was written is read, and who stays keeps its place."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import StateFileError
from lb.model import Address, Backend, Wish
from lb.shm.geometry import Geometry
from lb.shm.layout import Head, Row
from lb.shm.table import (
    MAX_WEIGHT,
    check_backends,
    identity,
    is_same,
    read_row,
    read_rows,
    write_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GEOMETRY = Geometry(rows=8, slots=2)
HOSTS = st.text(string.ascii_lowercase + "0123456789.-", min_size=1, max_size=253)
ADDRESSES = st.one_of(
    st.builds(Address, host=HOSTS, port=st.integers(1, 65535)),
    st.builds(Address, host=st.just("::1"), port=st.integers(1, 65535)),
    st.builds(
        lambda tail: Address(path="/" + tail),
        st.text(string.ascii_letters + "/._-", min_size=1, max_size=107),
    ),
)
NAMES = st.text(min_size=1, max_size=40).filter(
    lambda text: "\x00" not in text and len(text.encode("utf-8", "replace")) <= 128
)
BACKENDS = st.builds(
    Backend,
    name=NAMES.filter(lambda t: t.isprintable()),
    address=ADDRESSES,
    weight=st.integers(0, MAX_WEIGHT),
    group=st.one_of(
        st.just("default"), st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)
    ),
    max_in_flight=st.integers(0, MAX_WEIGHT),
    backup=st.booleans(),
)
SETS = st.lists(BACKENDS, max_size=6, unique_by=identity)


@pytest.fixture
def cells() -> Iterator[memoryview]:
    with memory() as made:
        yield made


def memory() -> memoryview:
    return memoryview(bytearray(GEOMETRY.file_bytes)).cast("Q")


def have(cells: memoryview) -> dict[int, Backend]:
    return {row.id: row.backend for row in read_rows(cells, GEOMETRY)}


@given(SETS)
def test_backends_are_read_as_they_were_written(backends: list[Backend]) -> None:
    """Names, addresses of all kinds, weights, sets and limits survive."""
    cells = memory()
    check_backends(backends)
    write_rows(cells, GEOMETRY, backends)
    rows = list(read_rows(cells, GEOMETRY))
    assert [row.backend for row in rows] == backends
    assert is_same(rows, list(reversed(backends)))


@given(st.lists(SETS, min_size=2, max_size=4))
def test_over_changes_ids_are_stable_and_never_given_twice(
    history: list[list[Backend]],
) -> None:
    """A backend that stays keeps row and id; a new one gets an id never seen."""
    cells = memory()
    known: dict[int, tuple[str, Address]] = {}
    before: dict[tuple[str, Address], tuple[int, int]] = {}
    for backends in history:
        generation = cells[Head.TABLE_GENERATION]
        write_rows(cells, GEOMETRY, backends)
        rows = list(read_rows(cells, GEOMETRY))
        assert is_same(rows, backends)
        assert cells[Head.TABLE_GENERATION] == generation + 1
        for row in rows:
            who = identity(row.backend)
            assert known.setdefault(row.id, who) == who
            assert before.get(who, (row.row, row.id)) == (row.row, row.id)
        before = {identity(row.backend): (row.row, row.id) for row in rows}


@pytest.mark.parametrize(
    ("backends", "message"),
    [
        ([Backend("x" * 129, Address("h", 1))], "name has 129 bytes"),
        ([Backend("x", Address(path="/" + "y" * 300))], "address has 306 bytes"),
        ([Backend("x", Address("h", 1), weight=-1)], "weight -1"),
        ([Backend("x", Address("h", 1), group="g" * 65)], "set has 65 bytes"),
        ([Backend("x", Address("h", 1), max_in_flight=1 << 32)], "max_in_flight 42"),
        ([Backend("x", Address("h", 1))] * 2, "same name and address"),
    ],
)
def test_what_has_no_room_is_refused(backends: Sequence[Backend], message: str) -> None:
    """Nothing is cut silently."""
    with pytest.raises(StateFileError, match=message):
        check_backends(backends)


def test_more_backends_than_rows_change_nothing(cells: memoryview) -> None:
    """The message says what to do, and the rows are as before."""
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1))])
    before = have(cells)
    many = [Backend(f"b{n}", Address("h", n)) for n in range(1, 10)]
    with pytest.raises(StateFileError, match="room for 8 backends, not for 9"):
        write_rows(cells, GEOMETRY, many)
    assert have(cells) == before


def test_a_new_weight_leaves_row_and_id(cells: memoryview) -> None:
    """The weight is not part of what a backend is."""
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1), weight=1)])
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1), weight=7)])
    assert have(cells) == {1: Backend("a", Address("h", 1), weight=7)}


@given(st.lists(BACKENDS, min_size=2, max_size=5))
def test_what_may_change_leaves_row_id_and_wish(history: list[Backend]) -> None:
    """Weight, set, limit and backup are not part of what a backend is."""
    cells = memory()
    for backend in history:
        now = replace(backend, name="a", address=Address("h", 1))
        write_rows(cells, GEOMETRY, [now])
        (row,) = read_rows(cells, GEOMETRY)
        assert (row.row, row.id, row.backend) == (0, 1, now)
        if cells[Head.TABLE_GENERATION] > 1:
            assert row.wish is Wish.DRAIN
        cells[GEOMETRY.row(0) + Row.WISH] = Wish.DRAIN


class Interrupted:
    """Cells whose set names are rewritten while somebody reads them."""

    def __init__(self, cells: memoryview, then: Callable[[], None]) -> None:
        self.cells = cells
        self.then: Callable[[], None] | None = then

    def __getitem__(self, at: Any) -> Any:
        found = self.cells[at]
        if isinstance(at, slice) and at.start == GEOMETRY.row(0) + Row.GROUP_ODD:
            found = memoryview(found.tobytes()).cast("Q")
            if (then := self.then) is not None:
                self.then = None
                then()
        return found


def test_no_reader_sees_half_of_a_sets_name(cells: memoryview) -> None:
    """Nor one of a set that it was moved to and from meanwhile, under another's."""

    def move(*groups: str) -> None:
        for group in groups:
            write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1), group=group)])

    move("first")
    disturbed: Any = Interrupted(cells, lambda: move("second-of-them", "3rd"))
    row = read_row(disturbed, GEOMETRY, 0)
    assert row is not None
    assert row.backend.group == "3rd"


def test_a_row_of_an_older_version_is_in_the_default_set(cells: memoryview) -> None:
    """There, the cells that tell the set are spare and zero."""
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1), group="x")])
    cells[GEOMETRY.row(0) + Row.GROUP] = 0
    assert have(cells) == {1: Backend("a", Address("h", 1))}


def test_a_new_tenant_starts_ready(cells: memoryview) -> None:
    """The wish for the backend that was there before is not inherited."""
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1))])
    at = GEOMETRY.row(0)
    cells[at + Row.WISH] = Wish.MAINT
    others = [Backend(f"b{n}", Address("h", n + 1)) for n in range(8)]
    write_rows(cells, GEOMETRY, others)
    row = read_row(cells, GEOMETRY, 0)
    assert row is not None
    assert (row.backend.name, row.wish, row.id) == ("b7", Wish.READY, 9)


def test_a_new_backend_gets_the_row_that_is_empty_for_longest(
    cells: memoryview,
) -> None:
    """Requests of the one before it may still be under way in the others."""
    one, two, new = (Backend(name, Address("h", 1)) for name in ("a", "b", "c"))
    write_rows(cells, GEOMETRY, [one, two])
    rows = []
    for _ in range(9):
        write_rows(cells, GEOMETRY, [two])
        write_rows(cells, GEOMETRY, [two, new])
        (row,) = [r.row for r in read_rows(cells, GEOMETRY) if r.backend == new]
        rows.append(row)
    assert rows == [2, 3, 4, 5, 6, 7, 0, 2, 3]


def test_a_row_half_written_is_an_empty_row(cells: memoryview) -> None:
    """A builder that dies before the id's store leaves no backend."""
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1))])
    cells[GEOMETRY.row(0) + Row.ID] = 0
    assert have(cells) == {}


def test_a_damaged_address_is_an_error_not_a_guess(cells: memoryview) -> None:
    """A row that cannot be says which it is."""
    write_rows(cells, GEOMETRY, [Backend("a", Address("h", 1))])
    cells[GEOMETRY.row(0) + Row.ADDRESS_BYTES] = 1
    with pytest.raises(StateFileError, match="row 0 has address 'h'"):
        have(cells)
