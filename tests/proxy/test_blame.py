"""What a broken-off body counts for: one fault, and never a good response."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.errors import TerminatedError
from lb.proxy.backend_set import Judging
from lb.proxy.waiting import QueueLimits
from tests.proxy.house import House, backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "state", [backend(1)], QueueLimits())
    house.set.use_judging(Judging(faults=frozenset({502, 503, 504})))
    yield house
    house.close()


def serve(house: House, status: int, *, is_cut: bool = False) -> None:
    """One request that gets that status, with all of its body or half of it."""
    guest = house.come().settle()
    request, response = guest.request, guest.response
    assert response is not None
    request.status = status
    if is_cut:
        error = TerminatedError()
        house.engine.note_cut(request, status, error)
        request.label = error.label
        response.close()
    else:
        response.finish()
    house.engine.finish(request, monotonic())


# status, whether its body is cut: faults, good responses, spoiled ones
COUNTED = {
    (200, False): (0, 1, 0),
    (200, True): (1, 0, 1),
    (404, True): (1, 0, 1),
    (500, False): (0, 0, 0),
    (500, True): (1, 0, 0),
    (503, False): (1, 0, 0),
    (503, True): (1, 0, 0),
}


@pytest.mark.parametrize(("status", "is_cut"), COUNTED)
def test_a_response_counts_once(house: House, status: int, is_cut: bool) -> None:
    """Beside a good one before it, which stays good."""
    serve(house, 200)
    serve(house, status, is_cut=is_cut)
    row = house.file.rows()[0]
    found = house.file.faults(row.row, row.id)
    faults, good, spoiled = COUNTED[status, is_cut]
    assert (found.faults, found.good, found.spoiled) == (faults, good + 1, spoiled)
