"""The rows on the screen: only those in sight are drawn, so 2,000 cost as 20 do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lb.cli.top.columns import cell, layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.events import Click, Resize

    from lb.cli.top.board import Row
    from lb.cli.top.columns import Column, Order

PLAIN: Final = Style()
OLD: Final = Style(dim=True)
SELECTED: Final = Style(reverse=True)
STATES: Final = {
    "up": Style(color="green"),
    "down": Style(color="red", bold=True),
    "ejected": Style(color="red", bold=True),
    "unknown": Style(color="yellow"),
}
TAKEN_OUT: Final = Style(color="cyan")
BAD: Final = Style(color="red")


def style_of(row: Row, column: Column) -> Style:
    """A cell's colour; it never says more than the words do."""
    if column.key == "state":
        return STATES[row.verdict] if row.wish == "ready" else TAKEN_OUT
    if column.key == "errors" and row.errors_s:
        return BAD
    if column.key == "probes" and not all(row.probes):
        return BAD
    return PLAIN


class Table(ScrollView, can_focus=True):
    """Rows under a head, one of them selected; the selection stays with its backend."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
    ]

    class Selected(Message):
        """Another row is selected, or the selected one has other figures."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Row] = ()
        self._columns: list[tuple[Column, int]] = []
        self._selected = 0
        self._is_old = False

    @property
    def selected(self) -> Row | None:
        """The selected row; None where there is none at all."""
        return self._rows[self._selected] if self._rows else None

    def show(self, rows: Sequence[Row], *, is_old: bool) -> None:
        """Show these rows, dimmed if they are not of now."""
        before = self.selected
        self._rows, self._is_old = rows, is_old
        if before is not None:
            same = (n for n, row in enumerate(rows) if row.id == before.id)
            self._selected = next(same, min(self._selected, len(rows) - 1))
        self._selected = max(0, self._selected)
        self._columns = layout(rows, self.size.width or 80)
        self.virtual_size = Size(self.size.width, len(rows))
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Selected())

    def head(self, order: Order) -> str:
        """The line above the rows; a mark shows by what they are sorted."""
        mark = "▲" if order.is_turned else "▼"
        return " ".join(
            cell(column, width, f"{mark}{column.title}"[:width])
            if column.key == order.key
            else cell(column, width, column.title)
            for column, width in self._columns
        )

    def render_line(self, y: int) -> Strip:
        """See Textual: the line at `y` of those in sight."""
        number = y + self.scroll_offset.y
        if number >= len(self._rows):
            return Strip.blank(self.size.width)
        row = self._rows[number]
        over = SELECTED if number == self._selected else PLAIN
        over += OLD if self._is_old else PLAIN
        segments = []
        for column, width in self._columns:
            text = cell(column, width, column.text(row))
            segments.append(Segment(text, style_of(row, column) + over))
            segments.append(Segment(" ", over))
        return Strip(segments).adjust_cell_length(self.size.width, over)

    def action_move(self, step: int) -> None:
        """Select the row so many further on."""
        if self._rows:
            last = len(self._rows) - 1
            self._selected = min(max(0, self._selected + step), last)
            self._keep_in_sight()
            self.refresh()
            self.post_message(self.Selected())

    def action_page(self, step: int) -> None:
        """The same by what is in sight at once."""
        self.action_move(step * max(1, self.size.height - 1))

    def on_click(self, event: Click) -> None:
        """Select what was clicked at."""
        self.action_move(event.y + self.scroll_offset.y - self._selected)

    def on_resize(self, _event: Resize) -> None:
        """Lay out anew."""
        self.show(self._rows, is_old=self._is_old)

    def _keep_in_sight(self) -> None:
        region = Region(0, self._selected, self.size.width or 1, 1)
        self.scroll_to_region(region, animate=False, force=True)
