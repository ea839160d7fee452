"""The screen of `lb top`, by its keys; and the command in a real terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from lb.cli.reach import Reach
from lb.cli.top.board import Board
from lb.cli.top.columns import Order
from lb.cli.top.feed import Feed
from lb.cli.top.screen import Top
from lb.cli.top.table import Table
from lb.model import Verdict, Wish
from lb.shm import Leadership, VerdictWriter
from tests.cli.conftest import Scene, admin_of
from tests.processes import ROOT
from tests.waiting import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from textual.pilot import Pilot


class Seen:
    """The screen of a running `lb top`."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self.pilot = pilot
        self.app = pilot.app

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    def line(self, name: str) -> str:
        return str(self.app.query_one(f"#{name}").render())

    def rows(self) -> list[str]:
        """The lines in sight that are not empty."""
        table = self.app.query_one(Table)
        lines = (table.render_line(y).text for y in range(table.size.height))
        return [line.rstrip() for line in lines if line.strip()]

    def names(self) -> list[str]:
        return [row.split()[0] for row in self.rows()]

    def question(self) -> str:
        """What is asked over the screen, empty if nothing is."""
        screens = self.app.screen_stack
        return str(screens[-1].query_one("Static").render()) if len(screens) > 1 else ""

    async def until(self, condition: Callable[[], object], what: str) -> None:
        began = monotonic()
        while not condition():
            assert monotonic() - began < DEADLINE_S, f"waited for {what}: {self.rows()}"
            await self.pilot.pause(0.02)


@asynccontextmanager
async def top(scene: Scene, width: int = 80, height: int = 24) -> AsyncIterator[Seen]:
    reach = Reach(scene.url)
    with reach.opened() as operator:
        feed = Feed(operator, is_far=bool(scene.url))
        feed.begin()
        app = Top(reach, feed, Board(), Order(), wanted="")
        async with app.run_test(size=(width, height)) as pilot:
            seen = Seen(pilot)
            await seen.until(seen.rows, "rows")
            yield seen
        feed.end()
    wait_for(lambda: not feeds(), "the thread that reads")


def feeds() -> list[threading.Thread]:
    """Those that are still about to end: one that reads a stream is left alone."""
    return [each for each in threading.enumerate() if each.name in ("feed", "deed")]


Story = "Callable[[Scene, Seen], Coroutine[Any, Any, None]]"


def play(scene: Scene, story: Story, **size: int) -> None:  # type: ignore[valid-type]
    async def run() -> None:
        async with top(scene, **size) as seen:
            await story(scene, seen)  # type: ignore[misc]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LB_STATE__PATH", str(scene.path))
        asyncio.run(run())


def wishes(scene: Scene) -> dict[str, Wish]:
    return {row.backend.name: row.wish for row in scene.process.rows()}


def test_it_shows_a_row_for_each_backend(scene: Scene) -> None:
    async def story(scene: Scene, seen: Seen) -> None:
        assert seen.names() == ["web1", "web2"]
        assert seen.line("head").split()[:3] == ["▼backend", "state", "req/s"]
        assert "workers: 1, all agree" in seen.line("processes")
        assert (scene.url or str(scene.path)) in seen.line("sum")
        assert seen.line("detail").startswith("web1 (127.0.0.1:1), weight 1: UNKNOWN")
        for line in (*seen.rows(), seen.line("head"), seen.line("keys")):
            assert len(line) <= 80

    play(scene, story, width=80)


def test_figures_change_as_they_do(scene: Scene) -> None:
    async def story(scene: Scene, seen: Seen) -> None:
        await seen.until(lambda: " 0 " in seen.rows()[0], "a rate")
        for _ in range(20):
            scene.request("web1", took_s=0.5, status=502)
        await seen.until(lambda: "· 0 err/s" not in seen.line("sum"), "the errors")
        # A histogram's bucket is within 5 % of the time that was counted in it.
        slow = re.compile(r" (4[789]|5[012])\d ")
        await seen.until(lambda: slow.search(seen.rows()[0]), "web1's latency")

    play(scene, story)


