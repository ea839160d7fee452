"""Labels as numbers: every error has one, and what is unknown is counted too."""

from __future__ import annotations

import pytest

from lb.errors import HttpError
from lb.shm.labels import LABELS, OTHER, WELL, label_of, number_of
from lb.shm.layout import LABEL_CELLS


def kinds(root: type[HttpError]) -> list[type[HttpError]]:
    """The class and all below it."""
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


@pytest.mark.parametrize("kind", kinds(HttpError))
def test_every_error_has_a_number_for_its_label(kind: type[HttpError]) -> None:
    """No failure is counted as another's, or as unknown."""
    number = number_of(kind.label)
    assert number != OTHER
    assert label_of(number) == kind.label


def test_numbers_are_their_labels_and_fit() -> None:
    """No label twice, and each has a cell in the file."""
    assert [number_of(label) for label in LABELS] == list(range(len(LABELS)))
    assert len(LABELS) <= LABEL_CELLS
    assert LABELS[WELL] == ""


def test_an_unknown_label_is_other() -> None:
    """Both ways: from a newer error, and from a newer file."""
    assert number_of("made_up") == OTHER
    assert label_of(39) == "other"
