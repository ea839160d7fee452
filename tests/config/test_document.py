"""Settings handed from one process to another: nothing is lost on the way."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from lb.config import (
    KeyChange,
    changed_keys,
    from_document,
    load,
    load_again,
    state_path,
    to_document,
    with_kept,
)
from lb.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
backends = ["a=10.0.0.1:80", { name = "b", address = "10.0.0.2:80", weight = 3 }]
bind = ":81"
trusted_proxies = ["10.0.0.0/8"]
[health]
status = "200,204"
[limits]
head_bytes = "16KiB"
[sets.api-v2]
backends = ["c=10.0.0.3:80"]
health = { rise = 7 }
[[routes]]
path = "/api"
set = "api-v2"
"""


def document(**parts: object) -> bytes:
    whole = {"folder": "/", "file": None, "values": {}, "sets": [], "routes": None}
    return json.dumps(whole | parts).encode()


def written(folder: Path, text: str = TOML) -> Path:
    path = folder / "lb.toml"
    path.write_text(text)
    return path


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    """With their origins, and so with the place of their shared file."""
    file = written(tmp_path)
    settings = load({"LB_LOG__ACCESS": "off", "LB_WORKERS": "3"}, tmp_path)
    again = from_document(to_document(settings))
    assert again == settings
    assert again.file == file
    assert again.folder == tmp_path
    assert dict(again.origins) == dict(settings.origins)
    assert state_path(again) == state_path(settings)
    assert to_document(again) == to_document(settings)


def test_a_folder_whose_name_is_no_text_survives(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    file = written(folder)
    settings = load({}, folder)
    assert from_document(to_document(settings)).file == file


def test_an_edit_of_the_file_does_not_reach_a_document(tmp_path: Path) -> None:
    file = written(tmp_path)
    kept = to_document(load({}, tmp_path))
    file.write_text("nonsense")
    assert [b.name for b in from_document(kept).backends] == ["a", "b"]


def test_what_was_loaded_is_loaded_again_with_the_same_environment(
    tmp_path: Path,
) -> None:
    """Whatever the caller's is; only the file may have changed."""
    folder = tmp_path / "working"
    folder.mkdir()
    file = written(tmp_path)
    environ = {"LB_CONFIG": str(file), "LB_SETS__API_V2__HEALTH__FALL": "9"}
    old = load(environ | {"LB_LIMITS__HEAD_BYTES": "8KiB"}, folder)
    assert load_again(from_document(to_document(old))) == old
    written(tmp_path, TOML.replace(":81", ":82"))
    again = load_again(old)
    assert again.bind == "0.0.0.0:82"
    assert again.limits.head_bytes == 8192
    assert again.other_sets[0].health.fall == 9


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"folder": "/", "file": null, "values": [], "sets": [], "routes": null}',
        document(values={"workers": 1}),
        document(values={"later.key": [1, "x"]}),
        document(values={"workers": [0, "x"]}),
        document(values={"sets.a.later": [0, "x"]}),
        document(sets=["a"]),
        document(routes=[[{"set": "a"}], "x"]),
    ],
)
def test_what_is_no_document_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        from_document(data)


def test_keys_that_are_kept_are_as_they_were_with_their_origins(tmp_path: Path) -> None:
    written(tmp_path)
    old = load({"LB_STATE__PATH": "/tmp/one"}, tmp_path)
    written(tmp_path, TOML.replace(":81", ":82").replace('"10.0.0.0/8"', ""))
    new = load({}, tmp_path)
    kept = with_kept(new, old, ("bind", "state.path", "workers"))
    assert kept.bind == "0.0.0.0:81"
    assert kept.state.path == "/tmp/one"
    assert kept.origins["state.path"] == "LB_STATE__PATH"
    assert kept.trusted_proxies == ()
    assert with_kept(new, new, ("bind",)) == new


def test_changes_are_told_key_by_key_and_secrets_kept(tmp_path: Path) -> None:
    old = load({"LB_TIMEOUTS__CONNECT": "1", "LB_ADMIN__TOKEN": "hush"}, tmp_path)
    new = load(
        {"LB_LIMITS__HEAD_BYTES": "16KiB", "LB_BACKENDS": "x:1"}
        | {"LB_ADMIN__TOKEN": "hush-hush"},
        tmp_path,
    )
    assert changed_keys(old, new) == [
        KeyChange("timeouts.connect", "1", "3"),
        KeyChange("limits.head_bytes", "64KiB", "16KiB"),
        KeyChange("admin.token", "***", "another ***"),
    ]
    assert changed_keys(old, old) == []
    without = load({"LB_TIMEOUTS__CONNECT": "1"}, tmp_path)
    assert changed_keys(old, without) == [KeyChange("admin.token", "***", '""')]


def test_changes_of_sets_and_routes_are_told(tmp_path: Path) -> None:
    written(tmp_path)
    old = load({}, tmp_path)
    routes = '[[routes]]\npath = "/api"\nsplit = { api-v2 = 9, default = 1 }\n'
    text = TOML.partition("[[routes]]")[0].replace("rise = 7", "fall = 8") + routes
    written(tmp_path, text + '[[routes]]\nhost = "b"\nset = "default"\n')
    new = load({}, tmp_path)
    assert changed_keys(old, new) == [
        KeyChange("sets.api-v2.health.rise", "7", "2"),
        KeyChange("sets.api-v2.health.fall", "3", "8"),
        KeyChange("routes.*/api", "api-v2", "api-v2=9 default=1 by client"),
        KeyChange("routes.b/", "-", "default"),
    ]
    written(tmp_path, TOML.partition("[sets")[0])
    gone = changed_keys(old, load({}, tmp_path))
    assert gone == [
        KeyChange("sets.api-v2.health.rise", "7", "-"),
        KeyChange("routes.*/api", "api-v2", "-"),
    ]
