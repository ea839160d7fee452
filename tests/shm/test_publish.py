"""Making the file: every row of the table in `lb.shm.publish`, and races."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from lb.errors import StateFileError
from lb.model import Backend, Verdict
from lb.shm import Leadership, SharedFile, VerdictWriter, publish, retire
from lb.shm.layout import Head
from tests.shm.children import Child, backends, until

HOLD_SLOT = """
import sys
from lb.shm import SharedFile
file = SharedFile.open(sys.argv[1])
slot = file.take_slot()
print(slot.index, flush=True)
sys.stdin.readline()
"""

RACE = """
import sys
from lb.shm import SharedFile, publish
from tests.shm.children import backends
print("ready", flush=True)
for _ in sys.stdin:
    publish(sys.argv[1], backends(9001, 9002))
    with SharedFile.open(sys.argv[1]) as file:
        print(len(file.backends()), flush=True)
"""


def names(path: Path) -> list[str]:
    with SharedFile.open(path) as file:
        return [state.backend.name for state in file.backends()]


def inode(path: Path) -> int:
    return path.lstat().st_ino


def decide(path: Path) -> None:
    """Leave a verdict in the file, as a run that ended."""
    with SharedFile.open(path) as file:
        leadership = Leadership(file)
        assert leadership.try_acquire()
        state = file.backends()[0]
        VerdictWriter(file, leadership).set_verdict(
            state.row, state.id, Verdict.DOWN, reason="gone", at=1.0
        )


def damage(path: Path, how: str) -> None:
    """Make a valid file an invalid one."""
    if how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(b"\x7f" * 5000)
    elif how == "truncated":
        os.truncate(path, path.stat().st_size - 8)
    elif how == "version":
        with path.open("r+b") as file:
            file.seek(8 * Head.MAJOR)
            file.write((99).to_bytes(8, sys.byteorder))


DAMAGES = ["empty", "garbage", "truncated", "version"]


def test_a_new_file_is_private_and_alone(path: Path) -> None:
    """Mode 0600, no temporary file left, all verdicts open."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    with SharedFile.open(path) as file:
        assert [state.verdict for state in file.backends()] == [Verdict.UNKNOWN] * 2
        assert file.generation() == 1


def test_what_anybody_may_write_has_its_space(path: Path, file: SharedFile) -> None:
    """A hole could not be filled when the disk is full: SIGBUS in a worker."""
    assert path.stat().st_blocks * 512 >= file.geometry.bodies_at * 8


def test_a_file_that_nobody_used_yet_is_left(path: Path) -> None:
    """Processes that start together publish the same thing and keep one file."""
    before = inode(path)
    publish(path, backends(9002, 9001))
    assert inode(path) == before


def test_verdicts_of_an_earlier_run_do_not_survive(path: Path) -> None:
    """Nobody uses the file, so it is made anew, also for the same backends."""
    decide(path)
    publish(path, backends(9001, 9002))
    with SharedFile.open(path) as file:
        assert file.backends()[0].verdict is Verdict.UNKNOWN


def test_a_file_without_users_gets_other_backends(path: Path) -> None:
    """Whatever was in it."""
    publish(path, backends(9003))
    assert names(path) == ["web9003"]


@pytest.mark.parametrize("how", DAMAGES)
def test_an_invalid_file_is_not_opened_but_made_anew(path: Path, how: str) -> None:
    """Refused by readers, rebuilt by the publisher."""
    damage(path, how)
    with pytest.raises(StateFileError, match=str(path)):
        SharedFile.open(path)
    publish(path, backends(9003))
    assert names(path) == ["web9003"]


def test_another_versions_file_in_use_is_refused(path: Path) -> None:
    """Its processes rely on it; where the locks are is the same in every version."""
    with Child(HOLD_SLOT, path) as child:
        child.line()
        damage(path, "version")
        with pytest.raises(StateFileError, match="living processes use it"):
            publish(path, backends(9001, 9002))


def test_in_use_with_the_same_backends_is_fine(path: Path, file: SharedFile) -> None:
    """A second starter of the same balancer changes nothing."""
    file.take_slot()
    publish(path, backends(9002, 9001))
    assert file.is_current()
    assert file.generation() == 1


def test_in_use_with_other_backends_is_refused_by_pid(path: Path) -> None:
    """The message says who uses it and what to do."""
    with Child(HOLD_SLOT, path) as child:
        child.line()
        expected = f"in use by process {child.pid} with other backends.*state.path"
        with pytest.raises(StateFileError, match=expected):
            publish(path, backends(9001))
        assert names(path) == ["web9001", "web9002"]


def test_replace_changes_rows_under_living_users(path: Path, file: SharedFile) -> None:
    """Who stays keeps row and id; the users see it by the generation."""
    file.take_slot()
    before = {state.backend.name: (state.row, state.id) for state in file.backends()}
    publish(path, backends(9002, 9003), replace=True)
    after = {state.backend.name: (state.row, state.id) for state in file.backends()}
    assert file.is_current()
    assert file.generation() == 2
    assert after == {"web9002": before["web9002"], "web9003": (2, 3)}


def test_replace_changes_a_weight(path: Path, file: SharedFile) -> None:
    """A weight is a difference, but not another backend."""
    file.take_slot()
    one, two = backends(9001, 9002)
    heavier = Backend(one.name, one.address, weight=5)
    publish(path, [heavier, two], replace=True)
    assert [state.backend for state in file.backends()] == [heavier, two]
    assert [state.id for state in file.backends()] == [1, 2]


