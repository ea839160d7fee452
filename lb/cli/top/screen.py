"""The screen of `lb top`: head, rows, the selected one in full, and keys.

It looks at its feed a few times a second. What it shows is dimmed, and says so in words
with how old it is, as soon as no snapshot comes any more.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from lb.cli.group import INTERRUPTED
from lb.cli.printing import plain
from lb.cli.top.columns import arranged
from lb.cli.top.feed import Deeds
from lb.cli.top.question import Question
from lb.cli.top.table import Table
from lb.cli.top.words import HELP, KEYS, detail, doubt, headline, processes, stale
from lb.model import Wish

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from lb.cli.reach import Reach
    from lb.cli.top.board import Board
    from lb.cli.top.columns import Order
    from lb.cli.top.feed import Feed

LOOK_S: Final = 0.2
SAID_S: Final = 8.0
"""How long the answer to a change is shown."""


class Top(App[int]):
    """The application; what `run` returns is the exit status."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    Static { height: 1; width: 100%; text-wrap: nowrap; text-overflow: ellipsis; }
    #stale { display: none; text-style: bold reverse; }
    #head { text-style: bold underline; }
    Table { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    #detail { height: 2; text-wrap: wrap; text-style: dim; }
    #filter { display: none; border: none; height: 1; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave(0)", show=False),
        Binding("ctrl+c", f"leave({INTERRUPTED})", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
        Binding("s", "sort(1)", show=False),
        Binding("S", "sort(-1)", show=False),
        Binding("i", "turn", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "clear", show=False),
        Binding("d", "wish('drain')", show=False),
        Binding("m", "wish('maint')", show=False),
        Binding("r", "wish('ready')", show=False),
        Binding("question_mark,h", "explain", show=False),
    ]

    def __init__(
        self, reach: Reach, feed: Feed, board: Board, order: Order, *, wanted: str
    ) -> None:
        super().__init__(ansi_color=True)
        self._feed = feed
        self._board = board
        self._order = order
        self._wanted = wanted
        self._table = Table()
        self._deeds = Deeds(reach)
        self._where = reach.url
        self._seen = -1
        self._was_stale = False
        self._said = ""
        self._said_looks = 0

    def compose(self) -> ComposeResult:
        """See Textual."""
        for name in ("sum", "processes", "stale", "head"):
            yield Static(id=name, markup=False)
        yield self._table
        yield Static(id="detail", markup=False)
        yield Input(self._wanted, id="filter", placeholder="filter", compact=True)
        yield Static(KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin to look, and leave in order when a signal says so."""
        self.theme = "ansi-dark"
        self._table.focus()
        self.set_interval(LOOK_S, self._look)
        self.call_after_refresh(self._look)
        loop = self._loop
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if loop is not None:
                loop.add_signal_handler(number, self.exit, 128 + number)

    def _look(self) -> None:
        """Show what is new, and what the time has made of what is not."""
        feed = self._feed
        feed.check()
        if feed.count != self._seen:
            self._seen = feed.count
            if feed.told is not None:
                self._board.take(feed.told)
            self._show()
        if feed.is_stale:
            self._tell("stale", stale(feed.age_s, feed.trouble))
        if feed.is_stale != self._was_stale:
            self._was_stale = feed.is_stale
            self.query("#stale").set(display=feed.is_stale)
            self._show()
        self._look_at_deeds()

    def _look_at_deeds(self) -> None:
        if said := self._deeds.over():
            self._said, self._said_looks = said, round(SAID_S / LOOK_S)
            self._show_detail()
        elif self._said_looks:
            self._said_looks -= 1
            if not self._said_looks:
                self._said = ""
                self._show_detail()

    def _show(self) -> None:
        """All of it."""
        found = arranged(self._board.rows, self._order, self._wanted)
        self._table.show(found, is_old=self._feed.is_stale)
        if self._board.sum is not None:
            where = self._where or self._board.sum.state_path
            self._tell("sum", headline(self._board.sum, where))
            self._tell("processes", processes(self._board.sum))
        self._tell("head", self._table.head(self._order))
        self._show_detail()

    def _tell(self, name: str, text: str) -> None:
        # None is there any more while it ends.
        for line in self.query(f"#{name}").results(Static):
            line.update(plain(text))

    def _show_detail(self) -> None:
        if self._deeds.under_way:
            text = f"{self._deeds.under_way} ..."
        else:
            text = self._said or detail(self._table.selected, self._wanted)
        self._tell("detail", text)

    def on_table_selected(self) -> None:
        """Another row, or other figures."""
        self._show_detail()

    def action_leave(self, status: int) -> None:
        """End with that exit status."""
        self.exit(status)

    def action_sort(self, step: int) -> None:
        """Sort by another column."""
        self._order = self._order.next(step)
        self._show()

    def action_turn(self) -> None:
        """Sort the other way round."""
        self._order = self._order.turned()
        self._show()

    def action_filter(self) -> None:
        """Ask for what rows must have."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        self._wanted = event.value
        self._show()

    def on_input_submitted(self) -> None:
        """Keep the filter, and go back to the rows."""
        self.query_one("#filter").display = False
        self._table.focus()

    def action_clear(self) -> None:
        """No filter."""
        self.query_one("#filter", Input).value = ""
        self.on_input_submitted()

    def action_explain(self) -> None:
        """Tell all keys."""
        self.push_screen(Question(HELP, is_note=True))

    def action_wish(self, word: str) -> None:
        """Drain the selected backend, or the like; asks first where that matters."""
        row, wish = self._table.selected, Wish[word.upper()]
        if row is None or self._deeds.under_way:
            return

        def act(is_wanted: bool | None) -> None:
            if is_wanted:
                self._deeds.begin(row.name, wish)
                self._show_detail()

        reason = doubt(self._board.rows, row, wish, self._feed)
        if reason:
            self.push_screen(Question(f"{reason}\n\n{word} {row.name}?  y / n"), act)
        else:
            act(True)
