"""What each route of the demo backend answers, asked through Flask's client."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from backend.app import create_app
from backend.content import PERIOD_BYTES, pieces

if TYPE_CHECKING:
    from flask.testing import FlaskClient


@pytest.fixture
def client() -> FlaskClient:
    return create_app("Response from Backend 1").test_client()


def test_the_root_answers_the_text_as_a_line_of_plain_text(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.text == "Response from Backend 1\n"
    assert answer.mimetype == "text/plain"


@pytest.mark.parametrize(
    "target", ["/", "/healthz", "/status/503", "/nowhere", "/bytes/x", "/stream?ms=0"]
)
def test_every_answer_names_its_backend(client: FlaskClient, target: str) -> None:
    assert client.get(target).headers["X-Backend"] == "Response from Backend 1"


@pytest.mark.parametrize(
    ("text", "name"), [("Füße", "F??e"), ("two\nlines", "two?lines"), ("", "")]
)
def test_a_name_unfit_for_a_header_is_made_fit(text: str, name: str) -> None:
    answer = create_app(text).test_client().get("/")
    assert answer.headers["X-Backend"] == name
    assert answer.text == f"{text}\n"


def test_healthz_is_ok(client: FlaskClient) -> None:
    assert client.get("/healthz").text == "ok\n"


def test_slow_waits_as_long_as_asked(client: FlaskClient) -> None:
    assert client.get("/slow?ms=1").text == "Response from Backend 1, after 1 ms\n"


@pytest.mark.parametrize("code", [200, 201, 299, 301, 404, 418, 500, 503, 599])
def test_status_is_the_one_asked_for(client: FlaskClient, code: int) -> None:
    answer = client.get(f"/status/{code}")
    assert (answer.status_code, answer.text) == (
        code,
        f"{code} Response from Backend 1\n",
    )


@pytest.mark.parametrize("code", [204, 205, 304])
def test_a_status_without_body_has_none(client: FlaskClient, code: int) -> None:
    answer = client.get(f"/status/{code}")
    assert (answer.status_code, answer.data) == (code, b"")


@pytest.mark.parametrize(
    "target",
    [
        "/slow?ms=-1",
        "/slow?ms=60001",
        "/slow?ms=",
        "/slow?ms=1e3",
        "/slow?ms=" + "9" * 5000,
        "/status/199",
        "/status/600",
        "/status/abc",
        "/status/٢٠٠",
        "/bytes/-1",
        "/bytes/4294967297",
        "/stream?chunks=10001",
        "/stream?ms=x",
        "/sse?events=-5",
    ],
)
def test_a_number_out_of_bounds_is_refused_in_words(
    client: FlaskClient, target: str
) -> None:
    answer = client.get(target)
    assert answer.status_code == 400
    assert "must be a whole number from" in answer.text
    assert answer.mimetype == "text/plain"


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    answer = client.get("/upload")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("length", [0, 1, PERIOD_BYTES, 1_000_000])
def test_bytes_have_the_length_and_content_promised(
    client: FlaskClient, length: int
) -> None:
    answer = client.get(f"/bytes/{length}")
    assert answer.headers["Content-Length"] == str(length)
    assert answer.data == b"".join(pieces(length))
    assert len(answer.data) == length


def test_a_lost_buffer_changes_the_content_after_it() -> None:
    """A hole of any usual buffer size cannot hide in the repetition."""
    content = b"".join(pieces(300_000))
    for hole in (1, 512, 4096, 8192, 1 << 16, 1 << 17):
        assert content[hole : hole + 1000] != content[:1000]


def test_the_most_bytes_can_be_promised_without_making_them(
    client: FlaskClient,
) -> None:
    answer = client.head("/bytes/4294967296")
    assert answer.headers["Content-Length"] == "4294967296"
    assert answer.data == b""


def test_stream_sends_its_chunks_one_by_one(client: FlaskClient) -> None:
    answer = client.get("/stream?chunks=3&ms=0")
    assert "Content-Length" not in answer.headers
    assert list(answer.response) == [
        f"Response from Backend 1, chunk {i} of 3\n".encode() for i in (1, 2, 3)
    ]


def test_sse_sends_events_of_one_data_line() -> None:
    answer = create_app("two\nlines").test_client().get("/sse?events=2&ms=0")
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.text == (
        "id: 1\ndata: two lines, event 1 of 2\n\n"
        "id: 2\ndata: two lines, event 2 of 2\n\n"
    )


def test_upload_answers_length_and_digest(client: FlaskClient) -> None:
    body = b"".join(pieces(600_000))
    answer = client.post("/upload", data=body)
    assert answer.json == {
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PURGE"])
def test_echo_takes_any_method(client: FlaskClient, method: str) -> None:
    answer = client.open("/echo", method=method, data="grüße")
    assert answer.json is not None
    assert answer.json["method"] == method
    assert answer.json["body"] == "grüße"
    assert answer.json["body_length"] == 7
    assert answer.json["body_sha256"] == hashlib.sha256("grüße".encode()).hexdigest()


@pytest.mark.parametrize("target", ["/echo?a=%20&a", "/echo/a%2Fb?x", "/echo//a//"])
def test_echo_tells_the_target_as_sent(client: FlaskClient, target: str) -> None:
    answer = client.get(target)
    assert answer.json is not None
    assert answer.json["target"] == target


def test_echo_gives_a_body_that_is_no_text_as_base64(client: FlaskClient) -> None:
    answer = client.post("/echo", data=b"\xff\x00")
    assert answer.json is not None
    assert (answer.json["body"], answer.json["body_base64"]) == (None, "/wA=")


def test_echo_is_not_every_path_that_begins_like_it(client: FlaskClient) -> None:
    assert client.get("/echoes").status_code == 404


def test_the_page_needs_nothing_so_a_browser_asks_for_nothing_else(
    client: FlaskClient,
) -> None:
    """Else Chromium's request for an icon takes the next backend's turn."""
    policy = client.get("/").headers["Content-Security-Policy"]
    assert policy == "default-src 'none'"


def test_the_icon_is_valid_and_may_be_cached(client: FlaskClient) -> None:
    """Else a browser's second request takes every other turn of a round robin."""
    answer = client.get("/favicon.ico")
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert answer.mimetype == "image/x-icon"
    kind, count = struct.unpack_from("<2xHH", answer.data)
    size, offset = struct.unpack_from("<II", answer.data, 14)
    assert (kind, count, offset + size) == (1, 1, len(answer.data))
