"""gevent's patch costs no more than it must, and does all that it ever did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

PATCH = """
import sys
from importlib import metadata
from gevent import monkey
from lb import patching

asked, read = metadata.entry_points, []
def note(event, arguments):
    if event == "open" and str(arguments[0]).endswith("entry_points.txt"):
        read.append(arguments[0])
sys.addaudithook(note)
patching.prepare()
assert not monkey.saved, "it must not patch yet"
read.clear()
with patching.cheaply():
    monkey.patch_all()
assert metadata.entry_points is asked
print("read again:", len(read))

import socket, threading, time
for name in ("threading.Event", "socket.socket", "time.sleep"):
    assert monkey.is_object_patched(*name.split(".")), name
event = threading.Event()
threading.Thread(target=event.set).start()
assert event.wait(5)
"""

PLUGIN = "[gevent.plugins.monkey.will_patch_all]\nours = our_plugin:told\n"


def run_patch(*folders: Path) -> list[str]:
    """What that program says when it also finds the distributions in `folders`."""
    path = f"import sys; sys.path[:0] = {[str(ROOT), *map(str, folders)]!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", path + PATCH],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_what_was_read_before_the_fork_is_not_read_again() -> None:
    """Else 25 times for each worker: 1,700 files where 70 distributions are."""
    assert run_patch() == ["read again: 0"]


def test_plugins_of_gevents_patch_are_called_as_ever(tmp_path: Path) -> None:
    info = tmp_path / "ours-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(PLUGIN)
    (tmp_path / "our_plugin.py").write_text(
        "def told(event): print('told of', type(event).__name__)\n"
    )
    assert run_patch(tmp_path) == ["told of GeventWillPatchAllEvent", "read again: 0"]