def test_a_key_drains_and_brings_back(scene: Scene) -> None:
    async def story(scene: Scene, seen: Seen) -> None:
        await seen.press("down", "d")
        await seen.until(lambda: wishes(scene)["web2"] is Wish.DRAIN, "the drain")
        await seen.until(lambda: "drain; was ready" in seen.line("detail"), "the word")
        scene.slot.see(scene.process.generation())
        await seen.until(lambda: " drain " in seen.rows()[1], "the row")
        await seen.press("m")
        await seen.until(lambda: wishes(scene)["web2"] is Wish.MAINT, "the maint")
        await seen.until(lambda: "maint; was drain" in seen.line("detail"), "the word")
        await seen.press("r")
        await seen.until(lambda: wishes(scene)["web2"] is Wish.READY, "the way back")

    play(scene, story)


def test_the_last_available_one_is_asked_about(scene: Scene) -> None:
    async def story(scene: Scene, seen: Seen) -> None:
        scene.by_file("drain", "web2")
        await seen.until(lambda: " drain " in seen.rows()[1], "the drain")
        await seen.press("d")
        await seen.until(seen.question, "a question")
        assert "web1 is the last available backend" in seen.question()
        await seen.press("enter")
        assert seen.question()
        await seen.press("n")
        await seen.until(lambda: not seen.question(), "its end")
        assert wishes(scene)["web1"] is Wish.READY
        await seen.press("m")
        await seen.until(seen.question, "a question")
        await seen.press("y")
        await seen.until(lambda: wishes(scene)["web1"] is Wish.MAINT, "the maint")

    play(scene, story)


def test_rows_are_sorted_and_the_selection_stays_with_its_backend(scene: Scene) -> None:
    async def story(scene: Scene, seen: Seen) -> None:
        assert seen.line("detail").startswith("web1")
        await seen.press("i")
        await seen.until(lambda: seen.names() == ["web2", "web1"], "the other way")
        assert seen.line("detail").startswith("web1")
        assert "▲backend" in seen.line("head")
        await seen.press("S")
        await seen.press("s")
        assert "▼backend" in seen.line("head")

    play(scene, story)


def test_rows_are_filtered_as_one_types(scene: Scene) -> None:
    async def story(scene: Scene, seen: Seen) -> None:
        await seen.press("slash", *"eb2")
        await seen.until(lambda: seen.names() == ["web2"], "the filter")
        await seen.press("d")  # it is typed, and drains nothing
        await seen.until(lambda: not seen.rows(), "none")
        assert seen.line("detail") == "no backend has 'eb2d'"
        assert set(wishes(scene).values()) == {Wish.READY}
        await seen.press("escape")
        await seen.until(lambda: seen.names() == ["web1", "web2"], "all")

    play(scene, story)


def test_help_is_told_and_closed(scene: Scene) -> None:
    async def story(_scene: Scene, seen: Seen) -> None:
        await seen.press("question_mark")
        await seen.until(lambda: "maint: the same" in seen.question(), "the help")
        await seen.press("escape")
        await seen.until(lambda: not seen.question(), "its end")

    play(scene, story)


def test_two_thousand_backends_are_looked_through(tmp_path: Path) -> None:
    """Only what is in sight is drawn: a key is answered at once."""
    scene = Scene(tmp_path / "state", count=2000)

    async def story(scene: Scene, seen: Seen) -> None:
        assert len(seen.rows()) == 18
        began = monotonic()
        await seen.press("end")
        await seen.until(lambda: seen.names()[-1] == "web999", "the last")
        await seen.press("home")
        await seen.until(lambda: seen.names()[0] == "web1", "the first")
        assert monotonic() - began < 3.0
        await seen.press("pagedown")
        assert seen.line("detail").startswith(seen.names()[-1])

    play(scene, story)
    scene.close()


def test_old_figures_are_called_old(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "state")

    async def story(scene: Scene, seen: Seen) -> None:
        stale = seen.app.query_one("#stale")
        assert not stale.display
        scene.process.close()
        await seen.until(lambda: stale.display, "the word")
        assert "the balancer has ended" in seen.line("stale")
        await seen.press("d")
        await seen.until(seen.question, "a question: the figures are old")
        await seen.press("n")

    play(scene, story)


def test_a_lost_admin_process_is_told_and_found_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "state")

    async def run() -> None:
        with admin_of(scene.path) as url:
            scene.url, port = url, int(url.rpartition(":")[2])
            context = top(scene)
            seen = await context.__aenter__()
        stale = seen.app.query_one("#stale")
        await seen.until(lambda: "refused" in seen.line("stale"), "the trouble")
        assert stale.display
        with admin_of(scene.path, port=port):
            await seen.until(lambda: not stale.display, "its end")
            await context.__aexit__(None, None, None)

    asyncio.run(run())
    scene.close()


