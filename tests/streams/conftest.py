"""A transport of each kind, closed after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lb.streams.hub import HubTransport
from tests.streams.pairs import Kind, kinds

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["hub", "blocking"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Each implementation in turn."""
    made = Kind(request.param, kinds()[request.param]())
    yield made
    if made.name == "hub":
        made.transport.close()


@pytest.fixture
def hub() -> Iterator[Kind]:
    """The fast lane's alone."""
    made = Kind("hub", HubTransport())
    yield made
    made.transport.close()
