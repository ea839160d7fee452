"""`recent` and `explain`: from the recorder to a person, harmless on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lb.errors import OperationError

if TYPE_CHECKING:
    from tests.cli.conftest import Scene


def ids(scene: Scene, *options: str) -> list[str]:
    """The ids that `recent` lists, by its JSON and by its table."""
    result = scene.lb("recent", *options)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["ended", "id", "client"]
    listed = [line.split()[1] for line in lines[1:]]
    told = json.loads(scene.lb("recent", "--json", *options).stdout)
    assert [record["request_id"] for record in told] == listed
    return listed


@pytest.fixture
def story(scene: Scene) -> Scene:
    """Five requests, of which the last ended first."""
    scene.request("web1", request_id=b"good", took_s=0.5)
    scene.request("web2", request_id=b"slow", took_s=3.0)
    scene.request("web2", request_id=b"cut", label="connection_terminated", took_s=0.4)
    scene.request("", request_id=b"none", status=503, took_s=0.3)
    scene.request(
        "web1", request_id=b"again", attempts=2, tried=(scene.ids["web2"], 0, 0)
    )
    return scene


def test_the_last_that_ended_is_first(story: Scene) -> None:
    story.request("web1", request_id=b"last", took_s=4.0)
    assert ids(story)[0] == "last"
    assert set(ids(story)) == {"good", "slow", "cut", "none", "again", "last"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--slow",), ["slow", "good", "cut", "none", "again"]),
        (("--slow", "0.4"), ["slow", "good", "cut"]),
        (("--slow", "0.4", "--limit", "1"), ["slow"]),
        (("--failed", "--slow"), ["cut", "none"]),
        (("--backend", "web2", "--slow"), ["slow", "cut", "again"]),
        (("--backend", "127.0.0.1:1", "--slow"), ["good", "again"]),
        (("--slow", "99"), []),
    ],
)
def test_what_is_asked_for_is_listed(
    story: Scene, options: tuple[str, ...], expected: list[str]
) -> None:
    assert ids(story, *options) == expected


def test_an_unknown_backend_is_told(story: Scene) -> None:
    with pytest.raises(OperationError, match="did you mean web1"):
        story.lb("recent", "--backend", "wbe1")


def test_a_row_tells_phases_in_milliseconds(scene: Scene) -> None:
    scene.request("web1", took_s=0.25, connect_s=0.002, to_head_s=0.125)
    line = scene.lb("recent").stdout.splitlines()[1].split()
    assert line[:8] == [
        "2027-01-15T08:16:40.250Z", "0123456789abcdef", "127.0.0.1", "GET", "/a?b=c",
        "web1", "1", "200",
    ]  # fmt: skip
    assert line[8:] == ["-", "2.00", "125.00", "250.00", "10", "500"]


def test_what_a_client_sent_does_not_steer_the_terminal(scene: Scene) -> None:
    """Escapes, bells, line ends and bytes beyond ASCII are shown, not sent."""
    evil = b"\x1b]0;own\x07\n\x9b\xe2\x80\xae"
    scene.request("web1", request_id=evil, target=b"/" + evil, method=b"\x1b[H")
    texts = [scene.lb("recent").stdout, scene.lb("recent", "--json").stdout]
    for record in json.loads(texts[1]):
        texts.append(scene.lb("explain", record["request_id"]).stdout)
    for text in texts:
        assert text.replace("\n", "").isprintable()
        assert text.isascii()
    assert r"/\x1b]0;own\x07\n\x9b\xe2\x80\xae" in texts[0]


def test_a_dead_processs_requests_are_there(story: Scene) -> None:
    story.process.close()
    assert "slow" in ids(story)


def test_explain_tells_the_whole_story(story: Scene) -> None:
    result = story.lb("explain", "again")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "again: GET /a?b=c"
    told = {line.split()[0]: line.split(None, 1)[1] for line in lines[1:]}
    assert told["attempts"] == "2: web2 failed, then web1"
    assert told["chosen"] == "by round_robin"
    assert told["phases"] == "queue -, connect -, head 0.50 ms, total 1.00 ms"
    assert told["answer"] == "200, it ended well"


@pytest.mark.parametrize(
    ("request_id", "attempts", "answer"),
    [
        ("none", "0: no backend", "503, destination_unavailable"),
        ("lost", "1: web2 failed", "502, connection_refused"),
        ("many", "5: web2 failed, then web2 failed, then more, then web1", "200, it ended well"),
    ],
)  # fmt: skip
def test_explain_tells_of_failures(
    scene: Scene, request_id: str, attempts: str, answer: str
) -> None:
    two = scene.ids["web2"]
    refused, full = "connection_refused", "destination_unavailable"
    scene.request("", request_id=b"none", attempts=0, status=503, label=full)
    scene.request(
        "web2", request_id=b"lost", status=502, label=refused, tried=(two, 0, 0)
    )
    scene.request("web1", request_id=b"many", attempts=5, tried=(two, two, 0))
    text = scene.lb("explain", request_id).stdout
    assert f"attempts  {attempts}\n" in text
    assert f"answer    {answer}\n" in text


def test_explain_finds_each_that_had_the_id(story: Scene) -> None:
    story.request("web2", request_id=b"good", took_s=0.1)
    told = json.loads(story.lb("explain", "good", "--json").stdout)
    assert [record["backend"] for record in told] == ["web2", "web1"]


def test_explain_finds_a_long_id_by_its_beginning(scene: Scene) -> None:
    long = "x" * 60
    scene.request("web1", request_id=long.encode())
    assert scene.lb("explain", long).exit_code == 0


def test_explain_says_that_none_has_the_id(story: Scene) -> None:
    result = story.lb("explain", "nobody\x1b")
    assert (result.exit_code, result.stdout) == (1, "")
    assert r"none of the last 5 requests has the id 'nobody\x1b'" in result.stderr


def test_requests_of_a_backend_that_left_say_so(story: Scene) -> None:
    two = story.ids["web2"]
    assert story.lb("remove", "web2").exit_code == 0
    assert f"(gone: {two})" in story.lb("recent").stdout
    assert f"(gone: {two}) failed, then web1" in story.lb("explain", "again").stdout
