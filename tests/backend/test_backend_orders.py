"""Orders: a file of one user, obeyed by one process, and over by itself."""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.orders import MOST_S, NOTHING, RECORD_BYTES, Orders, OrdersError, path_of
from lb.admin import demo_orders
from tests.backend.obedient import Obedient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other test has; its file goes with the test."""
    made = f"test-{uuid.uuid4().hex}"
    yield made
    path_of(made).unlink(missing_ok=True)


@pytest.fixture
def orders(name: str) -> Iterator[Orders]:
    taken = Orders.take(name)
    yield taken
    taken.close()


def write(path: Path, text: str) -> None:
    """Put a record in its place, as the admin app does."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, text.encode().ljust(RECORD_BYTES), 0)
    os.close(fd)


def test_both_sides_look_in_the_same_place() -> None:
    assert demo_orders.path_of("9001") == path_of("9001")
    assert demo_orders.RECORD_BYTES == RECORD_BYTES


def test_what_one_side_gives_the_other_obeys(name: str) -> None:
    """Across processes: the lock of the one that obeys is seen by the other."""
    assert demo_orders.ordered(name) is None
    until = time.time() + 30
    with Obedient(name):
        assert demo_orders.ordered(name) == demo_orders.Order()
        assert demo_orders.give(name, "slow", until, port=8080)
        child = Orders.look_into(name)
        assert child.now() == ("slow", pytest.approx(until, abs=0.01), 8080)
        assert demo_orders.ordered(name) == ("slow", pytest.approx(until, abs=0.01))
        child.close()
    assert not path_of(name).exists()
    assert not demo_orders.give(name, "slow", until)
    assert not path_of(name).exists()


def test_nobody_is_told_what_nobody_would_obey(name: str) -> None:
    """A file that its process left behind, as after kill -9, is not written to."""
    path_of(name).write_bytes(b" " * RECORD_BYTES)
    assert not demo_orders.give(name, "dead", time.time() + 30)
    assert path_of(name).read_bytes().strip() == b""


def test_a_file_left_behind_is_taken_over_without_its_order(name: str) -> None:
    path_of(name).touch(mode=0o600)
    write(path_of(name), json.dumps({"mode": "slow", "until": time.time() + 30}))
    taken = Orders.take(name)
    assert taken.now() is NOTHING
    taken.close()


def test_only_one_process_takes_the_orders(name: str) -> None:
    with Obedient(name), pytest.raises(OrdersError, match="another demo process"):
        Orders.take(name)


def test_a_file_that_others_may_write_is_not_believed(name: str) -> None:
    path_of(name).touch()
    path_of(name).chmod(0o666)
    with pytest.raises(OrdersError, match="not a file of this user alone"):
        Orders.take(name)


def test_a_link_is_not_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    path_of(name).symlink_to(tmp_path / "victim")
    with pytest.raises(OrdersError):
        Orders.take(name)
    assert not demo_orders.give(name, "slow", time.time() + 30)
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("left_s", [-1, 0, MOST_S + 1, 1e9])
def test_an_order_is_over_at_its_end_and_never_far_away(
    orders: Orders, name: str, left_s: float
) -> None:
    """A clock that was set back must not keep a backend dead for a day."""
    write(path_of(name), json.dumps({"mode": "slow", "until": time.time() + left_s}))
    assert orders.now() is NOTHING


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(text=st.text() | JSON.map(json.dumps))
def test_whatever_stands_there_is_nothing_or_an_order(text: str) -> None:
    name = "test-whatever"
    orders = Orders.take(name)
    try:
        write(path_of(name), text[: RECORD_BYTES // 4])
        assert orders.now() is NOTHING
    finally:
        orders.close()