def test_a_claim_to_lead_counts_as_use(path: Path, file: SharedFile) -> None:
    """A health process that does not lead yet must not lose its file."""
    Leadership(file, preferred=True)
    with pytest.raises(StateFileError, match="in use by another process"):
        publish(path, backends(9009))


def test_use_that_ended_by_death_is_no_use(path: Path) -> None:
    """The kernel frees a dead process's locks."""
    with Child(HOLD_SLOT, path) as child:
        child.line()
    publish(path, backends(9005))
    assert names(path) == ["web9005"]


def test_a_holder_of_a_replaced_file_learns_it(path: Path, file: SharedFile) -> None:
    """It cannot join a file that no newcomer will ever see."""
    assert file.is_current()
    publish(path, backends(9007))
    assert not file.is_current()
    for join in (file.take_slot, lambda: Leadership(file, preferred=True)):
        with pytest.raises(StateFileError, match="open it again"):
            join()


def test_a_link_is_not_followed(path: Path) -> None:
    """Else somebody could make us write elsewhere."""
    link = path.with_name("link")
    link.symlink_to(path)
    for use in (lambda: publish(link, backends(9001)), lambda: SharedFile.open(link)):
        with pytest.raises(StateFileError, match="symbolic link"):
            use()


def test_a_dangling_link_is_not_filled(path: Path) -> None:
    """A link without a target is a link too."""
    link = path.with_name("link")
    link.symlink_to(path.with_name("nowhere"))
    with pytest.raises(StateFileError, match="symbolic link"):
        publish(link, backends(9001))


@pytest.mark.parametrize(
    ("make", "message"),
    [(Path.mkdir, "folder"), (os.mkfifo, "not a regular file")],
)
def test_what_is_no_file_is_refused(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    """A folder or a pipe is left as it is."""
    make(tmp_path / "thing")
    with pytest.raises(StateFileError, match=message):
        publish(tmp_path / "thing", backends(9001))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """Folders are not made: a typing error would hide there."""
    with pytest.raises(StateFileError, match="No such file or directory in its folder"):
        publish(tmp_path / "no" / "state", backends(9001))


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    """Also root cannot write there."""
    (tmp_path / "file").touch()
    with pytest.raises(StateFileError, match="part of its path is not a folder"):
        publish(tmp_path / "file" / "state", backends(9001))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    """The message tells both ways out."""
    tmp_path.chmod(0o500)
    with pytest.raises(StateFileError, match="make that folder writable"):
        publish(tmp_path / "state", backends(9001))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_anothers_file_is_refused(path: Path) -> None:
    """Both users are named; nothing is rebuilt."""
    os.chown(path, 12345, -1)
    with pytest.raises(StateFileError, match="belongs to user 12345"):
        publish(path, backends(9001, 9002))
    with pytest.raises(StateFileError, match="belongs to user 12345"):
        SharedFile.open(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_device_is_refused() -> None:
    """What is no regular file is not mapped."""
    with pytest.raises(StateFileError):
        publish("/dev/full", backends(9001))


def test_a_missing_file_is_not_opened(tmp_path: Path) -> None:
    """Only `publish` makes files."""
    with pytest.raises(StateFileError, match="does not exist"):
        SharedFile.open(tmp_path / "state")


def test_a_file_that_nobody_uses_can_be_retired(path: Path) -> None:
    assert retire(path)
    assert not path.exists()
    assert retire(path), "it is gone already"


def test_a_file_in_use_is_not_retired(path: Path) -> None:
    """By a process of another kind, say: the checker's."""
    with SharedFile.open(path) as file:
        leadership = Leadership(file)
        assert leadership.try_acquire()
        assert not retire(path)
        assert path.exists()


def test_what_is_not_ours_is_not_retired(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    assert not retire(link)
    assert link.is_symlink()


def test_publishers_at_once_all_end_well(tmp_path: Path) -> None:
    """Each finds a whole file; none leaves anything behind."""
    path = tmp_path / "state"
    with Child(RACE, path) as one, Child(RACE, path) as two:
        pair = (one, two)
        assert [child.line() for child in pair] == ["ready"] * 2
        for turn in range(60):
            # In turns: no file, a file of another run, and a damaged file.
            if turn % 3 == 0:
                path.unlink(missing_ok=True)
            elif turn % 3 == 1:
                decide(path)
            else:
                damage(path, "version")
            for child in pair:
                child.say("go")
            assert [child.line() for child in pair] == ["2", "2"]
            assert list(tmp_path.iterdir()) == [path]


def test_a_publisher_waits_for_a_busy_one(path: Path, file: SharedFile) -> None:
    """And then finds the file that the other one made."""
    from lb.shm.layout import LOCK_BUILDER
    from lb.shm.locks import held

    with Child(RACE, path) as child:
        child.line()
        with held(file.locks, LOCK_BUILDER):
            child.say("go")
            publish_elsewhere = path.with_name("other")
            publish(publish_elsewhere, backends(9001, 9002, 9003))
            publish_elsewhere.replace(path)
        assert child.line() == "2"
        until(lambda: names(path) == ["web9001", "web9002"], "publishing", 5)
