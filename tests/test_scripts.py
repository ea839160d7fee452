"""`scripts/chromium.sh`: installs where it may, and never ends the tests' run."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = ("bash", "grep", "timeout", "chmod", "cat")
CHROMIUM = "#!/bin/bash\necho Chromium 1.2.3\n"
STUB = "#!/bin/bash\necho install the snap >&2\nexit 1\n"
APT_GET = """#!/bin/bash
echo "$@" >>"{log}"
[[ "$*" != *" install "* ]] || {{ echo '{chromium}' >"{bin}/chromium"; chmod +x "{bin}/chromium"; }}
exit {status}
"""


class Machine:
    """A PATH of its own: the tools that scripts need, and what a test puts there."""

    def __init__(self, folder: Path, *, uid: int = 0) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self._log = folder / "log"
        for name in TOOLS:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        self.put("id", f"#!/bin/bash\necho {uid}\n")

    def put(self, name: str, text: str) -> None:
        """A program of that name."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def put_apt_get(self, *, brings: str, status: int = 0) -> None:
        """One that installs such a chromium, and ends with that status."""
        text = APT_GET.format(
            log=self._log, bin=self.bin, chromium=brings, status=status
        )
        self.put("apt-get", text)

    def asked(self) -> list[str]:
        """What apt-get was asked for: its commands."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [word for x in lines for word in x.split() if word in COMMANDS]

    def run(self) -> subprocess.CompletedProcess[str]:
        """`use_chromium`, as scripts/test.sh has it."""
        script = "set -euo pipefail; source scripts/chromium.sh; use_chromium; echo on"
        return subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            timeout=30,
        )


COMMANDS = ("update", "install")


def test_nothing_is_installed_where_there_is_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put("google-chrome", CHROMIUM.replace("Chromium", "Google Chrome"))
    machine.put_apt_get(brings=CHROMIUM)
    done = machine.run()
    assert (done.stdout, done.stderr, machine.asked()) == ("on\n", "", [])


def test_root_gets_it_from_the_packages(tmp_path: Path) -> None:
    """With new lists: on a new machine there are none."""
    machine = Machine(tmp_path)
    machine.put_apt_get(brings=CHROMIUM)
    done = machine.run()
    assert machine.asked() == ["update", "install"]
    assert done.stdout.splitlines()[-1] == "on"
    assert done.stderr == ""


@pytest.mark.parametrize(("brings", "status"), [(STUB, 0), (CHROMIUM[:2], 100)])
def test_whatever_fails_is_said_and_the_run_goes_on(
    tmp_path: Path, brings: str, status: int
) -> None:
    """A package that only asks for a snap is none; no network, no package."""
    machine = Machine(tmp_path)
    machine.put_apt_get(brings=brings, status=status)
    done = machine.run()
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "on"
    assert "NO CHROMIUM" in done.stderr


@pytest.mark.parametrize("has_apt", [True, False])
def test_nothing_is_installed_without_the_right_to(
    tmp_path: Path, has_apt: bool
) -> None:
    machine = Machine(tmp_path, uid=1000 if has_apt else 0)
    if has_apt:
        machine.put_apt_get(brings=CHROMIUM)
    done = machine.run()
    assert (done.returncode, done.stdout, machine.asked()) == (0, "on\n", [])
    assert "NO CHROMIUM" in done.stderr
