"""The dashboard's files: served as they are, kept but asked for again, nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lb.admin
from tests.admin.conftest import HOST

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.admin.conftest import Scene

STATIC = Path(lb.admin.__file__).parent / "static"
FILES = sorted(p.relative_to(STATIC).as_posix() for p in STATIC.rglob("*.*"))
TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "html": "text/html",
    "svg": "image/svg+xml",
}
MAX_MODULE_LINES = 400


def fetch(scene: Scene, path: str, method: str = "GET", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Host": HOST, **given}
    return scene.client.open(path, method=method, headers=headers, buffered=True)


class Page(HTMLParser):
    """What the page's markup names and has."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.forbidden: list[str] = []
        self.feed((STATIC / "index.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href"}:
                self.links.append(value or "")
            if name == "style" or name.startswith("on"):
                self.forbidden.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.forbidden.append(tag)


def test_the_page_is_at_the_root(scene: Scene) -> None:
    answer = fetch(scene, "/")
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.data == (STATIC / "index.html").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_the_type_that_browsers_insist_on(
    scene: Scene, name: str
) -> None:
    """With nosniff a module of another type is not run."""
    answer = fetch(scene, f"/static/{name}")
    assert answer.status_code == 200
    assert answer.mimetype == TYPES[name.rpartition(".")[2]]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/static/css/base.css"])
def test_files_are_kept_and_asked_for_again(scene: Scene, path: str) -> None:
    first = fetch(scene, path)
    assert first.headers["Cache-Control"] == "no-cache"
    again = fetch(scene, path, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = fetch(scene, path, If_None_Match='"another"')
    assert (other.status_code, other.data) == (200, first.data)


@pytest.mark.parametrize("path", ["/", "/static/js/main.js"])
def test_head_is_get_without_the_body(scene: Scene, path: str) -> None:
    get, head = fetch(scene, path), fetch(scene, path, "HEAD")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", ["/", "/static/js/main.js"])
def test_nothing_runs_but_what_lies_here(scene: Scene, path: str) -> None:
    policy = fetch(scene, path).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static",
        "/static/nothing.js",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/js/..%2f..%2f..%2fapp.py",
        "/index.html",
    ],
)
def test_what_is_not_a_file_of_the_page_is_not_there(scene: Scene, path: str) -> None:
    answer = fetch(scene, path)
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


def test_nothing_is_posted_to_the_page(scene: Scene) -> None:
    assert fetch(scene, "/", "POST").status_code == 405


def test_it_is_for_our_names_only(scene: Scene) -> None:
    for path in ("/", "/static/js/main.js"):
        answer = scene.client.get(path, headers={"Host": "evil.test"})
        assert answer.status_code == 421


def test_the_markup_has_nothing_that_the_policy_refuses() -> None:
    page = Page()
    assert page.forbidden == []
    assert len(page.ids) == len(set(page.ids))


def test_everything_the_page_names_is_there(scene: Scene) -> None:
    for link in Page().links:
        if not link.startswith("#"):
            assert link.startswith("/"), "nothing comes from elsewhere"
            assert fetch(scene, link).status_code == 200, link
        else:
            assert link[1:] in Page().ids


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_modules_import_files_that_exist_and_ask_for_ids_that_exist(name: str) -> None:
    text = (STATIC / name).read_text()
    for imported in re.findall(r'from "([^"]+)"', text):
        assert imported.startswith("./")
        assert ((STATIC / name).parent / imported).is_file(), imported
    for asked in re.findall(r'byId\("([^"]+)"\)', text):
        assert asked in Page().ids, asked


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_modules_are_as_python_ones_are(name: str) -> None:
    """One idea each, said first; of a size to read; and text is never markup."""
    text = (STATIC / name).read_text()
    assert text.startswith("// @ts-check\n/**\n * ")
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    markup = r"\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\("
    assert not re.search(markup, text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".css")])
def test_styles_load_nothing(name: str) -> None:
    assert not re.search(r"url\(|@import", (STATIC / name).read_text())