def test_what_a_probe_said_does_not_steer_the_terminal(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "state")
    leadership = Leadership(scene.process)
    leadership.try_acquire()
    pen = VerdictWriter(scene.process, leadership)
    pen.set_verdict(0, 1, Verdict.DOWN, reason="\x1b]0;own\x07[red]x[/red]", at=1000.0)

    async def story(_scene: Scene, seen: Seen) -> None:
        await seen.until(lambda: "DOWN" in seen.rows()[0], "the verdict")
        await seen.until(lambda: "[red]x[/red]" in seen.line("detail"), "the reason")
        assert all(row.isprintable() for row in (*seen.rows(), seen.line("detail")))

    play(scene, story, width=160)
    leadership.release()
    scene.close()


class Terminal:
    """A real pseudo-terminal with `lb top` in it."""

    def __init__(self, scene: Scene, *arguments: str) -> None:
        self._main, self._other = pty.openpty()
        termios.tcsetwinsize(self._other, (24, 80))
        self._before = termios.tcgetattr(self._other)
        self.written = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lb", "top", *arguments],
            cwd=ROOT,
            env=os.environ | {"LB_STATE__PATH": str(scene.path), "TERM": "xterm-256color"},
            stdin=self._other, stdout=self._other, stderr=self._other,
            start_new_session=True,
        )  # fmt: skip

    def has(self, text: bytes) -> bool:
        while select.select([self._main], [], [], 0)[0]:
            self.written += os.read(self._main, 65536)
        return text in self.written

    def type(self, keys: bytes) -> None:
        os.write(self._main, keys)

    def ends(self) -> int:
        """Its exit status; it has left the terminal as it was."""
        wait_for(
            lambda: self.has(b"\0never") or self.process.poll() is not None, "its end"
        )
        self.has(b"")
        assert termios.tcgetattr(self._other) == self._before
        assert self.written.rindex(b"\x1b[?1049l") > self.written.rindex(b"\x1b[?1049h")
        assert self.written.rindex(b"\x1b[?25h") > self.written.rindex(b"\x1b[?25l")
        for mode in (b"1000", b"1003", b"1006"):
            on, off = b"\x1b[?" + mode + b"h", b"\x1b[?" + mode + b"l"
            assert self.written.rfind(off) >= self.written.rfind(on)
        assert self.process.returncode is not None
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
        os.close(self._main)
        os.close(self._other)


@pytest.mark.parametrize(
    ("keys", "number", "status"),
    [
        (b"q", None, 0),
        (b"\x03", None, 130),
        (b"d", signal.SIGTERM, 143),
        (b"/", signal.SIGHUP, 129),
        (b"", signal.SIGINT, 130),
    ],
)
def test_the_terminal_is_left_as_it_was(
    tmp_path: Path, keys: bytes, number: int | None, status: int
) -> None:
    scene = Scene(tmp_path / "state")
    terminal = Terminal(scene)
    try:
        wait_for(lambda: terminal.has(b"web2"), "the rows")
        terminal.type(keys)
        if number is not None:
            terminal.process.send_signal(number)
        assert terminal.ends() == status
        assert b"Traceback" not in terminal.written
    finally:
        terminal.close()
        scene.close()


def test_what_cannot_begin_never_takes_the_terminal(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "state")
    scene.close()
    terminal = Terminal(scene, "--url", "http://127.0.0.1:1")
    try:
        assert terminal.process.wait(DEADLINE_S) == 2
        assert terminal.has(b"cannot ask http://127.0.0.1:1: Connection refused")
        assert b"\x1b[" not in terminal.written
    finally:
        terminal.close()


def test_without_a_terminal_it_prints_once_or_says_so(scene: Scene) -> None:
    import json

    refused = scene.lb("top")
    assert refused.exit_code == 2
    assert "use --once or --json" in refused.stderr
    shown = scene.lb("top", "--once", "--sort", "name", "--reverse")
    lines = shown.stdout.splitlines()
    assert (shown.exit_code, len(lines)) == (0, 5)
    assert [line.split()[0] for line in lines[2:]] == ["backend", "web2", "web1"]
    told = json.loads(scene.lb("top", "--json", "--filter", "web2").stdout)
    assert [each["name"] for each in told["backends"]] == ["web2"]
    assert told["requests_s"] == 0.0
    scene.by_file("maint", "--all")
    assert scene.lb("top", "--once").exit_code == 1
