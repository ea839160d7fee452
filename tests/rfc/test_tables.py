"""Every case of the tables, against the fast lane as users start it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.rfc import tables
from tests.rfc.variants import VARIANTS, examined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rfc.exam import Exam
    from tests.rfc.rows import Case

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def exam_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Exam]]:
    """The running balancer of a variant, started when first asked for."""
    exams: dict[str, Exam] = {}
    with ExitStack() as stack:

        def get(variant: str) -> Exam:
            if variant not in exams:
                folder = tmp_path_factory.mktemp(variant)
                exams[variant] = stack.enter_context(examined(variant, folder))
            return exams[variant]

        yield get


@pytest.mark.parametrize("case", tables.ALL, ids=lambda case: case.name)
def test_case(case: Case, exam_of: Callable[[str], Exam]) -> None:
    exam = exam_of(case.variant)
    exam.begin()
    case.run(exam)


def test_names_are_unique_and_variants_exist() -> None:
    assert [
        n for n, times in Counter(c.name for c in tables.ALL).items() if times > 1
    ] == []
    assert {case.variant for case in tables.ALL} <= set(VARIANTS)
    assert len(tables.ALL) >= 250
