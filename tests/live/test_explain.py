"""Why a request went where it went, told to trusted addresses that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.client import get
from tests.live.rig import Rig, running_rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.scripted import Talk

pytestmark = pytest.mark.live

ASKS = b"LB-Explain: 1"


@pytest.fixture(scope="module", params=["fast", "gthread"])
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("explain")
    with running_rig(request.param, folder, LB_TRUSTED_PROXIES="127.0.0.1") as rig:
        yield rig


def test_who_asks_is_told_the_candidates_and_the_attempts(rig: Rig) -> None:
    answer = rig.fetch(get(b"/plain", ASKS))
    decision = answer.value(b"LB-Explain")
    assert decision.startswith(
        b"set=default policy=round_robin candidates=2 excluded=0 attempts=1"
    )
    candidates = answer.values(b"LB-Explain-Candidate")
    assert sorted(c.split()[0] for c in candidates) == [b"one", b"two"]
    assert all(c.endswith(b" weight=1") for c in candidates)
    assert answer.value(b"LB-Explain-Attempt").endswith(b" answered")


def test_the_question_is_not_passed_on(rig: Rig) -> None:
    _, talk = rig.fetch_seen(b"/quiet", get(b"/quiet", ASKS))
    assert talk.values(b"LB-Explain") == []


def test_who_does_not_ask_is_told_nothing(rig: Rig) -> None:
    assert rig.fetch(get(b"/plain")).values(b"LB-Explain") == []


def test_a_failed_attempt_is_told_with_its_label(rig: Rig) -> None:
    asked = []

    def fails_once(talk: Talk) -> None:
        asked.append(talk)
        if len(asked) > 1:
            talk.reply(b"ok")
        else:
            talk.close()

    rig.script(b"/flaky", fails_once)
    answer = rig.fetch(get(b"/flaky", ASKS))
    failed, answered = answer.values(b"LB-Explain-Attempt")
    assert failed.endswith(b" failed=connection_terminated")
    assert answered.endswith(b" answered")
    assert failed.split()[0] != answered.split()[0]


def test_a_refusal_is_explained_too(rig: Rig) -> None:
    if rig.lane != "fast":
        pytest.skip("a refusal of the portable lane is Flask's own response")
    rig.script(b"/broken", lambda talk: talk.close())
    answer = rig.fetch(get(b"/broken", ASKS))
    assert answer.status == 502
    assert len(answer.values(b"LB-Explain-Attempt")) == 2


def test_strangers_are_told_nothing(tmp_path: Path) -> None:
    with running_rig("fast", tmp_path) as rig:
        answer = rig.fetch(get(b"/plain", ASKS))
        assert (answer.status, answer.values(b"LB-Explain")) == (200, [])
