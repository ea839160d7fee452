"""The chosen shared file: the same for one bundle, another for the next."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from lb.config import load, state_path, statefile


def chosen(folder: Path, environ: dict[str, str] | None = None) -> Path:
    return state_path(load(environ or {}, folder))


def test_the_name_tells_user_and_configuration(tmp_path: Path) -> None:
    """In memory where that is possible."""
    path = chosen(tmp_path)
    assert re.fullmatch(rf"evenhand-{os.getuid()}-[0-9a-f]{{12}}\.state", path.name)
    shm = Path("/dev/shm")
    usable = shm.is_dir() and os.access(shm, os.W_OK | os.X_OK)
    assert path.parent == (shm if usable else Path(tempfile.gettempdir()))


def test_without_a_memory_folder_it_is_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems that have no /dev/shm."""
    monkeypatch.setattr(statefile, "MEMORY_FOLDER", tmp_path / "absent")
    assert chosen(tmp_path).parent == Path(tempfile.gettempdir())


def test_editing_the_file_keeps_the_path(tmp_path: Path) -> None:
    """A new list of backends finds the health verdicts of the old."""
    file = tmp_path / "lb.toml"
    file.write_text("backends = ['a:1']")
    before = chosen(tmp_path)
    file.write_text("backends = ['a:1', 'b:1']\nworkers = 1")
    assert chosen(tmp_path) == before


def test_every_process_of_a_bundle_chooses_alike(tmp_path: Path) -> None:
    """By link, relative or absolute name, it is the same file."""
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "lb.toml").write_text("")
    (tmp_path / "link").symlink_to(folder)
    paths = {
        chosen(folder),
        chosen(tmp_path / "link"),
        chosen(tmp_path, {"LB_CONFIG": "link/../real/lb.toml"}),
        chosen(tmp_path, {"LB_CONFIG": str(folder / "lb.toml")}),
        chosen(folder, {"LB_WORKERS": "3", "LB_LOG__ACCESS": "off"}),
        chosen(folder, {"LB_BIND": ":8080"}),
    }
    assert len(paths) == 1


def test_bundles_that_differ_do_not_meet(tmp_path: Path) -> None:
    """Another folder, address, or backends by environment: another file."""
    (tmp_path / "other").mkdir()
    paths = [
        chosen(tmp_path),
        chosen(tmp_path / "other"),
        chosen(tmp_path, {"LB_BIND": ":8081"}),
        chosen(tmp_path, {"LB_BACKENDS": "127.0.0.1:9001,127.0.0.1:9002"}),
        chosen(tmp_path, {"LB_BACKENDS": "127.0.0.1:9002,127.0.0.1:9001"}),
    ]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("given", ["run/lb.state", "/run/lb.state"])
def test_a_given_path_is_used_from_the_working_folder(
    tmp_path: Path, given: str
) -> None:
    """Made absolute, so that processes elsewhere find it too."""
    assert chosen(tmp_path, {"LB_STATE__PATH": given}) == tmp_path / given
